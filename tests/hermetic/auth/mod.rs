//! Who may read: credentials and the access of streams, over real HTTP.

mod binary;
mod certificates;
mod changes;
mod cookies;
#[cfg(feature = "kafka")]
mod demo;
mod fetching;
pub(crate) mod issuer;
mod key_server;
mod life;
mod listing;
mod matrix;
mod numbers;
mod only;
#[cfg(feature = "kafka")]
mod secrets;
mod tickets;
mod unread;

use riverhead::{
    auth::{Authenticator, settings::AuthSettings},
    catalog::{Access, Catalog, Stream},
    http::settings::HttpSettings,
    metrics::AuthMetrics,
};
use tokio_rustls::TlsConnector;

use crate::{
    support::gateway::{TestCertificates, TestClient, TestGateway, TestResponse, nothing, plenty},
    tls::authority::Files,
};

/// A gateway that looks at credentials.
struct AuthGateway {
    gateway: TestGateway,
    authenticator: Authenticator,
}

impl AuthGateway {
    fn start(settings: &AuthSettings) -> Self {
        Self::with(settings, None, |_| {})
    }

    fn with(
        settings: &AuthSettings,
        connector: Option<TlsConnector>,
        change: impl FnOnce(&mut HttpSettings),
    ) -> Self {
        let auth_metrics = AuthMetrics::default();
        let authenticator = Authenticator::with_connector(settings, &auth_metrics, connector).unwrap();
        authenticator.start();
        let certificates = TestCertificates {
            auth: Some(authenticator.clone()),
            auth_metrics,
            ..TestCertificates::default()
        };
        let gateway = TestGateway::with_tls(catalog(), nothing(), plenty(), change, certificates);
        Self {
            gateway,
            authenticator,
        }
    }

    /// Sends a request with these header lines from an address of its own, which was refused nothing yet. Returns the response: its
    /// head alone if it is a stream.
    async fn ask(&self, target: &str, headers: &str) -> TestResponse {
        let mut client = self.client().await;
        let request = format!("GET {target} HTTP/1.1\r\nhost: test\r\n{headers}connection: close\r\n\r\n");
        client.send(&request).await;
        let head = client.head().await;
        let mut response = TestResponse {
            status: head[9..12].parse().unwrap(),
            head,
            body: String::new(),
        };
        if let Some(length) = response.header("content-length") {
            let length = length.parse().unwrap();
            response.body = client.exactly(length).await;
        }
        response
    }

    /// Sends a request whose response lasts to the end of the connection, as one without a length does in HTTP/1.0.
    async fn ask_http_1_0(&self, target: &str, headers: &str) -> TestResponse {
        let mut client = self.client().await;
        client
            .send(&format!("GET {target} HTTP/1.0\r\nhost: test\r\n{headers}\r\n"))
            .await;
        client.answer().await
    }

    /// Connects from an address of its own.
    async fn client(&self) -> TestClient {
        let [_, a, b, c] = fastrand::u32(..).to_be_bytes();
        TestClient::from([127, a, b, c.clamp(1, 254)], self.gateway.public).await
    }
}

/// A stream for everybody, one for the scope `read`, one of which it gets what is its own, and one for the scopes `admin` and `more`.
fn catalog() -> Catalog {
    let mut owned = Stream::new("owned", ["eqiad.owned"]);
    owned.access = scopes(&["read"]);
    owned.only = Some("owner = $sub".into());
    let mut scoped = Stream::new("scoped", ["eqiad.scoped"]);
    scoped.access = scopes(&["read"]);
    let mut secret = Stream::new("secret", ["eqiad.secret"]);
    secret.access = scopes(&["admin", "more"]);
    secret.filter_fields = vec!["codename".into()];
    Catalog::new(vec![Stream::new("open", ["eqiad.open"]), scoped, owned, secret]).unwrap()
}

pub(crate) fn scopes(names: &[&str]) -> Access {
    Access::Scopes(names.iter().map(|name| (*name).into()).collect())
}

/// Returns the header line of a credential.
fn bearer(credential: &str) -> String {
    format!("authorization: Bearer {credential}\r\n")
}

/// Writes a file of keys with an entry for each of these names and scopes. Returns the keys.
pub(crate) fn api_keys<const N: usize>(files: &Files, entries: [(&str, &str); N]) -> [String; N] {
    entries.map(|(name, scope)| {
        let new = riverhead::auth::NewKey {
            name: name.into(),
            scopes: vec![scope.into()],
            ..riverhead::auth::NewKey::default()
        };
        let key = riverhead::auth::append(&files.path("keys.toml"), &new).unwrap();
        key.secret().to_owned()
    })
}
