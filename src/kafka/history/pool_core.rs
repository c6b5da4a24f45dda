//! State that the history pool shares with the threads of its readers.
//!
//! Not here: the readers themselves (`readers`).

use std::sync::Arc;

use parking_lot::Mutex;
use rdkafka::ClientConfig;

use super::{
    backoffs::PartitionBackoffs, cache::PageCache, fetcher_limit::FetcherLimit,
    rate_limiter::ByteRateLimiter, stale_answers::StaleAnswers, turns::Turns,
};
use crate::{
    kafka::{
        metrics::{ClusterLabels, KafkaMetrics},
        shared::ClusterShared,
    },
    partition::Page,
};

/// State that the pool shares with the threads of its readers and of its offset queries.
pub(super) struct PoolCore {
    pub(super) cluster: Arc<str>,
    pub(super) shared: ClusterShared,
    /// Built once, because page metrics are counted for every request of every client.
    labels: ClusterLabels,
    pub(super) config: ClientConfig,
    /// Configuration of the client for offset queries.
    pub(super) query_config: ClientConfig,
    counters: KafkaMetrics,
    pub(super) cache: Mutex<PageCache>,
    pub(super) backoffs: PartitionBackoffs,
    pub(super) stale: StaleAnswers,
    pub(super) rate: ByteRateLimiter,
    pub(super) fetcher_limit: Arc<FetcherLimit>,
    pub(super) turns: Turns,
}

impl PoolCore {
    /// Creates the state with an empty cache. `rate` is in bytes per second. The configurations are those of a reader and of the
    /// client for offset queries.
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
            turns: Turns::new(shared.memory.history),
        })
    }

    /// Counts a page that was read from a broker, and its bytes.
    pub(super) fn count_page(&self, bytes: usize) {
        self.counters.pages_read.get_or_create(&self.labels).inc();
        self.counters
            .page_bytes
            .get_or_create(&self.labels)
            .inc_by(bytes as u64);
    }

    /// Counts a page that was found in the cache, and returns it.
    pub(super) fn count_hit(&self, page: Arc<Page>) -> Arc<Page> {
        self.counters.page_hits.get_or_create(&self.labels).inc();
        page
    }

    /// Counts a request that joined a read which another client had asked for already.
    pub(super) fn count_join(&self, joined: bool) {
        if joined {
            self.counters.page_joins.get_or_create(&self.labels).inc();
        }
    }
}
