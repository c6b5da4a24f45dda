//! State that the history pool shares with the threads of its readers.

use std::sync::Arc;

use parking_lot::Mutex;
use rdkafka::ClientConfig;

use super::{
    backoffs::PartitionBackoffs, cache::PageCache, fetcher_limit::FetcherLimit,
    rate_limiter::ByteRateLimiter, stale_answers::StaleAnswers,
};
use crate::{
    kafka::{
        metrics::{ClusterLabels, KafkaMetrics},
        shared::ClusterShared,
    },
    partition::Page,
};

/// What the pool and its readers' threads share.
pub(super) struct PoolCore {
    pub(super) cluster: Arc<str>,
    pub(super) shared: ClusterShared,
    /// Made once: pages are counted for every want of every client.
    labels: ClusterLabels,
    pub(super) config: ClientConfig,
    /// The configuration of the client that asks questions.
    pub(super) query_config: ClientConfig,
    counters: KafkaMetrics,
    pub(super) cache: Mutex<PageCache>,
    pub(super) backoffs: PartitionBackoffs,
    pub(super) stale: StaleAnswers,
    pub(super) rate: ByteRateLimiter,
    pub(super) fetcher_limit: Arc<FetcherLimit>,
}

impl PoolCore {
    /// Creates the state without a page; `rate` is in bytes per second.
    pub(super) fn new(
        shared: &ClusterShared,
        [config, query_config]: [ClientConfig; 2],
        rate: u64,
    ) -> Arc<Self> {
        let fetcher_limit = FetcherLimit::new(shared.memory.history);
        Arc::new(Self {
            cluster: Arc::clone(&shared.cluster),
            shared: shared.clone(),
            labels: ClusterLabels {
                cluster: shared.cluster.to_string(),
            },
            config,
            query_config,
            counters: shared.counters.clone(),
            cache: Mutex::new(PageCache::new(shared.memory.history).reserving(&fetcher_limit)),
            backoffs: PartitionBackoffs::default(),
            stale: StaleAnswers::default(),
            rate: ByteRateLimiter::new(rate),
            fetcher_limit,
        })
    }

    pub(super) fn count_page(&self, bytes: usize) {
        self.counters.pages_read.get_or_create(&self.labels).inc();
        self.counters
            .page_bytes
            .get_or_create(&self.labels)
            .inc_by(bytes as u64);
    }

    pub(super) fn count_hit(&self, page: Arc<Page>) -> Arc<Page> {
        self.counters.page_hits.get_or_create(&self.labels).inc();
        page
    }

    pub(super) fn count_join(&self, joined: bool) {
        if joined {
            self.counters.page_joins.get_or_create(&self.labels).inc();
        }
    }
}
