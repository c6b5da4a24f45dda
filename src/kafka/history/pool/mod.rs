//! The history readers of one cluster, behind [`History`].

mod bounds;
mod pages;
mod times;

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use futures_util::{FutureExt, future::BoxFuture};
use parking_lot::Mutex;
use rdkafka::ClientConfig;
use tokio::time::timeout;

use super::{
    offset_queries::OffsetQueries, pool_core::PoolCore, readers::Readers, request_queue::RequestQueue,
};
use crate::{
    client::ClientKey,
    kafka::{shared::ClusterShared, shutdown_guard::ShutdownGuard},
    partition::{Bounds, History, HistoryError, Page, PartitionLog, TopicPartition},
    position::{Offset, Timestamp},
};

/// The history readers of one cluster.
pub(in crate::kafka) struct HistoryPool {
    core: Arc<PoolCore>,
    readers: Mutex<Readers>,
    this: Weak<Self>,
}

impl HistoryPool {
    /// A pool without readers; `rate` is in bytes per second, the configurations are those of a reader and of the client that
    /// asks questions.
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

    /// Drops the pages of a log that was replaced.
    pub(in crate::kafka) fn forget(&self, log: &Arc<PartitionLog>) {
        self.core.cache.lock().forget(log);
    }

    /// Ends the readers; whoever waits is told that nothing is available.
    pub(in crate::kafka) fn close(&self) {
        self.core.shared.damage.close();
        self.readers.lock().shut_down();
    }

    /// Ends the readers; the next to ask gets new ones, which begin with the brokers to ask first.
    pub(in crate::kafka) fn replace_readers(&self) {
        self.readers.lock().close();
    }

    /// The reader of the broker that leads this partition.
    fn reader(&self, partition: &TopicPartition) -> Option<Arc<RequestQueue>> {
        let broker = self.core.shared.leaders.leader(partition)?;
        self.readers.lock().of_broker(&self.core, broker)
    }

    /// Where to leave questions.
    fn queries(&self) -> Option<Arc<OffsetQueries>> {
        self.readers.lock().queries(&self.core)
    }

    /// Runs one call, and answers in time whatever happens.
    fn run<T, F>(&self, call: impl FnOnce(Arc<Self>) -> F) -> BoxFuture<'static, Result<T, HistoryError>>
    where
        F: Future<Output = Result<T, HistoryError>> + Send + 'static,
    {
        let Some(this) = self.this.upgrade() else {
            return async { Err(HistoryError::Unavailable) }.boxed();
        };
        let call = call(this);
        async {
            timeout(CALL, call)
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

    fn drop_deleted(&self, log: &Arc<PartitionLog>) {
        // What the readers fetched ahead they see to themselves.
        self.core.cache.lock().drop_deleted(log);
    }
}

/// A call that waits for its turn for longer than this is better asked again: the caller may have gone on otherwise.
const CALL: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests;
