//! The leader of each partition, as the last metadata refresh showed.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use parking_lot::RwLock;

use crate::partition::TopicPartition;

/// The broker id of each partition's leader, by topic. It selects the history reader to ask.
#[derive(Debug, Default)]
pub(super) struct PartitionLeaders(RwLock<HashMap<Arc<str>, Vec<Option<i32>>>>);

impl PartitionLeaders {
    /// Returns the broker that leads this partition; `None` while it has no leader, or if nothing is known.
    pub(super) fn leader(&self, partition: &TopicPartition) -> Option<i32> {
        let leaders = self.0.read();
        let at = usize::try_from(partition.partition).ok()?;
        *leaders.get(&partition.topic)?.get(at)?
    }

    /// Returns how many brokers lead at least one partition.
    pub(super) fn broker_count(&self) -> usize {
        let topics = self.0.read();
        let leaders: HashSet<_> = topics.values().flatten().flatten().collect();
        leaders.len()
    }

    /// Replaces the leaders of a topic, by partition number, with those of a metadata refresh.
    pub(super) fn set(&self, topic: &Arc<str>, leaders: &[Option<i32>]) {
        self.0.write().insert(Arc::clone(topic), leaders.to_vec());
    }
}
