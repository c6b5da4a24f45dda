//! Backoff of partitions whose reads failed.
//!
//! Not here: offset queries, which have a backoff of their own (`offset_queries::pacer`).

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use crate::{kafka::backoff::Backoff, partition::TopicPartition};

/// A partition whose read failed backs off, so that it costs its reader no time meanwhile.
#[derive(Debug, Default)]
pub(super) struct PartitionBackoffs(Mutex<HashMap<TopicPartition, (Backoff, Instant)>>);

impl PartitionBackoffs {
    /// Returns whether the partition is backing off now.
    pub(super) fn is_backing_off(&self, partition: &TopicPartition) -> bool {
        let backoffs = self.0.lock();
        backoffs
            .get(partition)
            .is_some_and(|(_, until)| Instant::now() < *until)
    }

    /// Records a failed read. The delay doubles with each one, up to [`MAX_DELAY`].
    pub(super) fn record_failure(&self, partition: &TopicPartition) {
        let now = Instant::now();
        let mut backoffs = self.0.lock();
        let (backoff, until) = backoffs
            .entry(partition.clone())
            .or_insert_with(|| (Backoff::new(FIRST_DELAY, MAX_DELAY), now));
        *until = now + backoff.next_delay();
    }

    /// Forgets a topic that is not read any more.
    pub(super) fn forget_topic(&self, topic: &str) {
        self.0.lock().retain(|partition, _| *partition.topic != *topic);
    }

    /// Records a successful read.
    pub(super) fn clear(&self, partition: &TopicPartition) {
        self.0.lock().remove(partition);
    }
}

const FIRST_DELAY: Duration = Duration::from_millis(100);

/// Longest time until a partition that has recovered is read again.
const MAX_DELAY: Duration = Duration::from_secs(5);
