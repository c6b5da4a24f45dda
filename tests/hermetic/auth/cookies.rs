//! Cookies, and the pages that may send them.

use riverhead::{
    auth::settings::AuthSettings,
    http::settings::{AllowedOrigins, CorsSettings},
};

use crate::{
    auth::{AuthGateway, api_keys, bearer},
    support::gateway::TestClient,
    tls::authority::Files,
};

const PAGE: &str = "origin: https://page.example\r\n";
const EVIL: &str = "origin: https://evil.example\r\n";

/// A gateway for pages of `https://page.example`, and a key for it.
fn stage(origins: AllowedOrigins) -> (AuthGateway, String, Files) {
    let files = Files::new();
    let [key] = api_keys(&files, [("reader", "read")]);
    let settings = AuthSettings {
        keys_file: Some(files.path("keys.toml")),
        ..AuthSettings::default()
    };
    let credentials = origins != AllowedOrigins::All;
    let gateway = AuthGateway::with(&settings, None, |http| {
        http.cors = CorsSettings {
            origins,
            credentials,
            ..CorsSettings::default()
        };
    });
    (gateway, key, files)
}

fn listed() -> AllowedOrigins {
    AllowedOrigins::Listed(vec!["https://page.example".into()])
}

fn cookie(credential: &str) -> String {
    format!("cookie: theme=dark; __Secure-riverhead={credential}\r\n")
}

#[tokio::test]
async fn a_cookie_counts_from_listed_pages_our_own_and_programs_and_from_no_others() {
    for (origins, of_page) in [(listed(), 200), (AllowedOrigins::All, 403)] {
        let (gateway, key, _files) = stage(origins);
        for (headers, status) in [
            ("", 200),
            (PAGE, of_page),
            (EVIL, 403),
            ("origin: null\r\n", 403),
            ("sec-fetch-site: same-origin\r\nsec-fetch-mode: cors\r\n", 200),
            ("sec-fetch-site: cross-site\r\n", 403),
            ("sec-fetch-site: same-site\r\n", 403),
        ] {
            let answer = gateway.ask("/v2/stream/scoped", &(cookie(&key) + headers)).await;
            assert_eq!(answer.status, status, "{headers}: {answer:?}");
            assert_eq!(
                answer.header("cache-control"),
                Some("private, no-store, no-transform")
            );
            // On a public stream too: whoever sends a cookie is not taken for a stranger.
            let open = gateway.ask("/v2/stream/open", &(cookie(&key) + headers)).await;
            assert_eq!(open.status, status, "{headers}");
        }
        let bad = gateway.ask("/v2/stream/open", &cookie("rubbish")).await;
        assert_eq!(bad.status, 401);
    }
}

#[tokio::test]
async fn a_header_goes_before_a_cookie() {
    let (gateway, key, _files) = stage(listed());
    let good = gateway
        .ask("/v2/stream/scoped", &(cookie("rubbish") + &bearer(&key) + EVIL))
        .await;
    assert_eq!(good.status, 200, "the cookie is not looked at");
    let bad = gateway
        .ask("/v2/stream/scoped", &(cookie(&key) + &bearer("rubbish")))
        .await;
    assert_eq!(bad.status, 401);
    let several = gateway.ask("/v2/stream/scoped", &cookie(&key).repeat(2)).await;
    assert_eq!(
        (several.status, several.json()["type"].as_str()),
        (400, Some("invalid_request"))
    );
}

#[tokio::test]
async fn only_listed_pages_read_answers_and_errors() {
    let (gateway, key, _files) = stage(listed());
    for (target, headers) in [
        ("/v2/stream/scoped", bearer(&key)),
        ("/v2/stream/scoped", String::new()),
        ("/v2/stream/open", String::new()),
        ("/nowhere", String::new()),
    ] {
        let read = async |origin: &str| {
            let answer = gateway.ask(target, &(headers.clone() + origin)).await;
            let allowed = answer.header("access-control-allow-origin").map(str::to_owned);
            let credentials = answer
                .header("access-control-allow-credentials")
                .map(str::to_owned);
            assert!(answer.head.contains("\r\nvary: Origin\r\n"), "{answer:?}");
            (allowed, credentials)
        };
        let page = (Some("https://page.example".to_owned()), Some("true".to_owned()));
        assert_eq!(read(PAGE).await, page, "{target}");
        assert_eq!(read(EVIL).await, (None, None), "{target}");
        assert_eq!(read("").await, (None, None), "{target}");
    }
}

#[tokio::test]
async fn a_preflight_needs_no_credential_and_says_which_page_may_ask() {
    let (gateway, _key, _files) = stage(listed());
    for (origin, allowed) in [(PAGE, true), (EVIL, false)] {
        let mut client = TestClient::connect(gateway.gateway.public).await;
        let preflight = format!(
            "OPTIONS /v2/stream/scoped HTTP/1.1\r\nhost: test\r\n{origin}access-control-request-method: GET\r\n\
             access-control-request-headers: authorization\r\n\r\n"
        );
        client.send(&preflight).await;
        let head = client.head().await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        let echoed = head.contains("access-control-allow-origin: https://page.example\r\n");
        let credentials = head.contains("access-control-allow-credentials: true\r\n");
        assert_eq!([echoed, credentials], [allowed; 2], "{head}");
    }
}
