//! What the supervisor knows of each topic and partition.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use rdkafka::types::RDKafkaErrorCode;

use super::event::RequestId;
use crate::{
    event::Encoding,
    kafka::backoff::Backoff,
    partition::{Bounds, PartitionLog, TopicPartition},
    position::{Epoch, LogTag, Offset},
};

pub(in crate::kafka) struct TopicState {
    pub(super) name: Arc<str>,
    pub(super) encoding: Encoding,
    /// Whether this cluster is the one that it is read from; otherwise it is only watched.
    pub(super) active: bool,
    pub(super) id: Option<[u8; 16]>,
    /// Ids it had before: a broker that lags behind may still tell them.
    pub(super) retired_ids: Vec<[u8; 16]>,
    /// Whether a look has told anything definite of it.
    pub(super) seen: bool,
    /// Since when the brokers say that there is no such topic.
    pub(super) missing_since: Option<Instant>,
    pub(super) partitions: Vec<PartitionState>,
}

pub(super) struct PartitionState {
    pub(super) tag: LogTag,
    pub(super) state: TailState,
    pub(super) backoff: Backoff,
    /// Where the tail last lost its place, and when.
    pub(super) lost: Option<(Offset, Instant)>,
}

pub(super) enum TailState {
    /// The leader has been asked for the bounds.
    Querying(RequestId, TailStart),
    /// It did not answer; it is asked again then.
    Waiting(Instant, TailStart),
    /// The tail reads into this log.
    Reading(Arc<PartitionLog>),
}

/// Where the tail of a partition begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TailStart {
    /// At its end: it was there when we came.
    End,
    /// At its start: it came after us, and nothing of it may be lost.
    Start,
    /// The tail wanted this offset, which is out of range.
    Lost(Offset),
}

impl TopicState {
    pub(in crate::kafka) fn new(name: Arc<str>, encoding: Encoding, active: bool) -> Self {
        Self {
            name,
            encoding,
            active,
            id: None,
            retired_ids: Vec::new(),
            seen: false,
            missing_since: None,
            partitions: Vec::new(),
        }
    }

    pub(super) fn partition(&self, number: usize) -> TopicPartition {
        TopicPartition {
            topic: Arc::clone(&self.name),
            partition: number as i32,
        }
    }

    /// The logs that are read.
    pub(super) fn logs(&self) -> impl Iterator<Item = &Arc<PartitionLog>> {
        self.partitions
            .iter()
            .filter_map(|partition| match &partition.state {
                TailState::Reading(log) => Some(log),
                TailState::Querying(..) | TailState::Waiting(..) => None,
            })
    }

    /// Begins or ends its being read, and forgets where that was.
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
            backoff: Backoff::new(RETRY_FIRST, RETRY_MOST),
            lost: None,
        }
    }

    pub(super) fn retry_at(&self) -> Option<Instant> {
        match self.state {
            TailState::Waiting(due, _) => Some(due),
            TailState::Querying(..) | TailState::Reading(_) => None,
        }
    }
}

impl TailStart {
    pub(super) fn start_offset(self, bounds: Bounds) -> Offset {
        match self {
            Self::Start => bounds.start,
            // Expired before it was read: go on with what is left. Truncated: everything below the new end is history, for
            // what stands at offsets already read may be other records now.
            Self::Lost(at) if at < bounds.start => bounds.start,
            Self::End | Self::Lost(_) => bounds.end,
        }
    }
}

impl TailStart {
    /// Returns the leader epoch below which no record is that a tail reads which begins here; `None` when there may be any: those
    /// at the start of a log were written under epochs before that of its leader now.
    pub(super) fn min_epoch(self, bounds: Bounds) -> Option<Epoch> {
        bounds.epoch.filter(|_| self.start_offset(bounds) == bounds.end)
    }
}

/// Whether a look said for certain that a topic is not there.
pub(super) fn is_absent(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition
    )
}

/// A leader that cannot be reached costs one request in this time.
const RETRY_MOST: Duration = Duration::from_secs(2);

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
