//! Whose word on who asks is taken.

use std::sync::Arc;

use ipnet::IpNet;
use parking_lot::RwLock;

/// The networks of trusted proxies; none by default. Clones change together.
#[derive(Clone, Debug, Default)]
pub struct Trusted(Arc<RwLock<Arc<[IpNet]>>>);

impl Trusted {
    /// These, without host bits.
    pub fn new(networks: &[IpNet]) -> Self {
        Self(Arc::new(RwLock::new(networks.into())))
    }

    /// Takes these in place of those before, for requests from now on.
    pub fn set(&self, networks: &[IpNet]) {
        *self.0.write() = networks.into();
    }

    /// Those of this moment.
    pub fn networks(&self) -> Arc<[IpNet]> {
        Arc::clone(&self.0.read())
    }
}
