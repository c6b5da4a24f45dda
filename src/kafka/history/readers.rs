//! The open readers of a history pool, and the client for its offset queries.
//!
//! Not here: the thread behind a reader (`worker`).

use std::{collections::HashMap, sync::Arc};

use super::{
    offset_queries::{self, OffsetQueries},
    pool_core::PoolCore,
    request_queue::RequestQueue,
    run_client::RunClient,
    worker::HistoryWorker,
};
use crate::{kafka::shutdown_guard::ShutdownGuard, partition::MAX_HISTORY_READERS};

/// The running readers. Each one is opened when one of its brokers is first asked.
pub(super) struct Readers {
    pub(super) request_queues: Vec<Arc<RequestQueue>>,
    /// Broker id to the index of its reader.
    pub(super) index_by_broker: HashMap<i32, usize>,
    /// Queue of the offset queries; `None` until the first query.
    pub(super) queries: Option<Arc<OffsetQueries>>,
    /// The client that all readers share; `None` until the first reader.
    run_client: Option<Arc<RunClient>>,
    /// `None` once the pool is closed.
    shutdown_guard: Option<ShutdownGuard>,
}

impl Readers {
    /// Returns a set without readers.
    pub(super) fn new(shutdown_guard: ShutdownGuard) -> Self {
        Self {
            request_queues: Vec::new(),
            index_by_broker: HashMap::new(),
            queries: None,
            run_client: None,
            shutdown_guard: Some(shutdown_guard),
        }
    }

    /// Returns the queue of the reader that serves `broker`, and opens the reader if it is the first use. Returns `None` if the
    /// pool is closed or the system has no thread to give.
    pub(super) fn of_broker(&mut self, core: &Arc<PoolCore>, broker: i32) -> Option<Arc<RequestQueue>> {
        let shutdown_guard = self.shutdown_guard.clone()?;
        let count = self.index_by_broker.len();
        let at = *self
            .index_by_broker
            .entry(broker)
            .or_insert(count % MAX_HISTORY_READERS);
        if at < self.request_queues.len() {
            return self.request_queues.get(at).cloned();
        }
        let run_client = self
            .run_client
            .get_or_insert_with(|| RunClient::new(core, shutdown_guard.clone()));
        match HistoryWorker::spawn(Arc::clone(core), Arc::clone(run_client), shutdown_guard) {
            Ok(queue) => {
                self.request_queues.push(Arc::clone(&queue));
                core.cache.lock().set_readers(self.request_queues.len());
                Some(queue)
            }
            Err(error) => {
                self.index_by_broker.remove(&broker);
                tracing::error!(cluster = %core.cluster, broker, "cannot start a history reader: {error}");
                None
            }
        }
    }

    /// Returns the queue of the offset queries, and starts their thread on first use. Returns `None` if the pool is closed or the
    /// system has no thread to give.
    pub(super) fn queries(&mut self, core: &Arc<PoolCore>) -> Option<Arc<OffsetQueries>> {
        let shutdown_guard = self.shutdown_guard.clone()?;
        if self.queries.is_none() {
            match offset_queries::spawn(Arc::clone(core), shutdown_guard) {
                Ok(queries) => self.queries = Some(queries),
                Err(error) => {
                    tracing::error!(
                        cluster = %core.cluster,
                        "cannot start the thread for offset queries: {error}"
                    )
                }
            }
        }
        self.queries.clone()
    }

    /// Closes the readers for good. No new one is opened.
    pub(super) fn shut_down(&mut self) {
        self.shutdown_guard = None;
        self.close();
    }

    /// Closes the readers. The next request opens new ones.
    pub(super) fn close(&mut self) {
        self.index_by_broker.clear();
        self.run_client = None;
        for queue in self.request_queues.drain(..) {
            queue.close();
        }
        if let Some(queries) = self.queries.take() {
            queries.close();
        }
    }
}
