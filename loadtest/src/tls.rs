//! TLS of a server under test, and of its clients.

use std::{fs, io, sync::Arc};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore,
    client::Resumption,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName},
    version::TLS13,
};
use tempfile::TempDir;

/// A certificate for one server, in files that are removed with this.
#[derive(Debug)]
pub struct ServerCertificate {
    directory: TempDir,
    trust: TlsTrust,
}

/// What the clients of that server trust. They speak HTTP/1.1 over TLS 1.3, and do a full handshake each.
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
        let path = |name| self.directory.path().join(name).display().to_string();
        let pair = format!(
            "[{{ certificate = {:?}, key = {:?} }}]",
            path(CERTIFICATE),
            path(KEY)
        );
        [
            ("RIVERHEAD_HTTP__TLS__LISTEN", "127.0.0.1:0".into()),
            ("RIVERHEAD_HTTP__TLS__CERTIFICATES", pair),
        ]
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
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.resumption = Resumption::disabled();
        Ok(Self(Arc::new(config)))
    }

    /// Starts the handshake of a client.
    pub(crate) fn begin(&self) -> io::Result<ClientConnection> {
        let name = ServerName::try_from(NAME).map_err(io::Error::other)?;
        ClientConnection::new(Arc::clone(&self.0), name).map_err(io::Error::other)
    }
}

/// The name in the certificate.
const NAME: &str = "localhost";

const CERTIFICATE: &str = "cert.pem";
const KEY: &str = "key.pem";
