//! The history readers of one cluster, behind the [`History`] interface.
//!
//! Not here: the threads that read (`worker`), and offset queries (`offset_queries`).

mod bounds;
mod pages;
mod times;

pub(super) use self::times::own_client_key;

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use futures_util::{FutureExt, future::BoxFuture};
use parking_lot::Mutex;
use rdkafka::ClientConfig;
use tokio::time::timeout;

use super::{
    cache::Lookup, offset_queries::OffsetQueries, pool_core::PoolCore, readers::Readers,
    request_queue::RequestQueue,
};
use crate::{
    client::ClientKey,
    kafka::{shared::ClusterShared, shutdown_guard::ShutdownGuard},
    partition::{Bounds, History, HistoryError, Page, PartitionLog, TopicPartition},
    position::{Offset, Timestamp},
};

/// The history readers of one cluster, each opened on first use.
pub(in crate::kafka) struct HistoryPool {
    core: Arc<PoolCore>,
    readers: Mutex<Readers>,
    this: Weak<Self>,
}

impl HistoryPool {
    /// Creates a pool without readers. `rate` is in bytes per second. The configurations are those of a reader and of the client
    /// for offset queries.
    pub(in crate::kafka) fn new(
        shared: &ClusterShared,
        configs: [ClientConfig; 2],
        rate: u64,
        shutdown_guard: ShutdownGuard,
    ) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            core: PoolCore::new(shared, configs, rate),
            readers: Mutex::new(Readers::new(shutdown_guard)),
            this: Weak::clone(this),
        })
    }

    /// Drops the pages and times of a log that was replaced.
    pub(in crate::kafka) fn forget(&self, log: &Arc<PartitionLog>) {
        self.core.cache.lock().forget(log);
    }

    /// Forgets a topic that is not read any more, and whose logs were forgotten.
    pub(in crate::kafka) fn forget_topic(&self, topic: &str) {
        self.core.backoffs.forget_topic(topic);
        self.core.stale.forget_topic(topic);
    }

    /// Closes the readers for good. Callers that wait get [`HistoryError::Unavailable`].
    pub(in crate::kafka) fn close(&self) {
        self.core.shared.damage.close();
        self.readers.lock().shut_down();
    }

    /// Closes the readers. The next request opens new ones, which start from the bootstrap brokers.
    pub(in crate::kafka) fn replace_readers(&self) {
        self.readers.lock().close();
    }

    /// Returns the queue of the reader for the broker that leads `partition`.
    fn reader(&self, partition: &TopicPartition) -> Option<Arc<RequestQueue>> {
        let broker = self.core.shared.leaders.leader(partition)?;
        self.readers.lock().of_broker(&self.core, broker)
    }

    /// Returns the queue of the offset queries.
    fn queries(&self) -> Option<Arc<OffsetQueries>> {
        self.readers.lock().queries(&self.core)
    }

    /// Runs one call. It answers [`HistoryError::Unavailable`] after [`CALL_TIMEOUT`] at the latest.
    fn run<T, F>(&self, call: impl FnOnce(Arc<Self>) -> F) -> BoxFuture<'static, Result<T, HistoryError>>
    where
        F: Future<Output = Result<T, HistoryError>> + Send + 'static,
    {
        let Some(this) = self.this.upgrade() else {
            return async { Err(HistoryError::Unavailable) }.boxed();
        };
        let call = call(this);
        async {
            timeout(CALL_TIMEOUT, call)
                .await
                .unwrap_or(Err(HistoryError::Unavailable))
        }
        .boxed()
    }
}

impl History for HistoryPool {
    fn page(
        &self,
        log: &Arc<PartitionLog>,
        offset: Offset,
        client: ClientKey,
    ) -> BoxFuture<'static, Result<Arc<Page>, HistoryError>> {
        let log = Arc::clone(log);
        self.run(move |this| async move {
            let page = this.find_page(&log, offset, client).await?;
            this.read_ahead(&log, &page);
            Ok(page)
        })
    }

    fn page_at_hand(&self, log: &Arc<PartitionLog>, offset: Offset) -> Option<Arc<Page>> {
        if log.is_replaced() {
            return None;
        }
        let Lookup::Hit(page) = self.look_up(log, offset) else {
            return None;
        };
        self.read_ahead(log, &page);
        Some(page)
    }

    fn bounds(&self, log: &Arc<PartitionLog>) -> BoxFuture<'static, Result<Bounds, HistoryError>> {
        let log = Arc::clone(log);
        self.run(move |this| async move { this.find_bounds(&log).await })
    }

    fn first_at(
        &self,
        log: &Arc<PartitionLog>,
        time: Timestamp,
        client: ClientKey,
    ) -> BoxFuture<'static, Result<Option<Offset>, HistoryError>> {
        let log = Arc::clone(log);
        self.run(move |this| async move { this.find_time(&log, time, client).await })
    }

    fn first_at_hand(&self, log: &Arc<PartitionLog>, time: Timestamp) -> Option<Offset> {
        self.time_in_memory(log, time)
    }

    fn drop_deleted(&self, log: &Arc<PartitionLog>) {
        // Each reader stops its own started partitions that have been deleted from (`PartitionFetchers::close_idle`).
        self.core.cache.lock().drop_deleted(log);
    }

    fn bytes(&self) -> usize {
        self.core.cache.lock().bytes() + self.core.fetcher_limit.bytes()
    }
}

/// Timeout of a call. A call that waits longer for its turn is better repeated: the caller may no longer need this answer.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests;
