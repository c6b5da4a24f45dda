//! TLS as browsers use it, without exceptions: with the system's root certificates (or those of `SSL_CERT_FILE`), or with those of
//! one file.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, ProtocolVersion, RootCertStore,
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    },
};
use x509_cert::{Certificate, der::Decode};

use super::failure::StreamError;
use crate::tls::client::system_roots;

/// Whom a probe trusts, and what it shows of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsOptions {
    /// The file with the authorities to trust, in place of the system's.
    pub ca: Option<PathBuf>,
    /// The files of the probe's own certificate and its key.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// What a probe saw of a handshake.
#[derive(Clone, Debug)]
pub(crate) struct TlsDetails {
    /// The version, such as `TLS 1.3`.
    pub(crate) version: &'static str,
    /// How many certificates the gateway sent.
    pub(crate) chain: usize,
    /// When the first of them expires. An expired intermediate ends trust as surely as the gateway's own.
    pub(crate) expires: Option<SystemTime>,
}

/// Returns a connector by these rules.
///
/// # Errors
/// If a file cannot be used, or the system has no root certificates.
pub(crate) fn connector(tls: &TlsOptions) -> Result<TlsConnector, StreamError> {
    let roots = match &tls.ca {
        Some(ca) => roots_of(ca)?,
        None => system_roots().map_err(StreamError::Tls)?,
    };
    // The provider is set explicitly, because a feature that a dependency turns on must not choose the cryptography.
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| StreamError::Tls(error.to_string()))?
        .with_root_certificates(roots);
    let config = match &tls.client {
        None => config.with_no_client_auth(),
        Some((certificate, key)) => config
            .with_client_auth_cert(certificates(certificate)?, private_key(key)?)
            .map_err(|error| StreamError::Tls(format!("{}: {error}", certificate.display())))?,
    };
    Ok(TlsConnector::from(Arc::new(config)))
}

fn roots_of(path: &Path) -> Result<RootCertStore, StreamError> {
    let mut roots = RootCertStore::empty();
    for authority in certificates(path)? {
        let added = roots.add(authority);
        added.map_err(|error| StreamError::Tls(format!("{}: {error}", path.display())))?;
    }
    Ok(roots)
}

/// Reads the certificates of a file, of which there must be one.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, StreamError> {
    let unfit = |why: &dyn std::fmt::Display| StreamError::Tls(format!("{}: {why}", path.display()));
    let found = CertificateDer::pem_file_iter(path).map_err(|error| unfit(&error))?;
    let found: Vec<_> = found.collect::<Result<_, _>>().map_err(|error| unfit(&error))?;
    match found.is_empty() {
        true => Err(unfit(&"it contains no certificate in PEM")),
        false => Ok(found),
    }
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, StreamError> {
    // The error may not be shown: it could quote the key.
    PrivateKeyDer::from_pem_file(path)
        .map_err(|_| StreamError::Tls(format!("{}: it contains no private key in PEM", path.display())))
}

pub(crate) async fn handshake(
    connector: &TlsConnector,
    host: &str,
    socket: TcpStream,
) -> Result<TlsStream<TcpStream>, StreamError> {
    let name = ServerName::try_from(host.to_owned()).map_err(|error| StreamError::Tls(error.to_string()))?;
    let shaken = connector.connect(name, socket).await;
    shaken.map_err(StreamError::Handshake)
}

/// Returns what was seen of the handshake.
pub(crate) fn details(stream: &TlsStream<TcpStream>) -> TlsDetails {
    let (_, session) = stream.get_ref();
    let chain = session.peer_certificates().unwrap_or_default();
    TlsDetails {
        version: match session.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => "TLS 1.3",
            _ => "TLS 1.2",
        },
        chain: chain.len(),
        expires: chain.iter().filter_map(expiry).min(),
    }
}

fn expiry(certificate: &CertificateDer<'_>) -> Option<SystemTime> {
    let certificate = Certificate::from_der(certificate).ok()?;
    let end = certificate.tbs_certificate().validity().not_after;
    Some(SystemTime::UNIX_EPOCH + end.to_unix_duration())
}
