//! Who gets a ticket, for what, and how a page asks for it.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use riverhead::auth::settings::{AuthSettings, PlainPolicy};
use serde_json::json;

use crate::{
    auth::{
        AuthGateway, bearer,
        issuer::now,
        tickets::{EVIL, JSON, PAGE, Stage, post, ticket_in},
    },
    support::gateway::{TestClient, TestGateway, get},
};

const SCOPED: &str = r#"{"streams":["scoped"]}"#;

#[tokio::test]
async fn the_answer_has_the_ticket_its_url_and_its_end() {
    let stage = Stage::new();
    let headers =
        bearer(&stage.token(json!({}))) + "content-type: Application/JSON; charset=utf-8\r\n" + PAGE;
    let answer = post(&stage.gateway, "/v2/tickets", &headers, SCOPED).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    for (name, value) in [
        ("content-type", "application/json; charset=utf-8"),
        ("cache-control", "private, no-store, no-transform"),
        ("referrer-policy", "no-referrer"),
        ("access-control-allow-origin", "https://page.example"),
    ] {
        assert_eq!(answer.header(name), Some(value), "{answer:?}");
    }
    let document = answer.json();
    let keys: Vec<_> = document.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["expires", "ticket", "url"]);
    let (ticket, url) = (
        document["ticket"].as_str().unwrap(),
        document["url"].as_str().unwrap(),
    );
    assert_eq!(url, format!("/v2/stream/scoped?ticket={ticket}"));
    let expires: jiff::Timestamp = document["expires"].as_str().unwrap().parse().unwrap();
    assert!((58..=60).contains(&(expires.as_second() - now())), "{document}");
    // Nobody can read what it holds, or tell that two are for the same.
    let sealed = URL_SAFE_NO_PAD.decode(&ticket["rvt_".len()..]).unwrap();
    let text = String::from_utf8_lossy(&sealed);
    for told in ["scoped", "somebody", "idp"] {
        assert!(!text.contains(told), "{text}");
    }
    let again = post(&stage.gateway, "/v2/tickets", &headers, SCOPED).await;
    assert_ne!(
        ticket_in(again.json()["url"].as_str().unwrap())[10..],
        ticket[10..]
    );
}

#[tokio::test]
async fn a_ticket_never_lasts_longer_than_its_credential() {
    let stage = Stage::new();
    // With the leeway it is accepted for five more seconds.
    let token = stage.token(json!({"exp": now() - 25}));
    let answer = post(&stage.gateway, "/v2/tickets", &(bearer(&token) + JSON), SCOPED).await;
    let expires: jiff::Timestamp = answer.json()["expires"].as_str().unwrap().parse().unwrap();
    assert!((3..=5).contains(&(expires.as_second() - now())), "{answer:?}");
}

