//! One partition in the tail: the page that is being built, and the checks of each record.

use std::{sync::Arc, time::Instant};

use prometheus_client::metrics::counter::Counter;
use rdkafka::types::RDKafkaErrorCode;

use crate::{
    event::{EncodeError, Record},
    health,
    kafka::{
        client::config::{PAGE_BYTES, PAGE_RECORDS},
        metrics::{TopicLabels, TransformCounters},
        shared::ClusterShared,
    },
    partition::{PageBuilder, PartitionLog},
    position::{Epoch, Offset},
};

/// One partition that is being read.
pub(super) struct PartitionTail {
    pub(super) log: Arc<PartitionLog>,
    /// When reading began.
    pub(super) since: Instant,
    pub(super) page: PageBuilder,
    epoch: Epoch,
    /// Whether nothing was read yet. librdkafka asks a new leader whether its log continues the old one's, but only behind a
    /// record that it has read itself.
    unproven: bool,
    records: Counter,
    /// Counts what is dropped and redacted, if the topic has rules for it.
    transformed: Option<TransformCounters>,
    /// Whether a record has shown that the broker sets the timestamps.
    is_log_append_time: bool,
    pub(super) health: Option<Arc<health::PartitionHealth>>,
}

/// The outcome of handling an item.
pub(super) enum ItemOutcome {
    Record,
    Rejected(Arc<PartitionLog>, Offset, EncodeError),
    /// The page is full: flush, and handle the item again.
    PageFull,
    /// The record is not of this log, or cannot be told to be. Says why.
    Lost(Arc<PartitionLog>, Offset, &'static str),
    Fault(Offset, RDKafkaErrorCode, String),
    /// The item belongs to a partition that is no longer read.
    Stray,
}

impl PartitionTail {
    pub(super) fn new(shared: &ClusterShared, log: Arc<PartitionLog>, next: Offset) -> Self {
        let labels = TopicLabels::new(&shared.cluster, &log.partition().topic);
        let has_rules = log.transform().is_some();
        let health = shared.health_of(log.partition());
        if let (true, Some(health)) = (has_rules, &health) {
            health.record_transformed(0, 0);
        }
        Self {
            since: Instant::now(),
            page: PageBuilder::of(&log, next),
            epoch: log.end().epoch.or(log.leader_epoch()).unwrap_or(-1),
            unproven: next > 0,
            records: shared.counters.records.get_or_create_owned(&labels),
            transformed: has_rules.then(|| shared.counters.transformed(&labels)),
            is_log_append_time: false,
            health,
            log,
        }
    }

    /// Adds a record to the page, after checking that it belongs to this log.
    pub(super) fn push(&mut self, record: &Record<'_>) -> ItemOutcome {
        // Epochs never fall along one log. This is another log, even if its offsets continue.
        if record.epoch >= 0 && record.epoch < self.epoch {
            return ItemOutcome::Lost(Arc::clone(&self.log), record.offset, "the leader epoch decreased");
        }
        // Another leader wrote the record, and the offset where reading began may have been truncated since.
        if self.unproven && self.epoch >= 0 && record.epoch > self.epoch {
            let why = "the first record is from a newer leader epoch";
            return ItemOutcome::Lost(Arc::clone(&self.log), record.offset, why);
        }
        self.unproven = false;
        let size = record.value.map_or(0, <[u8]>::len);
        let full = self.page.len() as i64 >= PAGE_RECORDS || self.page.bytes() + size > PAGE_BYTES;
        if full && !self.page.is_empty() {
            return ItemOutcome::PageFull;
        }
        self.epoch = self.epoch.max(record.epoch);
        match self.page.push(record) {
            Ok(()) => ItemOutcome::Record,
            Err(reject) => ItemOutcome::Rejected(Arc::clone(&self.log), record.offset, reject),
        }
    }

    /// Records, once, that the broker sets this topic's timestamps.
    pub(super) fn note_log_append_time(&mut self, shared: &ClusterShared) {
        if !std::mem::replace(&mut self.is_log_append_time, true) {
            shared.note_log_append_time(&self.log);
        }
    }

    /// Appends the page to the log, and begins another.
    pub(super) fn flush(&mut self) {
        if self.page.is_empty() {
            return;
        }
        let next = self.page.next();
        let mut page = std::mem::replace(&mut self.page, PageBuilder::of(&self.log, next));
        self.records.inc_by(page.len() as u64);
        if let Some(transformed) = &self.transformed {
            let counts = page.take_counts();
            transformed.add(counts);
            if let Some(health) = &self.health {
                health.record_transformed(counts.dropped, counts.redacted);
            }
        }
        let page = page.finish(next);
        if let (Some(health), Some(last)) = (&self.health, page.events().last()) {
            health.record_arrival(last.timestamp, Instant::now());
        }
        self.log.append(page);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{event::Encoding, partition::TopicPartition, position::LogTag};

    const FELL: &str = "the leader epoch decreased";
    const UNPROVEN: &str = "the first record is from a newer leader epoch";

    /// Returns the tail of a log that it begins to read at `next`, of whose leader this epoch is known.
    fn tail_from(next: Offset, leader_epoch: Option<Epoch>) -> PartitionTail {
        let partition = TopicPartition {
            topic: "t".into(),
            partition: 0,
        };
        let log = PartitionLog::new(partition, LogTag::from_bits(1, 1), Encoding::default(), next);
        log.set_leader_epoch(leader_epoch);
        PartitionTail::new(&ClusterShared::for_test(), log, next)
    }

    /// Returns the outcome of each record, in words: its offset and its epoch.
    fn outcomes(mut tail: PartitionTail, records: &[(Offset, Epoch)]) -> Vec<&'static str> {
        let outcome = |(offset, epoch): &(Offset, Epoch)| {
            let record = Record {
                epoch: *epoch,
                ..Record::bare(*offset, Some(b"{}"))
            };
            match tail.push(&record) {
                ItemOutcome::Record => "record",
                ItemOutcome::Lost(_, _, why) => why,
                _ => "another",
            }
        };
        records.iter().map(outcome).collect()
    }

    /// Once the place was lost at each record that an earlier leader than the one of the start had written.
    #[test]
    fn a_log_that_had_elections_before_it_was_read_keeps_its_place() {
        for start in [0, 500] {
            let records = [(0, 0), (1, 0), (2, 3), (3, 7)].map(|(at, epoch)| (start + at, epoch));
            assert_eq!(outcomes(tail_from(start, None), &records), ["record"; 4]);
        }
    }

    #[test]
    fn a_record_of_an_earlier_leader_than_the_one_that_told_of_the_end_is_of_another_log() {
        assert_eq!(
            outcomes(tail_from(10, Some(3)), &[(10, 3), (11, 3), (12, 4), (13, 3)]),
            ["record", "record", "record", FELL]
        );
        assert_eq!(outcomes(tail_from(10, Some(3)), &[(10, 2)]), [FELL]);
        // Whether its log goes on from where the tail began nobody has asked.
        assert_eq!(outcomes(tail_from(10, Some(3)), &[(10, 4)]), [UNPROVEN]);
    }
}
