//! The catalog that is in force, which a reload replaces.

use std::sync::Arc;

use parking_lot::RwLock;

use super::Catalog;

/// The catalog that is in force. Clones share it.
#[derive(Clone, Debug)]
pub struct CurrentCatalog(Arc<RwLock<Arc<Catalog>>>);

impl CurrentCatalog {
    /// Returns the catalog. A request reads it once, so that all of it is decided by the same one.
    pub fn get(&self) -> Arc<Catalog> {
        Arc::clone(&self.0.read())
    }

    /// Puts another catalog in force.
    pub fn set(&self, catalog: Arc<Catalog>) {
        *self.0.write() = catalog;
    }

    /// Whether this catalog is in force.
    pub fn is(&self, catalog: &Arc<Catalog>) -> bool {
        Arc::ptr_eq(&self.0.read(), catalog)
    }
}

impl From<Catalog> for CurrentCatalog {
    fn from(catalog: Catalog) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(catalog))))
    }
}