#[tokio::test]
async fn who_may_not_read_a_stream_gets_no_ticket_for_it() {
    let stage = Stage::new();
    let token = bearer(&stage.token(json!({})));
    let json = token.clone() + JSON;
    let rubbish = bearer("rubbish") + JSON;
    let of_text = token.clone() + "content-type: text/plain\r\n";
    let long = format!(
        r#"{{"streams":["scoped"],"filter":"a = \"{}\""}}"#,
        "x".repeat(4_000)
    );
    let huge = format!(r#"{{"streams":["scoped"],"filter":"{}"}}"#, "x".repeat(9_000));
    for (headers, body, status, refusal) in [
        (&JSON.to_owned(), SCOPED, 401, "unauthorized"),
        (&rubbish, SCOPED, 401, "invalid_token"),
        (&json, r#"{"streams":["secret"]}"#, 403, "insufficient_scope"),
        (
            &json,
            r#"{"streams":["scoped","secret"]}"#,
            403,
            "insufficient_scope",
        ),
        (&json, r#"{"streams":["nowhere"]}"#, 400, "not_found"),
        (&json, r#"{"streams":[]}"#, 400, "not_found"),
        (
            &json,
            r#"{"streams":["scoped"],"filter":"a ="}"#,
            400,
            "invalid_filter",
        ),
        (
            &json,
            r#"{"streams":["scoped"],"filter":"a = $sub and"}"#,
            400,
            "invalid_filter",
        ),
        (&json, r#"{"streams":["scoped"],"else":1}"#, 400, "bad_request"),
        (&json, r#"{"streams":"scoped"}"#, 400, "bad_request"),
        (&json, "", 400, "bad_request"),
        (&json, &long, 400, "bad_request"),
        (&json, &huge, 400, "bad_request"),
        (&token, SCOPED, 415, "unsupported_media_type"),
        (&of_text, SCOPED, 415, "unsupported_media_type"),
    ] {
        let answer = post(&stage.gateway, "/v2/tickets", headers, body).await;
        assert_eq!(answer.status, status, "{body}: {answer:?}");
        assert_eq!(answer.json()["type"], refusal, "{body}: {answer:?}");
    }
    let got = stage.gateway.ask("/v2/tickets", &token).await;
    assert_eq!((got.status, got.header("allow")), (405, Some("POST")));
}

#[tokio::test]
async fn a_ticket_makes_no_other_ticket() {
    let stage = Stage::new();
    let url = stage.ticket().await;
    let target = format!("/v2/tickets?ticket={}", ticket_in(&url));
    let answer = post(&stage.gateway, &target, JSON, SCOPED).await;
    assert_eq!(answer.status, 403, "{answer:?}");
    let both = bearer(&stage.token(json!({}))) + JSON;
    assert_eq!(post(&stage.gateway, &target, &both, SCOPED).await.status, 400);
}

#[tokio::test]
async fn with_a_cookie_only_a_listed_page_gets_a_ticket() {
    let stage = Stage::new();
    let cookie = format!("cookie: __Secure-riverhead={}\r\n{JSON}", stage.token(json!({})));
    for (headers, status) in [
        (PAGE, 201),
        (EVIL, 403),
        ("origin: null\r\n", 403),
        ("", 403),
        ("sec-fetch-site: same-origin\r\n", 403),
        ("sec-fetch-site: cross-site\r\n", 403),
    ] {
        let answer = post(&stage.gateway, "/v2/tickets", &(cookie.clone() + headers), SCOPED).await;
        assert_eq!(answer.status, status, "{headers}: {answer:?}");
        let allowed = answer.header("access-control-allow-credentials");
        assert_eq!(allowed, (headers == PAGE).then_some("true"), "{answer:?}");
    }
    // The header needs no page.
    let token = bearer(&stage.token(json!({}))) + JSON;
    for headers in ["", EVIL] {
        let answer = post(&stage.gateway, "/v2/tickets", &(token.clone() + headers), SCOPED).await;
        assert_eq!(answer.status, 201, "{answer:?}");
    }
}

#[tokio::test]
async fn a_page_is_told_in_advance_that_it_may_post() {
    let stage = Stage::new();
    for (path, methods) in [("/v2/tickets", "POST"), ("/v2/stream/scoped", "GET, HEAD")] {
        let mut client = TestClient::connect(stage.gateway.gateway.public).await;
        let preflight = format!(
            "OPTIONS {path} HTTP/1.1\r\nhost: test\r\n{PAGE}access-control-request-method: POST\r\n\
             access-control-request-headers: authorization, content-type\r\n\r\n"
        );
        client.send(&preflight).await;
        let head = client.head().await;
        for line in [
            "HTTP/1.1 200 OK",
            &format!("access-control-allow-methods: {methods}"),
            "access-control-allow-headers: authorization, content-type",
            "access-control-allow-origin: https://page.example",
            "access-control-allow-credentials: true",
        ] {
            assert!(head.contains(&format!("{line}\r\n")), "{line} is not in {head}");
        }
    }
}

#[tokio::test]
async fn where_no_credential_is_looked_at_there_are_no_tickets() {
    let gateway = TestGateway::start(|_| {});
    let answer = get(gateway.public, "/v2/tickets", "").await;
    assert_eq!(answer.status, 404, "{answer:?}");
    // An old configuration with a field of this name works as before.
    let answer = get(gateway.public, "/v2/stream/recentchange?ticket=a&since=x", "").await;
    assert_eq!(answer.json()["type"], "invalid_timestamp");
}

#[tokio::test]
async fn on_a_connection_that_anybody_can_read_a_ticket_is_refused() {
    let stage = Stage::new();
    let url = stage.ticket().await;
    let settings = AuthSettings {
        plain: PlainPolicy::Never,
        ..stage.settings.clone()
    };
    let gateway = AuthGateway::start(&settings);
    gateway
        .authenticator
        .take_ticket_key(&stage.gateway.authenticator.pass_on_ticket_key());
    let answer = gateway.ask(&url, "").await;
    assert_eq!(
        (answer.status, answer.json()["title"].as_str()),
        (403, Some("Credential Without TLS"))
    );
}
