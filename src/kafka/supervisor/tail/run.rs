//! The turns of the tail's thread: apply commands, wait for items, append their records to the logs.

use std::{
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use rdkafka::types::RDKafkaErrorCode;

use super::{
    TailCommand, TailWorker,
    partition::{ItemOutcome, PartitionTail},
};
#[cfg(test)]
use crate::kafka::threads;
use crate::{
    kafka::client::{
        config::PAGE_BYTES,
        raw::{ItemKind, TopicRef},
    },
    partition::{PartitionLog, TopicPartition, tail_records},
};

impl TailWorker {
    /// Runs turns until the handle is dropped.
    pub(super) fn run(mut self, inbox: &mpsc::Receiver<TailCommand>) {
        while self.apply_commands(inbox) {
            #[cfg(test)]
            threads::panic_if_requested(&self.shared.cluster);
            self.reader.poll_events();
            let now = Instant::now();
            self.queue.set_one_by_one(self.large.recent_max(now) > 0);
            self.queue.fill(now + POLL_TIMEOUT);
            while self.take_item() || self.queue.refill() {}
            self.flush();
            self.check_statistics(Instant::now());
            self.resume_searched(Instant::now());
        }
    }

    /// Checks the statistics of each partition. Each fetch reports where the log starts; records below that are served no more.
    /// And librdkafka may stop at records that it cannot parse, without an error: the broker answers, the log has more, and the
    /// position does not move.
    fn check_statistics(&mut self, now: Instant) {
        if now < self.checked_at + CHECK_EVERY {
            return;
        }
        self.checked_at = now;
        for slot in self.slots.values() {
            let Some(cell) = &slot.health else { continue };
            if let Some(start) = cell.start_told_since(slot.since) {
                self.shared.directory.set_start(&slot.log, start);
            }
            let stuck = cell.stuck_for(now) >= Some(STUCK);
            if stuck && !self.stuck.is_pending(slot.log.partition(), now) {
                self.stuck.add(&slot.log, slot.page.next(), None);
            }
        }
    }

    /// Applies pending commands. Returns false once the sender is gone. The queue has no item buffered here, so no item of a
    /// stopped partition comes out later.
    fn apply_commands(&mut self, inbox: &mpsc::Receiver<TailCommand>) -> bool {
        loop {
            match inbox.try_recv() {
                Ok(TailCommand::Start(log)) => {
                    self.stuck.forget(log.partition());
                    self.start(log);
                }
                Ok(TailCommand::Stop(partition)) => {
                    self.stuck.forget(&partition);
                    self.stop(&partition);
                }
                Ok(TailCommand::Forget(topics)) => self.forget(&topics),
                Err(mpsc::TryRecvError::Empty) => return true,
                Err(mpsc::TryRecvError::Disconnected) => return false,
            }
        }
    }

    /// Forgets topics that are not read any more. Their metrics are removed here, because no other thread counts records.
    fn forget(&self, topics: &[Arc<str>]) {
        self.reader.keep_topics(&self.shared.topics.get());
        let shared = &self.shared;
        topics
            .iter()
            .for_each(|topic| shared.counters.remove_topic(&shared.cluster, topic));
    }

    /// Begins to read a partition at the end of `log`, in place of an earlier log of it.
    pub(super) fn start(&mut self, log: Arc<PartitionLog>) {
        let TopicPartition { topic, partition } = log.partition().clone();
        self.stop(log.partition());
        let next = log.end().offset;
        match self.reader.start(&topic, partition, next, &self.queue) {
            Ok(id) => {
                let slot = PartitionTail::new(&self.shared, log, next);
                self.slots.insert((id, partition), slot);
            }
            Err(code) => self.report_lost(log, next, code, "the partition cannot be started"),
        }
    }

    pub(super) fn stop(&mut self, partition: &TopicPartition) {
        let old = self.slots.len();
        self.slots.retain(|_, slot| slot.log.partition() != partition);
        if self.slots.len() < old {
            self.reader.stop(&partition.topic, partition.partition);
        }
    }

    /// Handles the front item. Returns whether there was one.
    fn take_item(&mut self) -> bool {
        let Some(item) = self.queue.front() else {
            return false;
        };
        let key = (item.topic, item.partition);
        if item.is_log_append_time
            && let Some(slot) = self.slots.get_mut(&key)
        {
            slot.note_log_append_time(&self.shared);
        }
        let size = match &item.kind {
            ItemKind::Record(record) => record.value.map_or(0, <[u8]>::len),
            _ => 0,
        };
        let outcome = match (self.slots.get_mut(&key), item.kind) {
            (None, _) | (_, ItemKind::End(_)) => ItemOutcome::Stray,
            (Some(slot), ItemKind::Record(record)) => slot.push(&record),
            (Some(_), ItemKind::Fault { offset, code, reason }) => ItemOutcome::Fault(offset, code, reason),
        };
        if !matches!(outcome, ItemOutcome::PageFull) {
            self.queue.advance();
            if size > PAGE_BYTES {
                self.large.record(size, Instant::now());
            }
            self.unflushed += size;
        }
        self.apply(key, outcome);
        if self.unflushed >= MAX_UNFLUSHED {
            self.flush();
        }
        true
    }

    /// Applies the outcome of handling an item.
    fn apply(&mut self, key: (TopicRef, i32), outcome: ItemOutcome) {
        match outcome {
            ItemOutcome::Record => self.touch(key),
            ItemOutcome::Rejected(log, offset, reject) => {
                self.touch(key);
                self.log_reject(&log, offset, reject);
            }
            ItemOutcome::PageFull => self.flush(),
            ItemOutcome::Lost(log, offset, why) => {
                self.stop_lost(key, log, offset, RDKafkaErrorCode::FencedLeaderEpoch, why)
            }
            ItemOutcome::Fault(offset, code, reason) => self.handle_fault(key, offset, code, &reason),
            ItemOutcome::Stray => {}
        }
    }

    /// Marks a partition for the next flush.
    fn touch(&mut self, key: (TopicRef, i32)) {
        // Records arrive in runs of one partition.
        if self.touched.last() != Some(&key) {
            self.touched.push(key);
        }
    }

    /// Appends the records of this turn to the logs.
    pub(super) fn flush(&mut self) {
        self.unflushed = 0;
        if self.touched.is_empty() {
            return;
        }
        if let Some(wrong_cluster) = self.reader.wrong_cluster() {
            return self.discard(wrong_cluster);
        }
        self.shared.status.record_read();
        for key in std::mem::take(&mut self.touched) {
            if let Some(slot) = self.slots.get_mut(&key) {
                slot.flush();
                if !self.stuck.is_empty() {
                    self.stuck.forget(slot.log.partition());
                }
            }
        }
        self.shared.directory.evict_to(self.ring_budget());
    }

    /// Returns the budget of all rings in bytes. Large records on their way reduce it.
    fn ring_budget(&self) -> usize {
        let (budget, now) = (self.shared.memory.tail, Instant::now());
        if self.large.recent_max(now) == 0 {
            return budget;
        }
        let on_their_way = tail_records(self.shared.leaders.broker_count());
        self.large.remaining_budget(budget, on_their_way, now)
    }
}

/// How long a turn waits for records. It bounds the delay of librdkafka's events. Commands end the wait.
const POLL_TIMEOUT: Duration = Duration::from_millis(100);

/// The most bytes of records that a turn holds before it flushes. A turn of large records of many partitions would otherwise
/// hold all of them at once.
const MAX_UNFLUSHED: usize = 4 << 20;

/// How often the statistics are checked, which arrive every 2 s.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// How long a partition makes no progress before it is searched for damage: two emissions of statistics, and longer than any
/// fetch that goes well.
const STUCK: Duration = Duration::from_secs(3);
