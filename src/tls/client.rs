//! TLS of connections that riverhead opens itself: whom it trusts.
//!
//! Not here: what a probe shows of itself, and what it sees of a handshake (`probe`).

use std::sync::Arc;

use tokio_rustls::{
    TlsConnector,
    rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs},
};

/// Returns the system's root certificates, or those of `SSL_CERT_FILE`.
///
/// # Errors
/// When there are none.
pub fn system_roots() -> Result<RootCertStore, String> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let why = found
            .errors
            .first()
            .map_or_else(String::new, |error| format!(": {error}"));
        return Err(format!("this system has no root certificates{why}"));
    }
    Ok(roots)
}

/// Returns a connector that trusts these authorities, and shows no certificate of its own.
///
/// # Errors
/// When rustls refuses its own defaults.
pub fn connector(roots: RootCertStore) -> Result<TlsConnector, String> {
    // The provider is set explicitly, because a feature that a dependency turns on must not choose the cryptography.
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
