//! TLS of the listeners, as clients and operators meet it.

pub(crate) mod authority;
mod binary;
mod bounds;
mod client;
mod client_certificates;
mod handshakes;
mod reload;
mod streams;

use riverhead::{
    http::settings::HttpSettings,
    limits::settings::LimitSettings,
    metrics::TlsMetrics,
    tls::{TlsServer, settings::TlsSettings},
};

use crate::support::{
    gateway::{TestCertificates, TestGateway, catalog, nothing, plenty},
    model::ModelFixture,
};

/// A gateway with TLS on a second public listener, and what it serves TLS with.
struct TlsGateway {
    gateway: TestGateway,
    server: TlsServer,
}

impl TlsGateway {
    /// One that serves nothing but answers.
    fn start(settings: &TlsSettings) -> Self {
        Self::limited(settings, plenty(), |_| {})
    }

    /// The same, with these limits and deviations from the default settings.
    fn limited(
        settings: &TlsSettings,
        limits: LimitSettings,
        change: impl FnOnce(&mut HttpSettings),
    ) -> Self {
        let (server, certificates) = certificates(settings);
        let gateway = TestGateway::with_tls(catalog(), nothing(), limits, change, certificates);
        Self { gateway, server }
    }

    /// One that serves the topic of this model as `edits`.
    fn of(fixture: &ModelFixture, settings: &TlsSettings, change: impl FnOnce(&mut HttpSettings)) -> Self {
        let (server, certificates) = certificates(settings);
        let source = fixture.source.clone();
        let gateway = TestGateway::with_tls(
            crate::support::gateway::edits(),
            source,
            plenty(),
            change,
            certificates,
        );
        Self { gateway, server }
    }

    /// The address of the listener with TLS.
    fn https(&self) -> std::net::SocketAddr {
        self.gateway.https.unwrap()
    }

    /// How many handshakes ended this way.
    async fn handshakes(&self, version: &str, resumption: &str, outcome: &str) -> f64 {
        self.gateway
            .metric(&handshakes(version, resumption, outcome))
            .await
    }
}

fn certificates(settings: &TlsSettings) -> (TlsServer, TestCertificates) {
    let metrics = TlsMetrics::default();
    let server = TlsServer::load("http", settings, &metrics).unwrap();
    let certificates = TestCertificates {
        metrics,
        http: Some(server.clone()),
        ..TestCertificates::default()
    };
    (server, certificates)
}

/// The name of the metric, as it stands in the text.
fn handshakes(version: &str, resumption: &str, outcome: &str) -> String {
    format!(
        "riverhead_tls_handshakes_total{{listener=\"http\",version=\"{version}\",resumption=\"{resumption}\",\
         outcome=\"{outcome}\"}}"
    )
}
