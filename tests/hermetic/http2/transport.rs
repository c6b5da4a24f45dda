//! Gateways that are met over TCP, or over TLS.

use std::{ops::Deref, sync::Arc};

use riverhead::{
    catalog::Catalog, http::settings::HttpSettings, limits::settings::LimitSettings, subscription::LogSource,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::rustls::ClientConfig;

use crate::{
    support::gateway::{TestCertificates, TestGateway, catalog, nothing, plenty},
    tls::{
        self,
        authority::localhost,
        client::{TestTls, connect},
    },
};

/// What HTTP/2 is spoken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TestTransport {
    /// TCP alone, with prior knowledge.
    Tcp,
    /// TLS, where both sides agree on it (ALPN).
    Tls,
}

tokio::task_local! {
    static TRANSPORT: TestTransport;
}

/// Runs a test whose gateways are met over this transport.
pub(crate) async fn with_transport<T>(transport: TestTransport, test: impl Future<Output = T>) -> T {
    TRANSPORT.scope(transport, test).await
}

/// Turns each of these into a test for each transport.
macro_rules! on_both_transports {
    ($($test:ident)*) => {$(
        mod $test {
            use crate::http2::transport::{TestTransport, with_transport};

            #[tokio::test]
            async fn over_tcp() {
                with_transport(TestTransport::Tcp, super::$test()).await;
            }

            #[tokio::test]
            async fn over_tls() {
                with_transport(TestTransport::Tls, super::$test()).await;
            }
        }
    )*};
}

pub(crate) use on_both_transports;

/// A connection to a gateway.
pub(crate) trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

/// A gateway, and what is needed to connect to it.
pub(crate) struct H2Gateway {
    gateway: TestGateway,
    /// What clients speak, if it is TLS.
    tls: Option<Arc<ClientConfig>>,
}

impl H2Gateway {
    /// Starts a gateway with these changes to the default settings. Kafka does not answer.
    pub(crate) fn start(change: impl FnOnce(&mut HttpSettings)) -> Self {
        Self::limited(catalog(), nothing(), plenty(), change)
    }

    /// Starts a gateway for these streams with these limits.
    pub(crate) fn limited(
        catalog: Catalog,
        source: LogSource,
        limits: LimitSettings,
        change: impl FnOnce(&mut HttpSettings),
    ) -> Self {
        let (certificates, tls) = match TRANSPORT.get() {
            TestTransport::Tcp => (TestCertificates::default(), None),
            TestTransport::Tls => {
                let (authority, _files, settings) = localhost();
                let tls = TestTls {
                    alpn: &["h2"],
                    ..TestTls::new(&authority)
                };
                (tls::certificates(&settings).1, Some(tls.config()))
            }
        };
        let gateway = TestGateway::with_tls(catalog, source, limits, change, certificates);
        Self { gateway, tls }
    }

    /// Connects to the public listener.
    pub(crate) async fn connect(&self) -> Box<dyn Socket> {
        match &self.tls {
            None => Box::new(TcpStream::connect(self.public).await.unwrap()),
            Some(config) => {
                let address = self.https.expect("a listener");
                Box::new(connect(config, address, "localhost").await.unwrap())
            }
        }
    }

    /// Returns the gateway itself.
    pub(crate) fn into_inner(self) -> TestGateway {
        self.gateway
    }
}

impl Deref for H2Gateway {
    type Target = TestGateway;

    fn deref(&self) -> &TestGateway {
        &self.gateway
    }
}
