//! The networks of trusted proxies.
//!
//! Not here: the headers that name the client (`trusted_proxies`).

use std::sync::Arc;

use ipnet::IpNet;
use parking_lot::RwLock;

use super::canonical;

/// The networks of trusted proxies, none by default. Clones change together.
#[derive(Clone, Debug, Default)]
pub struct TrustedNetworks(Arc<RwLock<Arc<[IpNet]>>>);

impl TrustedNetworks {
    /// Creates a set of these networks.
    pub fn new(networks: &[IpNet]) -> Self {
        Self(Arc::new(RwLock::new(canonical_all(networks))))
    }

    /// Replaces the networks, for later requests.
    pub fn set(&self, networks: &[IpNet]) {
        *self.0.write() = canonical_all(networks);
    }

    /// Returns the present networks.
    pub fn networks(&self) -> Arc<[IpNet]> {
        Arc::clone(&self.0.read())
    }
}

/// Returns the networks in canonical form, since addresses are compared in theirs.
fn canonical_all(networks: &[IpNet]) -> Arc<[IpNet]> {
    networks.iter().copied().map(canonical).collect()
}
