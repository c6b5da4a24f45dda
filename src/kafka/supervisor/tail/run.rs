//! The turns of the tail's thread: take commands, wait for items, append what came to the logs.

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
    pub(super) fn run(mut self, inbox: &mpsc::Receiver<TailCommand>) {
        while self.apply_commands(inbox) {
            #[cfg(test)]
            threads::panic_if_requested(&self.shared.cluster);
            self.reader.poll_events();
            self.queue.fill(Instant::now() + POLL_TIMEOUT);
            while self.take_item() {}
            self.flush();
            self.check_statistics(Instant::now());
            self.resume_searched(Instant::now());
        }
    }

    /// Looks at what the statistics tell of each partition. Each fetch tells where the log starts: what lies below that is served no
    /// more. And librdkafka may stand still at what it cannot read without a word: the broker answers, there is more, and it does not
    /// move.
    fn check_statistics(&mut self, now: Instant) {
        if now < self.checked_at + CHECK_EVERY {
            return;
        }
        self.checked_at = now;
        for slot in self.slots.values() {
            let log_start = slot
                .health
                .as_ref()
                .and_then(|cell| cell.start_told_since(slot.since));
            if let Some(start) = log_start {
                self.shared.directory.set_start(&slot.log, start);
            }
            let stuck = slot.health.as_ref().and_then(|cell| cell.stuck_for(now)) >= Some(STUCK);
            if stuck && !self.stuck.is_pending(slot.log.partition(), now) {
                self.stuck.add(&slot.log, slot.page.next(), None);
            }
        }
    }

    /// Does what was asked for; whether anybody can still ask. The queue has no item buffered here, so that nothing of a
    /// partition that is stopped comes out any more.
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
                Err(mpsc::TryRecvError::Empty) => return true,
                Err(mpsc::TryRecvError::Disconnected) => return false,
            }
        }
    }

    pub(super) fn start(&mut self, log: Arc<PartitionLog>) {
        let TopicPartition { topic, partition } = log.partition().clone();
        self.stop(log.partition());
        let next = log.end().offset;
        match self.reader.start(&topic, partition, next, &self.queue) {
            Ok(id) => {
                let slot = PartitionTail::new(&self.shared, log, next);
                self.slots.insert((id, partition), slot);
            }
            Err(code) => self.report_lost(log, next, code, "cannot be started"),
        }
    }

    pub(super) fn stop(&mut self, partition: &TopicPartition) {
        let old = self.slots.len();
        self.slots.retain(|_, slot| slot.log.partition() != partition);
        if self.slots.len() < old {
            self.reader.stop(&partition.topic, partition.partition);
        }
    }

    /// Handles the front item; whether there was one.
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
            (None, _) => ItemOutcome::Stray,
            (Some(slot), ItemKind::Record(record)) => slot.push(&record),
            (Some(_), ItemKind::End(_)) => ItemOutcome::Stray,
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

    fn apply(&mut self, key: (TopicRef, i32), outcome: ItemOutcome) {
        match outcome {
            ItemOutcome::Record => self.touch(key),
            ItemOutcome::Rejected(log, offset, reject) => {
                self.touch(key);
                self.log_reject(&log, offset, reject);
            }
            ItemOutcome::PageFull => self.flush(),
            ItemOutcome::EpochFell(log, offset) => self.stop_lost(
                key,
                log,
                offset,
                RDKafkaErrorCode::FencedLeaderEpoch,
                "epochs fell",
            ),
            ItemOutcome::Unproven(log, offset) => self.stop_lost(
                key,
                log,
                offset,
                RDKafkaErrorCode::FencedLeaderEpoch,
                "it begins behind another leader",
            ),
            ItemOutcome::Fault(offset, code, reason) => self.handle_fault(key, offset, code, &reason),
            ItemOutcome::Stray => {}
        }
    }

    fn touch(&mut self, key: (TopicRef, i32)) {
        // Records come in runs of one partition.
        if self.touched.last() != Some(&key) {
            self.touched.push(key);
        }
    }

    /// Appends what this turn has read to the logs.
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

    /// What all rings may cost, in bytes. What is on its way to them takes its part.
    fn ring_budget(&self) -> usize {
        let (tail, now) = (self.shared.memory.tail, Instant::now());
        match self.large.recent_max(now) {
            0 => tail,
            _ => self
                .large
                .remaining_budget(tail, tail_records(self.shared.leaders.broker_count()), now),
        }
    }
}

/// How long a turn waits for records: what librdkafka has to say waits no longer than this. Commands end the wait.
const POLL_TIMEOUT: Duration = Duration::from_millis(100);

/// Bytes of records in the hands of a turn, beyond which they are handed on before the turn is over: a turn of large records of
/// many partitions would otherwise hold all of them at once.
const MAX_UNFLUSHED: usize = 4 << 20;

/// How often it is looked at what statistics tell, which come every 2 s.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// How long a partition stands still before somebody looks at it: two statistics, and more than any fetch that goes well.
const STUCK: Duration = Duration::from_secs(3);
