//! Partitions that the tail cannot read on in, while it is found out whether they are damaged there.

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

/// The partitions that are not read for now.
pub(super) struct StuckPartitions {
    partitions: HashMap<TopicPartition, StuckPartition>,
    damage: Arc<DamageTracker>,
    outcomes_rx: mpsc::Receiver<SearchedLog>,
    outcomes_tx: mpsc::Sender<SearchedLog>,
    /// Ends the tail's wait for records.
    waker: QueueWaker,
}

/// What came of a suspicion.
type SearchedLog = (Arc<PartitionLog>, SearchOutcome);

struct StuckPartition {
    backoff: Backoff,
    /// Whether the tail reads on there meanwhile: librdkafka has said nothing, and may go on by itself.
    is_read: bool,
    /// When to try again, after it could not be judged; `None` while it is being looked at.
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

    /// The tail does not come past `from`. If librdkafka has said so, it does not read this partition any more.
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

    /// Whether this partition is being looked at, or was in vain a moment ago.
    pub(super) fn is_pending(&self, partition: &TopicPartition, now: Instant) -> bool {
        let entry = self.partitions.get(partition);
        entry.is_some_and(|entry| entry.due.as_ref().is_none_or(|(at, _)| now < *at))
    }

    /// The logs to read on in now: behind a damaged range, or as before.
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

    /// Records of it come again, or it is read anew, or no more.
    pub(super) fn forget(&mut self, partition: &TopicPartition) {
        self.partitions.remove(partition);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.partitions.is_empty()
    }
}

/// Before a partition is read again that could not be judged.
const FIRST_DELAY: Duration = Duration::from_millis(500);

/// How late a partition goes on that can be read again, at worst.
const MAX_DELAY: Duration = Duration::from_secs(10);
