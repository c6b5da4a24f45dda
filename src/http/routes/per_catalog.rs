//! What is made once for a catalog, and anew when another one is in force.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::catalog::Catalog;

/// A value that is made of the catalog in force, and kept for as long as that is.
#[derive(Debug)]
pub(super) struct PerCatalog<T> {
    make: fn(&Arc<Catalog>) -> T,
    made: Mutex<(Arc<Catalog>, Arc<T>)>,
}

impl<T> PerCatalog<T> {
    /// Makes the value for this catalog.
    pub(super) fn new(catalog: &Arc<Catalog>, make: fn(&Arc<Catalog>) -> T) -> Self {
        let made = Arc::new(make(catalog));
        Self {
            make,
            made: Mutex::new((Arc::clone(catalog), made)),
        }
    }

    /// Returns the value for this catalog.
    pub(super) fn get(&self, catalog: &Arc<Catalog>) -> Arc<T> {
        let mut made = self.made.lock();
        if !Arc::ptr_eq(&made.0, catalog) {
            *made = (Arc::clone(catalog), Arc::new((self.make)(catalog)));
        }
        Arc::clone(&made.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Stream;

    #[test]
    fn a_value_is_made_once_for_a_catalog_and_again_for_the_next() {
        let catalog = |topic| Arc::new(Catalog::new(vec![Stream::new("s", [topic])]).unwrap());
        let topic = |catalog: &Arc<Catalog>| catalog.streams().next().unwrap().topics[0].to_string();
        let (first, second) = (catalog("a"), catalog("b"));
        let values = PerCatalog::new(&first, topic);
        assert!(Arc::ptr_eq(&values.get(&first), &values.get(&first)));
        assert_eq!(*values.get(&second), "b");
        assert_eq!(*values.get(&first), "a");
    }
}
