//! The partitions in which the tail makes no progress, while a search finds out whether they are damaged there.

use std::{
    collections::HashMap,
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use rdkafka::types::RDKafkaErrorCode;

use crate::{
    kafka::{
        backoff::Backoff,
        client::raw::QueueWaker,
        damage::{DamageTracker, SearchOutcome},
    },
    partition::{PartitionLog, TopicPartition},
    position::Offset,
};

/// The stuck partitions of one tail.
pub(super) struct StuckPartitions {
    partitions: HashMap<TopicPartition, StuckPartition>,
    damage: Arc<DamageTracker>,
    outcomes_rx: mpsc::Receiver<SearchedLog>,
    outcomes_tx: mpsc::Sender<SearchedLog>,
    /// Ends the tail's wait for records.
    waker: QueueWaker,
}

/// The outcome of a search.
type SearchedLog = (Arc<PartitionLog>, SearchOutcome);

/// A partition in which the tail makes no progress.
struct StuckPartition {
    backoff: Backoff,
    /// Whether the tail still reads the partition: librdkafka has reported no error, and may recover.
    is_read: bool,
    /// When to try again after a search without a result, and in which log; `None` during a search.
    due: Option<(Instant, Arc<PartitionLog>)>,
}

impl StuckPartitions {
    pub(super) fn new(damage: Arc<DamageTracker>, waker: QueueWaker) -> Self {
        let (outcomes_tx, outcomes_rx) = mpsc::channel();
        Self {
            partitions: HashMap::new(),
            damage,
            outcomes_rx,
            outcomes_tx,
            waker,
        }
    }

    /// Requests a search, because the tail does not get past `from`. With a `code` librdkafka has reported an error, and the
    /// tail no longer reads this partition.
    pub(super) fn add(&mut self, log: &Arc<PartitionLog>, from: Offset, code: Option<RDKafkaErrorCode>) {
        let entry = self.partitions.entry(log.partition().clone());
        let entry = entry.or_insert_with(|| StuckPartition {
            backoff: Backoff::new(FIRST_DELAY, MAX_DELAY),
            is_read: true,
            due: None,
        });
        entry.is_read = code.is_none();
        entry.due = None;
        let (outcomes_tx, waker, searched) = (self.outcomes_tx.clone(), self.waker.clone(), Arc::clone(log));
        let reply = move |outcome| {
            // The tail may have ended meanwhile.
            if outcomes_tx.send((searched, outcome)).is_ok() {
                waker.wake();
            }
        };
        self.damage.request_search(log, from, code, Box::new(reply));
    }

    /// Returns whether this partition is being searched, or was without a result a moment ago.
    pub(super) fn is_pending(&self, partition: &TopicPartition, now: Instant) -> bool {
        let entry = self.partitions.get(partition);
        entry.is_some_and(|entry| entry.due.as_ref().is_none_or(|(at, _)| now < *at))
    }

    /// Returns the logs to resume now: behind a damaged range, or at the same offset.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<SearchedLog> {
        let mut due = Vec::new();
        for (log, outcome) in self.outcomes_rx.try_iter() {
            match (outcome, self.partitions.get_mut(log.partition())) {
                (_, None) => {}
                (SearchOutcome::Unknown, Some(entry)) => {
                    entry.due = Some((now + entry.backoff.next_delay(), log))
                }
                (outcome, Some(_)) => due.push((log, outcome)),
            }
        }
        for entry in self.partitions.values_mut().filter(|entry| !entry.is_read) {
            if let Some((_, log)) = entry.due.take_if(|(at, _)| *at <= now) {
                due.push((log, SearchOutcome::Unknown));
            }
        }
        due.retain(|(log, _)| !log.is_replaced());
        due
    }

    /// Forgets a partition, because its records arrive again, or because it is started anew or stopped.
    pub(super) fn forget(&mut self, partition: &TopicPartition) {
        self.partitions.remove(partition);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.partitions.is_empty()
    }
}

/// The first pause before a partition is read again that a search could not judge.
const FIRST_DELAY: Duration = Duration::from_millis(500);

/// The longest such pause: a partition that can be read again resumes no later.
const MAX_DELAY: Duration = Duration::from_secs(10);
