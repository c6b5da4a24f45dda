//! Tickets: what they are good for, for how long, and that they are shown nowhere.

mod events;
mod lasting;
mod making;
mod matrix;
mod page;
#[cfg(feature = "kafka")]
mod processes;
mod secrecy;

use std::time::Duration;

use jsonwebtoken::Algorithm;
use riverhead::{
    auth::{TicketKey, settings::AuthSettings},
    http::settings::{AllowedOrigins, CorsSettings},
};
use serde_json::{Value, json};

use crate::{
    auth::{
        AuthGateway, api_keys, bearer,
        issuer::{SigningKey, issuer, jwks},
    },
    support::gateway::{TestClient, TestResponse},
    tls::authority::Files,
};

/// A gateway that makes tickets, for tokens of an issuer and for an API key.
struct Stage {
    gateway: AuthGateway,
    signing: SigningKey,
    api_key: String,
    settings: AuthSettings,
    files: Files,
}

const PAGE: &str = "origin: https://page.example\r\n";
const EVIL: &str = "origin: https://evil.example\r\n";
const JSON: &str = "content-type: application/json\r\n";

/// An id of the stream `scoped`.
const ID: &str = "last-event-id: [{\"topic\":\"eqiad.scoped\",\"partition\":0,\"offset\":7}]\r\n";

impl Stage {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut AuthSettings)) -> Self {
        let files = Files::new();
        let signing = SigningKey::new("k", Algorithm::EdDSA);
        let set = files.write("jwks.json", &jwks(&[&signing]));
        let [api_key] = api_keys(&files, [("partner", "read")]);
        let mut settings = AuthSettings {
            keys_file: Some(files.path("keys.toml")),
            revocations_file: Some(files.path("revoked.toml")),
            issuers: vec![issuer(set.to_str().unwrap())],
            ..AuthSettings::default()
        };
        change(&mut settings);
        Self {
            gateway: start(&settings),
            signing,
            api_key,
            settings,
            files,
        }
    }

    fn token(&self, change: Value) -> String {
        self.signing.token(&change)
    }

    async fn reload(&self) {
        self.gateway.authenticator.reload(&self.settings).await.unwrap();
    }

    /// Returns the path and query of a ticket of this credential for these streams.
    async fn ticket_of(&self, credential: &str, body: Value) -> String {
        let headers = bearer(credential) + JSON;
        let answer = post(&self.gateway, "/v2/tickets", &headers, &body.to_string()).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()["url"].as_str().unwrap().to_owned()
    }

    /// Returns the path and query of a ticket for the stream `scoped`.
    async fn ticket(&self) -> String {
        self.ticket_of(&self.token(json!({"jti": "1"})), json!({"streams": ["scoped"]}))
            .await
    }

    async fn status(&self, target: &str, headers: &str) -> u16 {
        self.gateway.ask(target, headers).await.status
    }
}

/// Starts a gateway for pages of `https://page.example`.
fn start(settings: &AuthSettings) -> AuthGateway {
    AuthGateway::with(settings, None, |http| {
        http.heartbeat = Duration::from_millis(200);
        http.cors = CorsSettings {
            origins: AllowedOrigins::Listed(vec!["https://page.example".into()]),
            credentials: true,
            ..CorsSettings::default()
        };
    })
}

async fn post(gateway: &AuthGateway, target: &str, headers: &str, body: &str) -> TestResponse {
    // An address of its own, which was refused nothing yet.
    let [_, a, b, c] = fastrand::u32(..).to_be_bytes();
    let mut client = TestClient::from([127, a, b, c.clamp(1, 254)], gateway.gateway.public).await;
    let request = format!(
        "POST {target} HTTP/1.1\r\nhost: test\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    client.send(&request).await;
    client.answer().await
}

/// Returns a key of tickets.
fn ticket_key(byte: u8) -> TicketKey {
    use base64::{Engine, engine::general_purpose::STANDARD};
    STANDARD.encode([byte; 32]).parse().unwrap()
}

/// Returns the ticket in a URL.
fn ticket_in(url: &str) -> &str {
    url.split_once("ticket=").expect("a ticket").1
}
