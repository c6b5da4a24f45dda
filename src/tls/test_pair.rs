//! A server's session and a client of rustls, without a socket between them.

use std::{
    io::{ErrorKind, Read},
    sync::Arc,
};

use rcgen::generate_simple_self_signed;
use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, Error, RootCertStore, ServerConfig, SupportedCipherSuite,
    SupportedProtocolVersion,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{PrivateKeyDer, ServerName},
    version::TLS13,
};

use super::{TlsRecords, records::SecretLog, session::TlsSession};

/// Both ends of a connection whose handshake is complete.
pub(crate) struct Pair {
    pub(crate) session: TlsSession,
    pub(crate) client: ClientConnection,
}

impl Pair {
    /// Connects with TLS 1.3 and this cipher.
    pub(crate) fn new(suite: SupportedCipherSuite) -> Self {
        Self::connect(suite, &TLS13)
    }

    pub(crate) fn connect(suite: SupportedCipherSuite, version: &'static SupportedProtocolVersion) -> Self {
        let (server, client) = configs(suite, version);
        let name = ServerName::try_from("localhost").unwrap();
        let mut client = ClientConnection::new(client, name).unwrap();
        let first = written(&mut client);
        let session = TlsSession::begin(server, &first).unwrap();
        let mut pair = Self { session, client };
        while pair.client.is_handshaking() || pair.session.common().is_handshaking() {
            pair.deliver().unwrap();
            let bytes = written(&mut pair.client);
            pair.arrive(&bytes).unwrap();
        }
        // The tickets come behind the handshake.
        pair.deliver().unwrap();
        pair
    }

    /// Lets bytes of the client arrive, and opens them.
    pub(crate) fn arrive(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.arrive_unopened(bytes);
        self.session.process()
    }

    /// Lets bytes of the client arrive.
    pub(crate) fn arrive_unopened(&mut self, bytes: &[u8]) {
        self.session.room().unwrap().extend_from_slice(bytes);
    }

    /// Writes all that the session has. Returns the text that the client reads.
    pub(crate) fn deliver(&mut self) -> Result<Vec<u8>, Error> {
        let bytes = self.session.outgoing().to_vec();
        self.session.advance(bytes.len());
        read(&mut self.client, &bytes)
    }
}

/// Returns the records of a stream that has left rustls behind its head, and its client.
pub(crate) fn stream(key_update_after: u32) -> (TlsRecords, ClientConnection) {
    let mut pair = Pair::new(TLS13_SUITES[0]);
    pair.session.seal(b"head").unwrap();
    pair.deliver().unwrap();
    let records = pair.session.into_records(key_update_after, &mut 0);
    (records.unwrap(), pair.client)
}

/// Returns what the client has to write.
pub(crate) fn written(client: &mut ClientConnection) -> Vec<u8> {
    let mut bytes = Vec::new();
    while client.wants_write() {
        client.write_tls(&mut bytes).unwrap();
    }
    bytes
}

/// Lets the client read these bytes. Returns the text in them.
pub(crate) fn read(client: &mut ClientConnection, mut bytes: &[u8]) -> Result<Vec<u8>, Error> {
    let mut text = Vec::new();
    while !bytes.is_empty() {
        client.read_tls(&mut bytes).unwrap();
        client.process_new_packets()?;
        // Ends with an error once there is nothing to read.
        match client.reader().read_to_end(&mut text) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
    }
    Ok(text)
}

/// Every cipher of TLS 1.3.
pub(crate) const TLS13_SUITES: [SupportedCipherSuite; 3] = [
    aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256,
    aws_lc_rs::cipher_suite::TLS13_AES_256_GCM_SHA384,
    aws_lc_rs::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
];

fn configs(
    suite: SupportedCipherSuite,
    version: &'static SupportedProtocolVersion,
) -> (Arc<ServerConfig>, Arc<ClientConfig>) {
    let provider = Arc::new(CryptoProvider {
        cipher_suites: vec![suite],
        ..aws_lc_rs::default_provider()
    });
    let issued = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(issued.signing_key.serialize_der()).unwrap();
    let mut server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![issued.cert.der().clone()], key)
        .unwrap();
    server.enable_secret_extraction = true;
    server.key_log = Arc::new(SecretLog);
    let mut roots = RootCertStore::empty();
    roots.add(issued.cert.der().clone()).unwrap();
    let mut client = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    client.enable_secret_extraction = true;
    (Arc::new(server), Arc::new(client))
}
