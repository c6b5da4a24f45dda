//! Whose word on who asks is taken.

use std::sync::Arc;

use ipnet::IpNet;
use parking_lot::RwLock;

use super::canonical;

/// The networks of trusted proxies; none by default. Clones change together.
#[derive(Clone, Debug, Default)]
pub struct TrustedNetworks(Arc<RwLock<Arc<[IpNet]>>>);

impl TrustedNetworks {
    /// These.
    pub fn new(networks: &[IpNet]) -> Self {
        Self(Arc::new(RwLock::new(canonical_all(networks))))
    }

    /// Takes these in place of those before, for requests from now on.
    pub fn set(&self, networks: &[IpNet]) {
        *self.0.write() = canonical_all(networks);
    }

    /// Those of this moment.
    pub fn networks(&self) -> Arc<[IpNet]> {
        Arc::clone(&self.0.read())
    }
}

/// Addresses are compared in their canonical form, and so must networks be.
fn canonical_all(networks: &[IpNet]) -> Arc<[IpNet]> {
    networks.iter().copied().map(canonical).collect()
}
