//! TLS of the listeners, as clients and operators meet it.

pub(crate) mod authority;
mod bare_socket;
mod binary;
mod bounds;
pub(crate) mod client;
mod client_certificates;
mod handshakes;
mod key_updates;
mod raw_client;
mod reload;
mod response_events;
#[cfg(feature = "kafka")]
mod s_client;
mod streams;
mod tickets;

use std::{sync::Arc, time::Duration};

use riverhead::{
    http::settings::HttpSettings,
    limits::settings::LimitSettings,
    metrics::TlsMetrics,
    tls::{TlsServer, settings::TlsSettings},
};

use tokio::time::{sleep, timeout};
use tokio_rustls::rustls::ServerConfig;

use crate::support::{
    gateway::{DEADLINE, TestCertificates, TestGateway, catalog, nothing, plenty},
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

    /// Looks at the files this often from now on.
    fn watch(&self, every: Duration) {
        tokio::spawn(self.server.clone().watch(self.gateway.health.clone(), every));
    }

    /// How many handshakes ended this way.
    async fn handshakes(&self, version: &str, resumption: &str, outcome: &str) -> f64 {
        self.gateway
            .metric(&handshakes(version, resumption, outcome))
            .await
    }
}

pub(crate) fn certificates(settings: &TlsSettings) -> (TlsServer, TestCertificates) {
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

/// Waits until another configuration is served than this.
async fn until_changed(gateway: &TlsGateway, before: &Arc<ServerConfig>) {
    let changed = async {
        while Arc::ptr_eq(before, &gateway.server.config()) {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(DEADLINE, changed)
        .await
        .expect("the new settings are served");
}
