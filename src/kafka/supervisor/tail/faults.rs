//! Faults of the tail: errors of partitions, lost positions, damaged and rejected records.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use rdkafka::types::RDKafkaErrorCode;

use super::TailWorker;
use crate::{
    event::EncodeError,
    health::FaultSource,
    kafka::{
        client::raw::TopicRef,
        damage::{SearchOutcome, is_damage, is_implausible_offset, is_out_of_range},
        identity::cluster::WrongCluster,
        metrics::RejectLabels,
        supervisor::{SupervisorEvent, topics::is_absent},
    },
    partition::{Page, PageBuilder, PartitionLog, TopicPartition},
    position::Offset,
};

impl TailWorker {
    /// Discards the records of this turn, which may be another cluster's, and stops all partitions.
    pub(super) fn discard(&mut self, wrong_cluster: WrongCluster) {
        self.touched.clear();
        self.slots.clear();
        let event = SupervisorEvent::WrongCluster(self.link.number, wrong_cluster);
        self.link.send(event);
    }

    /// Handles an error of a partition.
    pub(super) fn handle_fault(
        &mut self,
        key: (TopicRef, i32),
        offset: Offset,
        code: RDKafkaErrorCode,
        reason: &str,
    ) {
        self.reader.count_error(code);
        if let Some(slot) = self.slots.get(&key) {
            let (shared, partition) = (&self.shared, slot.log.partition());
            shared.record_fault(partition, FaultSource::Tail, code, reason);
        }
        match code {
            code if self.is_implausible_offset(key, code, offset) => self.suspend(key, code),
            // librdkafka has stopped this partition, and reports that only once.
            code if is_out_of_range(code) => {
                if let Some(log) = self.slots.get(&key).map(|slot| Arc::clone(&slot.log)) {
                    self.stop_lost(key, log, offset, code, reason);
                }
            }
            // The topic may have been deleted and created again. Reading continues as soon as librdkafka can.
            code if is_absent(code) => self.link.send(SupervisorEvent::RefreshNeeded),
            code if is_damage(code) => {
                tracing::debug!(
                    cluster = %self.shared.cluster, offset,
                    "the tail met an error: {code:?}: {reason}"
                );
                self.suspend(key, code);
            }
            // librdkafka tries again. Health reports the fault if it persists.
            _ => tracing::debug!(
                cluster = %self.shared.cluster, offset,
                "the tail met an error: {code:?}: {reason}"
            ),
        }
    }

    fn is_implausible_offset(&self, key: (TopicRef, i32), code: RDKafkaErrorCode, offset: Offset) -> bool {
        let slot = self.slots.get(&key);
        slot.is_some_and(|slot| is_implausible_offset(code, offset, slot.page.next()))
    }

    /// Stops reading a partition at a lost position, after flushing what was read before it.
    pub(super) fn stop_lost(
        &mut self,
        key: (TopicRef, i32),
        log: Arc<PartitionLog>,
        offset: Offset,
        code: RDKafkaErrorCode,
        reason: &str,
    ) {
        self.flush();
        self.slots.remove(&key);
        let TopicPartition { topic, partition } = log.partition();
        self.reader.stop(topic, *partition);
        self.report_lost(log, offset, code, reason);
    }

    /// Logs a lost position and reports it to the supervisor, which finds another start.
    pub(super) fn report_lost(
        &self,
        log: Arc<PartitionLog>,
        offset: Offset,
        code: RDKafkaErrorCode,
        reason: &str,
    ) {
        tracing::warn!(
            cluster = %self.shared.cluster, partition = %log.partition(), offset, log = %log.tag(),
            "the tail lost its position: {code:?}: {reason}"
        );
        self.link.send(SupervisorEvent::PositionLost(log));
    }

    /// Counts a record that could not be encoded, and logs it if none was logged a moment ago.
    pub(super) fn log_reject(&mut self, log: &PartitionLog, offset: Offset, reject: EncodeError) {
        let partition = log.partition();
        let labels = RejectLabels::new(&self.shared.cluster, &partition.topic, reject);
        let count = self.shared.counters.bad_records.get_or_create_owned(&labels);
        count.inc();
        if self
            .last_reject_logged
            .is_none_or(|at| at.elapsed() >= REJECT_LOG_EVERY)
        {
            self.last_reject_logged = Some(Instant::now());
            tracing::warn!(
                cluster = %self.shared.cluster, %partition, offset, bad_so_far = count.get(),
                "a record is skipped: {reject}"
            );
        }
    }

    /// Stops reading a partition until a search has shown whether it can be read. Items left in its queue are not trusted.
    fn suspend(&mut self, key: (TopicRef, i32), code: RDKafkaErrorCode) {
        self.flush();
        let Some(slot) = self.slots.remove(&key) else {
            return;
        };
        let TopicPartition { topic, partition } = slot.log.partition();
        self.reader.stop(topic, *partition);
        self.stuck.add(&slot.log, slot.page.next(), Some(code));
    }

    /// Resumes the partitions whose search is over.
    pub(super) fn resume_searched(&mut self, now: Instant) {
        for (log, outcome) in self.stuck.take_due(now) {
            if let SearchOutcome::Unreadable(range) = outcome {
                // The offsets before the range hold no records.
                log.append(PageBuilder::of(&log, log.next()).finish(range.start));
                log.append(Page::unreadable(log.next()..range.end));
                self.shared.record_success(log.partition(), FaultSource::Tail);
            }
            self.start(log);
        }
    }
}

/// At most one rejected record is logged in this time. A faulty producer must not fill the disk.
const REJECT_LOG_EVERY: Duration = Duration::from_secs(1);
