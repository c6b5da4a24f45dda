//! Partitions that are left alone for a while.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use crate::{kafka::backoff::Backoff, partition::TopicPartition};

/// A partition whose leader has not answered rests, so that it costs its reader no time meanwhile.
#[derive(Debug, Default)]
pub(super) struct PartitionBackoffs(Mutex<HashMap<TopicPartition, (Backoff, Instant)>>);

impl PartitionBackoffs {
    /// Whether it is left alone now.
    pub(super) fn is_backing_off(&self, partition: &TopicPartition) -> bool {
        let backoffs = self.0.lock();
        backoffs
            .get(partition)
            .is_some_and(|(_, until)| Instant::now() < *until)
    }

    /// A read of it failed.
    pub(super) fn record_failure(&self, partition: &TopicPartition) {
        let now = Instant::now();
        let mut backoffs = self.0.lock();
        let (backoff, until) = backoffs
            .entry(partition.clone())
            .or_insert_with(|| (Backoff::new(FIRST_DELAY, MAX_DELAY), now));
        *until = now + backoff.next_delay();
    }

    /// A read of it succeeded.
    pub(super) fn clear(&self, partition: &TopicPartition) {
        self.0.lock().remove(partition);
    }
}

const FIRST_DELAY: Duration = Duration::from_millis(100);

/// How late a partition that has come back is found out at worst.
const MAX_DELAY: Duration = Duration::from_secs(5);
