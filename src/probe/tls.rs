//! TLS as browsers use it: with the system's root certificates (or those of `SSL_CERT_FILE`), and without exceptions.

use std::{io, sync::Arc, time::SystemTime};

use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs, pki_types::ServerName},
};
use x509_cert::{Certificate, der::Decode};

use super::failure::ProbeError;

/// Returns a connector that trusts the root certificates of this system.
///
/// # Errors
/// If the system has no root certificates.
pub(super) fn connector() -> Result<TlsConnector, ProbeError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let why = found
            .errors
            .first()
            .map_or_else(String::new, |error| format!(": {error}"));
        return Err(ProbeError::Tls(format!(
            "this system has no root certificates{why}"
        )));
    }
    // The provider is set explicitly, because a feature that a dependency turns on must not choose the cryptography.
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| ProbeError::Tls(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

pub(super) async fn handshake(
    connector: &TlsConnector,
    host: &str,
    socket: TcpStream,
) -> Result<TlsStream<TcpStream>, ProbeError> {
    let name = ServerName::try_from(host.to_owned()).map_err(|error| ProbeError::Tls(error.to_string()))?;
    let shaken = connector.connect(name, socket).await;
    shaken.map_err(|error: io::Error| ProbeError::Tls(error.to_string()))
}

/// Returns when the first certificate of the peer's chain expires. An expired intermediate ends trust as surely as the peer's
/// own.
pub(super) fn expiry(stream: &TlsStream<TcpStream>) -> Option<SystemTime> {
    let chain = stream.get_ref().1.peer_certificates()?;
    let ends = chain.iter().filter_map(|certificate| {
        let certificate = Certificate::from_der(certificate).ok()?;
        let end = certificate.tbs_certificate().validity().not_after;
        Some(SystemTime::UNIX_EPOCH + end.to_unix_duration())
    });
    ends.min()
}
