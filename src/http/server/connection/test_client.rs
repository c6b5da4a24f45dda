//! A client of the connections under test, without TLS or with it.

use std::{fs, sync::Arc};

use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs, pki_types::ServerName},
};
use tokio_util::either::Either;

use crate::{
    metrics::TlsMetrics,
    tls::{
        TlsServer,
        settings::{CertificateFiles, TlsSettings},
    },
};

/// The client's end of a connection: the socket, or TLS above it.
pub(super) type TestClient = Either<TcpStream, Box<TlsStream<TcpStream>>>;

/// A certificate for `localhost`, and what trusts it.
pub(super) struct TestTls {
    pub(super) server: TlsServer,
    client: Arc<ClientConfig>,
}

impl TestTls {
    pub(super) fn new() -> Self {
        let issued = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let directory = TempDir::new().unwrap();
        let files = CertificateFiles {
            certificate: directory.path().join("cert.pem"),
            key: directory.path().join("key.pem"),
        };
        fs::write(&files.certificate, issued.cert.pem()).unwrap();
        fs::write(&files.key, issued.signing_key.serialize_pem()).unwrap();
        let settings = TlsSettings {
            certificates: vec![files],
            // So few that the keys change in each test.
            key_update_after: 10,
            ..TlsSettings::default()
        };
        let mut roots = RootCertStore::empty();
        roots.add(issued.cert.der().clone()).unwrap();
        let client = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self {
            server: TlsServer::load("http", &settings, &TlsMetrics::default()).unwrap(),
            client: Arc::new(client),
        }
    }

    pub(super) async fn connect(&self, socket: TcpStream) -> TestClient {
        let connector = TlsConnector::from(Arc::clone(&self.client));
        let name = ServerName::try_from("localhost").unwrap();
        TestClient::Right(Box::new(connector.connect(name, socket).await.unwrap()))
    }
}

pub(super) fn is_tls(client: &TestClient) -> bool {
    matches!(client, TestClient::Right(_))
}

/// Lets the close of a client's socket reset the connection.
pub(super) fn set_zero_linger(client: &TestClient) {
    let socket = match client {
        TestClient::Left(socket) => socket,
        TestClient::Right(stream) => stream.get_ref().0,
    };
    socket.set_zero_linger().unwrap();
}
