//! What the pages show, on which connections credentials count, and what a reload changes.

use riverhead::auth::settings::{AuthSettings, PlainPolicy};
use serde_json::Value;

use crate::{
    auth::{AuthGateway, api_keys, bearer},
    support::gateway::{TestClient, get},
    tls::authority::Files,
};

fn settings(files: &Files) -> AuthSettings {
    AuthSettings {
        keys_file: Some(files.path("keys.toml")),
        ..AuthSettings::default()
    }
}

#[tokio::test]
async fn pages_show_the_streams_that_the_asker_may_read() {
    let files = Files::new();
    let [reader, admin] = api_keys(&files, [("reader", "read"), ("admin", "admin")]);
    let gateway = AuthGateway::start(&settings(&files));
    for (headers, expected) in [
        (String::new(), &["open"][..]),
        (bearer(&reader), &["open", "scoped"]),
        (bearer(&admin), &["open", "secret"]),
        (bearer(&reader), &["open", "scoped"]),
    ] {
        let listing = gateway.ask("/", &headers).await.json();
        let streams = listing["streams"].as_array().unwrap().iter();
        let names: Vec<_> = streams.map(|stream| stream["name"].as_str().unwrap()).collect();
        assert_eq!(names, expected);
        let spec = gateway.ask("/?spec", &headers).await.json();
        let named = &spec["paths"]["/v2/stream/{streams}"]["get"]["parameters"][0]["schema"]["items"]["enum"];
        assert_eq!(*named, Value::from(expected.to_vec()));
        let paths = spec["paths"].as_object().unwrap().keys();
        let streams = paths.filter(|path| path.starts_with("/v2/stream/"));
        assert_eq!(streams.count(), 1 + expected.len());
    }
    let bad = gateway.ask("/", &bearer("rubbish")).await;
    assert_eq!(bad.status, 401);
}

#[tokio::test]
async fn what_there_is_to_read_is_told_to_who_may_read_it_and_kept_for_nobody_else() {
    let files = Files::new();
    let [reader, admin] = api_keys(&files, [("reader", "read"), ("admin", "admin")]);
    let gateway = AuthGateway::start(&settings(&files));
    // One right after the other: what is kept for one must not reach the next.
    for (headers, expected, caching) in [
        (
            bearer(&admin),
            &["open", "secret"][..],
            "private, no-store, no-transform",
        ),
        (String::new(), &["open"], "private, max-age=2"),
        (
            bearer(&reader),
            &["open", "scoped"],
            "private, no-store, no-transform",
        ),
    ] {
        let list = gateway.ask_http_1_0("/v2/streams", &headers).await;
        let vary = Some("Authorization, Cookie");
        assert_eq!(
            (list.header("cache-control"), list.header("vary")),
            (Some(caching), vary)
        );
        let list = list.json();
        let streams = list["streams"].as_array().unwrap().iter();
        let names: Vec<_> = streams.map(|stream| stream["name"].as_str().unwrap()).collect();
        assert_eq!(names, expected);
    }
    for (name, headers, status) in [
        ("secret", bearer(&admin), 200),
        ("secret", bearer(&reader), 403),
        ("secret", String::new(), 401),
        ("open", String::new(), 200),
        ("open", bearer("rubbish"), 401),
        ("nope", bearer(&admin), 404),
    ] {
        let target = format!("/v2/streams/{name}");
        let answer = gateway.ask_http_1_0(&target, &headers).await;
        assert_eq!(answer.status, status, "{name}");
        assert_eq!(
            answer.body.contains("codename"),
            status == 200 && name == "secret"
        );
    }
    let secret = gateway.ask_http_1_0("/v2/streams/secret", &bearer(&admin)).await;
    let access = secret.json();
    assert_eq!(access["access"], serde_json::json!(["admin", "more"]));
}

#[tokio::test]
async fn on_a_connection_that_anybody_can_read_a_credential_is_refused() {
    let files = Files::new();
    let [key] = api_keys(&files, [("reader", "read")]);
    // The test itself comes from loopback, and so does the client that a proxy would name.
    for (plain, status) in [
        (PlainPolicy::Proxies, 200),
        (PlainPolicy::Never, 403),
        (PlainPolicy::Always, 200),
    ] {
        let settings = AuthSettings {
            plain,
            ..settings(&files)
        };
        let gateway = AuthGateway::start(&settings);
        let answer = gateway.ask("/v2/stream/scoped", &bearer(&key)).await;
        assert_eq!(answer.status, status, "{plain:?}");
        assert_eq!(gateway.ask("/v2/stream/open", "").await.status, 200, "{plain:?}");
    }
}

#[tokio::test]
async fn preflights_and_health_checks_need_no_credential_and_take_any() {
    let files = Files::new();
    api_keys(&files, [("reader", "read")]);
    let gateway = AuthGateway::start(&settings(&files));
    let mut client = TestClient::connect(gateway.gateway.public).await;
    let preflight = "OPTIONS /v2/stream/scoped HTTP/1.1\r\nhost: test\r\norigin: https://page.example\r\n\
        access-control-request-method: GET\r\naccess-control-request-headers: authorization\r\n\r\n";
    client.send(preflight).await;
    let head = client.head().await;
    assert!(
        head.starts_with("HTTP/1.1 200 ") && head.contains("access-control-allow-headers: authorization")
    );
    for path in ["/livez", "/readyz"] {
        let answer = get(gateway.gateway.public, path, &bearer("of somebody else")).await;
        assert_eq!(answer.status, 200, "{path}");
    }
}

#[tokio::test]
async fn a_reload_brings_new_keys_takes_old_ones_and_a_broken_file_changes_nothing() {
    let files = Files::new();
    let [first] = api_keys(&files, [("first", "read")]);
    let gateway = AuthGateway::start(&settings(&files));
    let status = async |key: &str| gateway.ask("/v2/stream/scoped", &bearer(key)).await.status;
    assert_eq!(status(&first).await, 200);

    let [second] = api_keys(&files, [("second", "read")]);
    assert_eq!(status(&second).await, 401, "it was not read yet");
    gateway.authenticator.reload(&settings(&files)).await.unwrap();
    assert_eq!([status(&first).await, status(&second).await], [200, 200]);

    riverhead::auth::revoke(&files.path("keys.toml"), "first").unwrap();
    gateway.authenticator.reload(&settings(&files)).await.unwrap();
    assert_eq!([status(&first).await, status(&second).await], [401, 200]);

    files.write("keys.toml", "[[keys]]\nname = 'broken'\n");
    let faults = gateway.authenticator.reload(&settings(&files)).await.unwrap_err();
    assert!(faults.to_string().contains("missing field `sha256`"), "{faults}");
    assert_eq!(status(&second).await, 200);
    assert_eq!(
        gateway
            .gateway
            .metric("riverhead_auth_reload_failures_total")
            .await,
        1.0
    );
}
