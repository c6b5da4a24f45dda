//! The choice of a certificate by the name that a client asks for.

use std::sync::Arc;

use tokio_rustls::rustls::{
    SignatureScheme,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

use super::certificate::Certificate;

/// The certificates of a listener, in the order of the configuration.
#[derive(Debug)]
pub(super) struct CertificateResolver(pub(super) Vec<Arc<Certificate>>);

impl CertificateResolver {
    /// Returns the first certificate for `name` whose key the client can check. Returns the first of all if the client names
    /// nobody, or nobody that is known: an address has no name, and a health check may use any.
    fn choose(&self, name: Option<&str>, schemes: &[SignatureScheme]) -> Option<&Arc<Certificate>> {
        let is_understood = |own: &&Arc<Certificate>| own.key.key.choose_scheme(schemes).is_some();
        let name = name.map(str::to_ascii_lowercase);
        let is_named = |own: &&Arc<Certificate>| name.as_ref().is_some_and(|name| own.is_for(name));
        self.0
            .iter()
            .find(|own| is_named(own) && is_understood(own))
            .or_else(|| self.0.iter().find(is_understood))
            .or_else(|| self.0.first())
    }
}

impl ResolvesServerCert for CertificateResolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let chosen = self.choose(hello.server_name(), hello.signature_schemes());
        chosen.map(|chosen| Arc::clone(&chosen.key))
    }
}
