//! The open readers of a history pool, and the client for its offset queries.

use std::{collections::HashMap, sync::Arc};

use super::{
    offset_queries::{self, OffsetQueries},
    pool_core::PoolCore,
    request_queue::RequestQueue,
    worker::HistoryWorker,
};
use crate::{kafka::shutdown_guard::ShutdownGuard, partition::MAX_HISTORY_READERS};

/// The readers that run, each opened when its broker is first asked.
pub(super) struct Readers {
    pub(super) request_queues: Vec<Arc<RequestQueue>>,
    /// Which reader serves a broker.
    pub(super) index_by_broker: HashMap<i32, usize>,
    /// Where questions are left, once there was one.
    pub(super) queries: Option<Arc<OffsetQueries>>,
    /// Gone when the pool is closed.
    shutdown_guard: Option<ShutdownGuard>,
}

impl Readers {
    /// None yet.
    pub(super) fn new(shutdown_guard: ShutdownGuard) -> Self {
        Self {
            request_queues: Vec::new(),
            index_by_broker: HashMap::new(),
            queries: None,
            shutdown_guard: Some(shutdown_guard),
        }
    }

    /// The reader that serves a broker.
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
        match HistoryWorker::spawn(Arc::clone(core), shutdown_guard) {
            Ok(queue) => {
                self.request_queues.push(Arc::clone(&queue));
                core.cache.lock().set_readers(self.request_queues.len());
                Some(queue)
            }
            Err(error) => {
                self.index_by_broker.remove(&broker);
                tracing::error!(cluster = %core.cluster, broker, "no history reader: {error}");
                None
            }
        }
    }

    /// Where to leave questions.
    pub(super) fn queries(&mut self, core: &Arc<PoolCore>) -> Option<Arc<OffsetQueries>> {
        let shutdown_guard = self.shutdown_guard.clone()?;
        if self.queries.is_none() {
            match offset_queries::spawn(Arc::clone(core), shutdown_guard) {
                Ok(queries) => self.queries = Some(queries),
                Err(error) => {
                    tracing::error!(cluster = %core.cluster, "no thread for questions: {error}")
                }
            }
        }
        self.queries.clone()
    }

    /// Ends the readers for good: no new one is opened.
    pub(super) fn shut_down(&mut self) {
        self.shutdown_guard = None;
        self.close();
    }

    /// Ends the readers; the next to ask gets new ones.
    pub(super) fn close(&mut self) {
        self.index_by_broker.clear();
        for queue in self.request_queues.drain(..) {
            queue.close();
        }
        if let Some(queries) = self.queries.take() {
            queries.close();
        }
    }
}
