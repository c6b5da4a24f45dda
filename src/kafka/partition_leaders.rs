//! Which broker leads each partition.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use parking_lot::RwLock;

use crate::partition::TopicPartition;

/// Who leads each partition, as the last look showed: which history reader to ask.
#[derive(Debug, Default)]
pub(super) struct PartitionLeaders(RwLock<HashMap<Arc<str>, Vec<Option<i32>>>>);

impl PartitionLeaders {
    /// The broker that leads this partition; `None` while nobody does, or nothing is known.
    pub(super) fn leader(&self, partition: &TopicPartition) -> Option<i32> {
        let leaders = self.0.read();
        let at = usize::try_from(partition.partition).ok()?;
        *leaders.get(&partition.topic)?.get(at)?
    }

    /// Returns how many brokers lead a partition.
    pub(super) fn broker_count(&self) -> usize {
        let topics = self.0.read();
        let leaders: HashSet<_> = topics.values().flatten().flatten().collect();
        leaders.len()
    }

    /// Takes what a look has shown.
    pub(super) fn set(&self, topic: &Arc<str>, leaders: &[Option<i32>]) {
        self.0.write().insert(Arc::clone(topic), leaders.to_vec());
    }
}
