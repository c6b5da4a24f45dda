//! The state of each topic and partition in the supervisor.
//!
//! Not here: the events that change it (`topology`, `tail_start`).

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use rdkafka::types::RDKafkaErrorCode;

use super::event::RequestId;
use crate::{
    event::{Encoding, Transform},
    kafka::{backoff::Backoff, shared::TopicSettings},
    partition::{Bounds, PartitionLog, TopicPartition},
    position::{Epoch, LogTag, Offset},
};

/// A topic and its partitions.
#[derive(Default)]
pub(in crate::kafka) struct TopicState {
    pub(super) name: Arc<str>,
    pub(super) encoding: Encoding,
    /// What is done to each record before it becomes an event.
    pub(super) transform: Option<Arc<dyn Transform>>,
    /// Whether the topic is read from this cluster. If not, it is only watched.
    pub(super) active: bool,
    pub(super) id: Option<[u8; 16]>,
    /// Ids that the topic had before. A broker that lags behind may still report them.
    pub(super) retired_ids: Vec<[u8; 16]>,
    /// Whether a refresh has shown for certain that the topic exists, or does not.
    pub(super) seen: bool,
    /// Since when the brokers report that there is no such topic.
    pub(super) missing_since: Option<Instant>,
    pub(super) partitions: Vec<PartitionState>,
}

/// A partition and its tail.
pub(super) struct PartitionState {
    pub(super) tag: LogTag,
    pub(super) state: TailState,
    pub(super) backoff: Backoff,
    /// The offset at which the tail last lost its position, and when.
    pub(super) lost: Option<(Offset, Instant)>,
}

/// How far the tail of a partition is.
pub(super) enum TailState {
    /// The leader has been asked for the bounds.
    Querying(RequestId, TailStart),
    /// The leader is asked at this time: for the first time, or because it did not answer, or because the tail lost its
    /// position.
    Waiting(Instant, TailStart),
    /// The tail appends to this log.
    Reading(Arc<PartitionLog>),
}

/// Where the tail of a partition begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TailStart {
    /// At the end: the partition was there when riverhead started to read the topic.
    End,
    /// At the start: the partition appeared later, and nothing of it may be lost.
    Start,
    /// Where the tail lost its position: it wanted this offset.
    Lost(Offset),
}

impl TopicState {
    pub(in crate::kafka) fn new(settings: TopicSettings) -> Self {
        let TopicSettings {
            name,
            encoding,
            transform,
            active,
        } = settings;
        Self {
            name,
            encoding,
            transform,
            active,
            ..Self::default()
        }
    }

    pub(super) fn partition(&self, number: usize) -> TopicPartition {
        TopicPartition {
            topic: Arc::clone(&self.name),
            partition: number as i32,
        }
    }

    /// Returns the logs that the tail reads.
    pub(super) fn logs(&self) -> impl Iterator<Item = &Arc<PartitionLog>> {
        self.partitions
            .iter()
            .filter_map(|partition| match &partition.state {
                TailState::Reading(log) => Some(log),
                TailState::Querying(..) | TailState::Waiting(..) => None,
            })
    }

    /// Activates or releases the topic, and forgets its partitions.
    pub(super) fn set_active(&mut self, active: bool) {
        self.active = active;
        self.id = None;
        self.seen = false;
        self.missing_since = None;
        self.partitions.clear();
    }
}

impl PartitionState {
    pub(super) fn new(tag: LogTag, from: TailStart) -> Self {
        Self {
            tag,
            state: TailState::Waiting(Instant::now(), from),
            backoff: Backoff::new(RETRY_FIRST, RETRY_MAX),
            lost: None,
        }
    }

    /// Returns when the bounds are queried again; `None` if no query is scheduled.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        match self.state {
            TailState::Waiting(due, _) => Some(due),
            TailState::Querying(..) | TailState::Reading(_) => None,
        }
    }
}

impl TailStart {
    /// Returns the offset at which the tail begins.
    pub(super) fn start_offset(self, bounds: Bounds) -> Offset {
        match self {
            Self::Start => bounds.start,
            // Expired before it was read: begin at the first offset that is left. Truncated: begin at the end, and everything
            // below it is history, because records at offsets that were already read may be others now.
            Self::Lost(at) if at < bounds.start => bounds.start,
            Self::End | Self::Lost(_) => bounds.end,
        }
    }

    /// Returns the leader epoch below which a tail that begins here reads no record. Returns `None` when it may read any:
    /// records at the start of a log were written under epochs before that of its leader now, and so were those of an open
    /// transaction, behind the end. `bounds` are those of `HistoryPool::query_tail_bounds`.
    pub(super) fn min_epoch(self, bounds: Bounds) -> Option<Epoch> {
        bounds.epoch.filter(|_| self.start_offset(bounds) == bounds.end)
    }
}

/// Returns whether this error says for certain that a topic does not exist.
pub(super) fn is_absent(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition
    )
}

/// The longest pause: an unreachable leader costs one request in this time.
const RETRY_MAX: Duration = Duration::from_secs(2);

/// The first pause before a leader is asked again.
pub(super) const RETRY_FIRST: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_tail_begins() {
        let bounds = Bounds {
            start: 10,
            end: 20,
            epoch: None,
        };
        assert_eq!(TailStart::End.start_offset(bounds), 20);
        assert_eq!(TailStart::Start.start_offset(bounds), 10);
        assert_eq!(TailStart::Lost(5).start_offset(bounds), 10, "expired");
        assert_eq!(TailStart::Lost(30).start_offset(bounds), 20, "truncated");
        assert_eq!(
            TailStart::Lost(15).start_offset(bounds),
            20,
            "truncated, and grown beyond since"
        );
    }

    #[test]
    fn only_at_the_end_of_a_log_nothing_is_older_than_its_leader() {
        let bounds = Bounds {
            start: 10,
            end: 20,
            epoch: Some(7),
        };
        assert_eq!(TailStart::End.min_epoch(bounds), Some(7));
        assert_eq!(TailStart::Lost(30).min_epoch(bounds), Some(7));
        assert_eq!(TailStart::Start.min_epoch(bounds), None);
        assert_eq!(TailStart::Lost(5).min_epoch(bounds), None, "expired");
    }
}
