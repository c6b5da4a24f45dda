//! Tickets: what they are good for, for how long, and that they are shown nowhere.

use std::time::Duration;

use jsonwebtoken::Algorithm;
use riverhead::{
    auth::{Revocation, settings::AuthSettings},
    http::settings::{AllowedOrigins, CorsSettings},
};
use serde_json::{Value, json};

use crate::{
    auth::{
        AuthGateway, bearer,
        issuer::{SigningKey, issuer, jwks},
    },
    support::gateway::{TestClient, TestResponse, get},
    tls::authority::Files,
};

struct Stage {
    gateway: AuthGateway,
    signing: SigningKey,
    settings: AuthSettings,
    _files: Files,
}

/// 32 bytes in base64.
const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const ID: &str = "last-event-id: [{\"topic\":\"eqiad.scoped\",\"partition\":0,\"offset\":7}]\r\n";

impl Stage {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut AuthSettings)) -> Self {
        let files = Files::new();
        let signing = SigningKey::new("k", Algorithm::EdDSA);
        let set = files.write("jwks.json", &jwks(&[&signing]));
        let mut settings = AuthSettings {
            revocations_file: Some(files.path("revoked.toml")),
            ticket_keys: vec![KEY.parse().unwrap()],
            issuers: vec![issuer(set.to_str().unwrap())],
            ..AuthSettings::default()
        };
        change(&mut settings);
        Self {
            gateway: Self::gateway(&settings),
            signing,
            settings,
            _files: files,
        }
    }

    fn gateway(settings: &AuthSettings) -> AuthGateway {
        AuthGateway::with(settings, None, |http| {
            http.cors = CorsSettings {
                origins: AllowedOrigins::Listed(vec!["https://page.example".into()]),
                credentials: true,
                ..CorsSettings::default()
            };
        })
    }

    async fn post(&self, headers: &str, body: &str) -> TestResponse {
        let mut client = TestClient::connect(self.gateway.gateway.public).await;
        let request = format!(
            "POST /v2/tickets HTTP/1.1\r\nhost: test\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        client.send(&request).await;
        client.answer().await
    }

    /// Returns the URL of a ticket for these streams.
    async fn ticket(&self, streams: &str, more: &str) -> String {
        let headers = bearer(&self.signing.token(&json!({"jti": "1"}))) + JSON;
        let answer = self
            .post(&headers, &format!("{{\"streams\":[{streams}]{more}}}"))
            .await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()["url"].as_str().unwrap().to_owned()
    }
}

const JSON: &str = "content-type: application/json\r\n";

#[tokio::test]
async fn a_ticket_reads_its_streams_without_a_header_also_after_a_restart() {
    let stage = Stage::new();
    let url = stage.ticket("\"scoped\",\"open\"", "").await;
    assert!(url.starts_with("/v2/stream/scoped,open?ticket="), "{url}");
    let restarted = Stage::gateway(&stage.settings);
    for gateway in [&stage.gateway, &restarted] {
        let answer = gateway.ask(&url, "").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(
            answer.header("cache-control"),
            Some("private, no-store, no-transform")
        );
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
    }
    let narrowed = url.replace("scoped,open", "scoped") + "&filter=n%3D1";
    assert_eq!(stage.gateway.ask(&narrowed, "").await.status, 200);
    for widened in ["scoped,secret", "secret", "scoped,open,secret"] {
        let answer = stage.gateway.ask(&url.replace("scoped,open", widened), "").await;
        assert_eq!(answer.status, 403, "{widened}: {answer:?}");
    }
}

#[tokio::test]
async fn a_ticket_begins_a_stream_for_its_lifetime_and_takes_one_up_for_longer() {
    let stage = Stage::with(|auth| auth.ticket_lifetime = Duration::from_millis(1));
    let url = stage.ticket("\"scoped\"", "").await;
    let begun = stage.gateway.ask(&url, "").await;
    assert_eq!(begun.status, 401, "{begun:?}");
    assert_eq!(begun.json()["detail"], "the credential has expired");
    assert_eq!(stage.gateway.ask(&url, ID).await.status, 200);
    let as_parameter = url.clone() + "&lastEventId=%5B%5D";
    assert_eq!(stage.gateway.ask(&as_parameter, "").await.status, 200);
    let empty = url.clone() + "&lastEventId=";
    assert_eq!(stage.gateway.ask(&empty, "last-event-id: \r\n").await.status, 401);
    stage
        .gateway
        .authenticator
        .revoke(Revocation::TokenId("1".into()), None)
        .await
        .unwrap();
    let revoked = stage.gateway.ask(&url, ID).await;
    assert_eq!(
        (revoked.status, revoked.json()["detail"].as_str()),
        (401, Some("the credential was revoked"))
    );
}

