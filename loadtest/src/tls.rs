//! TLS of a server under test, and of its clients.

mod session_pool;

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore,
    client::Resumption,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName},
    version::TLS13,
};
use tempfile::TempDir;

pub use session_pool::SessionPool;

/// A certificate for one server, in files that are removed with this.
#[derive(Debug)]
pub struct ServerCertificate {
    directory: TempDir,
    trust: TlsTrust,
}

/// What the clients of that server trust, and how they connect: by default they speak HTTP/1.1 over TLS 1.3, and do a full
/// handshake each.
#[derive(Clone, Debug)]
pub struct TlsTrust(Arc<ClientConfig>);

impl ServerCertificate {
    /// Creates a certificate.
    ///
    /// # Errors
    /// If its files cannot be written, or rustls refuses it.
    pub fn create() -> io::Result<Self> {
        let issued = rcgen::generate_simple_self_signed([NAME.to_owned()]).map_err(io::Error::other)?;
        let directory = TempDir::new()?;
        fs::write(directory.path().join(CERTIFICATE), issued.cert.pem())?;
        fs::write(directory.path().join(KEY), issued.signing_key.serialize_pem())?;
        Ok(Self {
            directory,
            trust: TlsTrust::in_certificate(issued.cert.into())?,
        })
    }

    /// Returns the settings with which riverhead serves it, as environment variables.
    pub fn settings(&self) -> [(&'static str, String); 2] {
        let pair = format!(
            "[{{ certificate = {:?}, key = {:?} }}]",
            self.certificate(),
            self.key()
        );
        [
            ("RIVERHEAD_HTTP__TLS__LISTEN", "127.0.0.1:0".into()),
            ("RIVERHEAD_HTTP__TLS__CERTIFICATES", pair),
        ]
    }

    /// Returns the path of the certificate.
    pub fn certificate(&self) -> PathBuf {
        self.directory.path().join(CERTIFICATE)
    }

    /// Returns the path of its key.
    pub fn key(&self) -> PathBuf {
        self.directory.path().join(KEY)
    }

    /// Returns a directory for more files of the server. It is removed with this.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Returns what its clients trust.
    pub fn trust(&self) -> TlsTrust {
        self.trust.clone()
    }
}

impl TlsTrust {
    fn in_certificate(certificate: CertificateDer<'static>) -> io::Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(certificate).map_err(io::Error::other)?;
        let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&TLS13])
            .map_err(io::Error::other)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![HTTP1.to_vec()];
        config.resumption = Resumption::disabled();
        Ok(Self(Arc::new(config)))
    }

    /// Makes the clients speak HTTP/2.
    #[must_use]
    pub fn over_http2(&self) -> Self {
        let mut config = ClientConfig::clone(&self.0);
        config.alpn_protocols = vec![HTTP2.to_vec()];
        Self(Arc::new(config))
    }

    /// Makes the clients keep their sessions in this pool, and resume them.
    #[must_use]
    pub fn resuming(&self, sessions: &Arc<SessionPool>) -> Self {
        let mut config = ClientConfig::clone(&self.0);
        let sessions: Arc<SessionPool> = Arc::clone(sessions);
        config.resumption = Resumption::store(sessions);
        Self(Arc::new(config))
    }

    /// Returns whether the clients speak HTTP/2.
    pub(crate) fn is_http2(&self) -> bool {
        self.0.alpn_protocols.first().is_some_and(|name| name == HTTP2)
    }

    /// Starts the handshake of a client.
    pub(crate) fn begin(&self) -> io::Result<ClientConnection> {
        let name = ServerName::try_from(NAME).map_err(io::Error::other)?;
        ClientConnection::new(Arc::clone(&self.0), name).map_err(io::Error::other)
    }
}

/// The names of the protocols (ALPN).
const HTTP1: &[u8] = b"http/1.1";
const HTTP2: &[u8] = b"h2";

/// The name in the certificate.
const NAME: &str = "localhost";

const CERTIFICATE: &str = "cert.pem";
const KEY: &str = "key.pem";
