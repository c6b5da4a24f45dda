//! The streams of a gateway that runs, and how a reload changes them.
//!
//! Not here: which open streams end (`http`), and how topics come and go (`kafka`).

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::task::spawn_blocking;

use super::{
    StartError,
    clusters::{Clusters, PreparedClusters},
    former_topics::{FormerTopics, KnownTopics},
};
use crate::{
    catalog::{Catalog, Stream},
    config::Config,
    health::{self, Health},
    http::CatalogSwitch,
};

/// Changes the streams of a gateway that runs.
#[derive(Clone)]
pub(super) struct StreamReloader {
    pub(super) clusters: Clusters,
    pub(super) former_topics: Arc<Mutex<FormerTopics>>,
    pub(super) switch: CatalogSwitch,
    pub(super) health: Health,
}

/// Other streams, for which all is prepared that may fail.
pub(super) struct PreparedStreams {
    catalog: Arc<Catalog>,
    clusters: PreparedClusters,
    known_topics: KnownTopics,
}

impl StreamReloader {
    /// Prepares for the streams of another configuration. Nothing changes yet. A blocking call.
    ///
    /// # Errors
    /// If a cluster cannot be connected, or the rules of a stream cannot be compiled.
    pub(super) fn prepare(&self, config: &Config) -> Result<PreparedStreams, StartError> {
        let clusters = self.clusters.prepare(config)?;
        let (catalog, known_topics) = self.former_topics.lock().add_to(&config.catalog);
        Ok(PreparedStreams {
            catalog: Arc::new(catalog),
            clusters,
            known_topics,
        })
    }

    /// Changes the streams. What is not to be read any more is not when this is done. Must be called inside a runtime.
    pub(super) async fn apply(&self, prepared: PreparedStreams) {
        let catalog = prepared.catalog;
        let before = self.switch.catalog();
        let ended = self.switch.set(&catalog);
        self.health.set_streams(expected_streams(&catalog));
        report(&before, &catalog, ended);
        let own = self.clone();
        let change = spawn_blocking(move || {
            own.clusters.apply(&catalog, prepared.clusters);
            own.former_topics.lock().keep(prepared.known_topics);
        });
        if let Err(panic) = change.await {
            tracing::error!(%panic, "changing the topics that are read failed");
        }
    }
}

/// Logs which streams have come and gone, and how many open ones end.
fn report(before: &Catalog, after: &Catalog, ended: usize) {
    let missing_in = |other: &Catalog, all: &Catalog| {
        let missing = all.streams().filter(|stream| !other.has(&stream.name));
        missing.count()
    };
    let (added, removed) = (missing_in(before, after), missing_in(after, before));
    let is_changed = |stream: &&Stream| {
        let old = before.named(&stream.name);
        old.is_some_and(|old| old != *stream)
    };
    let changed = after.streams().filter(is_changed).count();
    if added + removed + changed > 0 {
        tracing::info!(added, removed, changed, ended, "the streams were changed");
    }
}

/// Returns the expectations that health checks the streams against.
pub(super) fn expected_streams(catalog: &Catalog) -> Vec<health::ExpectedStream> {
    let expected = catalog.streams().map(|stream| health::ExpectedStream {
        name: Arc::clone(&stream.name),
        topics: stream.topics.clone(),
        expect_event_within: stream.expect_event_within,
    });
    expected.collect()
}
