//! Which log is the current one of each partition.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::RwLock;

use super::{Bell, PartitionLog, bell::Bells};

/// A partition of a topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The partition's number.
    pub partition: i32,
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// (topic, partition) -> the log that is current. `kafka` writes it, subscriptions watch it: that is how a replaced log
/// and an added partition become known.
#[derive(Debug, Default)]
pub struct Directory {
    topics: RwLock<BTreeMap<Arc<str>, BTreeMap<i32, Arc<PartitionLog>>>>,
    version: AtomicU64,
    bells: Bells,
}

impl Directory {
    /// An empty one.
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// Makes `log` the current one of its partition; the one before it, if any, is told.
    pub fn put(&self, log: Arc<PartitionLog>) {
        let TopicPartition { topic, partition } = log.partition().clone();
        let old = self
            .topics
            .write()
            .entry(topic)
            .or_default()
            .insert(partition, log);
        self.version.fetch_add(1, Ordering::Release);
        if let Some(old) = old {
            old.replace();
        }
        self.bells.ring();
    }

    /// The current log of a partition.
    pub fn get(&self, topic: &str, partition: i32) -> Option<Arc<PartitionLog>> {
        self.topics.read().get(topic)?.get(&partition).cloned()
    }

    /// The current logs of a topic, by partition; empty while nothing is known of it.
    pub fn logs(&self, topic: &str) -> Vec<Arc<PartitionLog>> {
        self.topics
            .read()
            .get(topic)
            .map(|logs| logs.values().cloned().collect())
            .unwrap_or_default()
    }

    /// Grows with every change, so that a reader sees at a glance whether to look again.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Rings `bell` whenever a log is added or replaced.
    pub fn subscribe(&self, bell: &Arc<Bell>) {
        self.bells.add(bell);
    }

    /// Sheds the oldest pages of the largest rings until all together cost at most `budget` bytes.
    pub fn shed(&self, budget: usize) {
        let topics = self.topics.read();
        let logs: Vec<_> = topics.values().flat_map(BTreeMap::values).collect();
        let mut total: usize = logs.iter().map(|log| log.bytes()).sum();
        while total > budget {
            let Some(largest) = logs.iter().max_by_key(|log| log.bytes()) else {
                return;
            };
            match largest.shed() {
                0 => return,
                freed => total -= freed,
            }
        }
    }
}
