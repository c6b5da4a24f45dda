//! Putting another catalog in force while streams are open.
//!
//! Not here: which streams end (`routes::standing`), and what Kafka is asked for (`kafka`).

use std::sync::Arc;

use super::{open_streams::OpenStreams, routes::standing::reason_to_end};
use crate::{
    catalog::{Catalog, CurrentCatalog},
    limits::evict_all,
    metrics::HttpMetrics,
};

/// Puts catalogs in force.
#[derive(Clone, Debug)]
pub struct CatalogSwitch {
    catalog: CurrentCatalog,
    open_streams: OpenStreams,
    metrics: HttpMetrics,
}

impl CatalogSwitch {
    /// Creates the switch of a gateway that has these.
    pub fn new(catalog: &CurrentCatalog, open_streams: &OpenStreams, metrics: &HttpMetrics) -> Self {
        Self {
            catalog: catalog.clone(),
            open_streams: open_streams.clone(),
            metrics: metrics.clone(),
        }
    }

    /// Returns the catalog that is in force.
    pub fn catalog(&self) -> Arc<Catalog> {
        self.catalog.get()
    }

    /// Puts a catalog in force, and ends the open streams that cannot go on under it within half a second. Returns how many these
    /// are. Must be called inside a runtime.
    pub fn set(&self, catalog: &Arc<Catalog>) -> usize {
        let before = self.catalog.get();
        // First, so that a stream which is not among the open ones yet finds that the catalog has changed.
        self.catalog.set(Arc::clone(catalog));
        let ending = self
            .open_streams
            .find(|open| reason_to_end(&before, catalog, open));
        let count = ending.len();
        if count > 0 {
            tokio::spawn(evict_all(ending));
        }
        self.metrics.keep_streams(|name| catalog.has(name));
        count
    }
}
