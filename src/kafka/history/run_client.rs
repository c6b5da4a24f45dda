//! The client for partitions that are read on from a place. All history readers of a cluster share it.
//!
//! The size of a fetch is a property of a client, so small and large fetches need two. It is one for all readers, because it adds
//! connections to each broker, and is not needed while clients want a few pages.
//!
//! Not here: when a partition is read with it (`fetchers`).

use std::{collections::HashSet, sync::Arc};

use parking_lot::Mutex;

use super::pool_core::PoolCore;
use crate::{
    kafka::{
        client::{config::ClientKind, raw::KafkaReader},
        shutdown_guard::ShutdownGuard,
    },
    partition::TopicPartition,
};

/// The client for runs, opened on first use.
pub(super) struct RunClient {
    core: Arc<PoolCore>,
    shutdown_guard: ShutdownGuard,
    reader: Mutex<Option<KafkaReader>>,
    /// The partitions that are started in it. After a change of leaders another reader may want one while it is still started.
    started: Mutex<HashSet<TopicPartition>>,
}

/// The right to start a partition in the client. Dropped once the partition is stopped.
pub(super) struct RunPermit {
    pub(super) reader: KafkaReader,
    client: Arc<RunClient>,
    partition: TopicPartition,
}

impl RunClient {
    /// Creates the slot of the client without opening one.
    pub(super) fn new(core: &Arc<PoolCore>, shutdown_guard: ShutdownGuard) -> Arc<Self> {
        Arc::new(Self {
            core: Arc::clone(core),
            shutdown_guard,
            reader: Mutex::new(None),
            started: Mutex::default(),
        })
    }

    /// Returns a permit to start a partition. Returns `None` if another reader has it started, or if there is no client.
    pub(super) fn acquire(self: &Arc<Self>, partition: &TopicPartition) -> Option<RunPermit> {
        let reader = self.get()?;
        let is_free = self.started.lock().insert(partition.clone());
        is_free.then(|| RunPermit {
            reader,
            client: Arc::clone(self),
            partition: partition.clone(),
        })
    }

    /// Returns the client. Opens it if there is none, or if it is connected to another cluster. Returns `None` if librdkafka
    /// cannot create one now.
    fn get(&self) -> Option<KafkaReader> {
        let mut slot = self.reader.lock();
        if let Some(reader) = &*slot
            && reader.wrong_cluster().is_none()
        {
            return Some(reader.clone());
        }
        *slot = None;
        match KafkaReader::of_kind(ClientKind::HistoryRun, &self.core.shared, &self.shutdown_guard) {
            Ok(reader) => *slot = Some(reader),
            // The readers' own clients were accepted, so the system lacks threads or memory. They read on with small fetches.
            Err(error) => {
                tracing::error!(cluster = %self.core.cluster, "cannot create the Kafka client for long replays: {error}");
            }
        }
        slot.clone()
    }

    /// Frees what the client keeps of all topics but these.
    pub(super) fn keep_topics(&self, topics: &[Arc<str>]) {
        if let Some(reader) = &*self.reader.lock() {
            reader.keep_topics(topics);
        }
    }

    /// Runs the callbacks of librdkafka. Any reader may call it, at any time.
    pub(super) fn poll_events(&self) {
        let reader = self.reader.lock().clone();
        if let Some(reader) = reader {
            reader.poll_events();
        }
    }
}

impl Drop for RunPermit {
    fn drop(&mut self) {
        self.client.started.lock().remove(&self.partition);
    }
}