#[tokio::test]
async fn a_ticket_is_no_second_credential_and_makes_no_other() {
    let stage = Stage::new();
    let url = stage.ticket("\"scoped\"", "").await;
    let token = bearer(&stage.signing.token(&json!({})));
    assert_eq!(stage.gateway.ask(&url, &token).await.status, 400);
    let (_, ticket) = url.split_once("ticket=").unwrap();
    let twice = format!("{url}&ticket={ticket}");
    assert_eq!(stage.gateway.ask(&twice, "").await.status, 400);
    let mut client = TestClient::connect(stage.gateway.gateway.public).await;
    let body = r#"{"streams":["scoped"]}"#;
    let request = format!(
        "POST /v2/tickets?ticket={ticket} HTTP/1.1\r\nhost: test\r\n{JSON}content-length: {}\r\n\r\n{body}",
        body.len()
    );
    client.send(&request).await;
    assert_eq!(client.answer().await.status, 403);
    let forged = url.replace(&ticket[..20], &"A".repeat(20));
    assert_eq!(stage.gateway.ask(&forged, "").await.status, 401);
}

#[tokio::test]
async fn who_may_not_read_a_stream_gets_no_ticket_for_it() {
    let stage = Stage::new();
    let token = bearer(&stage.signing.token(&json!({})));
    for (headers, body, status) in [
        (JSON.to_owned(), r#"{"streams":["scoped"]}"#, 401),
        (token.clone() + JSON, r#"{"streams":["secret"]}"#, 403),
        (token.clone() + JSON, r#"{"streams":["nowhere"]}"#, 400),
        (token.clone() + JSON, r#"{"streams":[]}"#, 400),
        (
            token.clone() + JSON,
            r#"{"streams":["scoped"],"filter":"a ="}"#,
            400,
        ),
        (token.clone() + JSON, r#"{"streams":["scoped"],"else":1}"#, 400),
        (
            token.clone() + "content-type: text/plain\r\n",
            r#"{"streams":["scoped"]}"#,
            400,
        ),
        (token.clone(), r#"{"streams":["scoped"]}"#, 400),
    ] {
        let answer = stage.post(&headers, body).await;
        assert_eq!(answer.status, status, "{body}: {answer:?}");
    }
    let get = get(stage.gateway.gateway.public, "/v2/tickets", &token).await;
    assert_eq!(get.status, 405);
    let without = Stage::with(|auth| auth.ticket_keys.clear());
    let token = bearer(&without.signing.token(&json!({})));
    assert_eq!(
        without
            .post(&(token + JSON), r#"{"streams":["scoped"]}"#)
            .await
            .status,
        404
    );
}

#[tokio::test]
async fn with_a_cookie_only_a_listed_page_gets_a_ticket() {
    let stage = Stage::new();
    let cookie = format!(
        "cookie: __Secure-riverhead={}\r\n{JSON}",
        stage.signing.token(&json!({}))
    );
    for (headers, status) in [
        ("", 201),
        ("origin: https://page.example\r\n", 201),
        ("origin: https://evil.example\r\n", 403),
        ("sec-fetch-site: same-origin\r\n", 403),
    ] {
        let answer = stage
            .post(&(cookie.clone() + headers), r#"{"streams":["scoped"]}"#)
            .await;
        assert_eq!(answer.status, status, "{headers}: {answer:?}");
    }
    let mut client = TestClient::connect(stage.gateway.gateway.public).await;
    client
        .send(
            "OPTIONS /v2/tickets HTTP/1.1\r\nhost: test\r\norigin: https://page.example\r\n\
             access-control-request-method: POST\r\n\r\n",
        )
        .await;
    let head = client.head().await;
    assert!(head.contains("access-control-allow-methods: POST\r\n"), "{head}");
}

#[tokio::test]
async fn no_error_shows_a_ticket() {
    let stage = Stage::new();
    let url = stage.ticket("\"scoped\"", ",\"filter\":\"n = 1\"").await;
    let (_, ticket) = url.split_once("ticket=").unwrap();
    for target in [
        url.clone() + "&since=yesterday",
        url.clone() + "&filter=a%3D",
        url.replace("scoped", "secret"),
        url.replace("scoped", "nowhere"),
        url.replace("/v2/stream/scoped", "/nowhere"),
        url.replace("ticket=", "Ticket="),
        url.replace("ticket=", "t%69cket=") + "&since=x",
    ] {
        let answer = stage.gateway.ask(&target, "").await;
        assert!(answer.status >= 400, "{answer:?}");
        assert!(
            !answer.body.contains(&ticket[..30]) && !answer.head.contains(&ticket[..30]),
            "{answer:?}"
        );
        let uri: Value = answer.json()["uri"].clone();
        assert!(uri.as_str().unwrap().contains("=..."), "{uri}");
    }
}
