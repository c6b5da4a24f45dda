//! Where a subscription stands, as a value: a lane publishes it, and a client goes on from it.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    ops::Range,
    sync::Arc,
};

use super::{
    batch::Batch, batch_builder, gap::Gap, topic_states::TopicStates, tracker::BytesTracker, view::StreamView,
};
use crate::{
    partition::{PartitionLog, TopicPartition},
    position::{Offset, PartitionPosition},
};

/// Where a subscription stands in every partition, filtered and skipped records included.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) topics: TopicStates,
    pub(super) parts: Box<[PartitionSnapshot]>,
    /// Found, and not told yet: the parts stand behind them already.
    pub(super) gaps: Vec<Gap>,
    /// Whether every part is in a log and nothing is left to tell: others may go on from here as from a place of their own.
    pub(super) resumable: bool,
}

/// Where it stands in one partition.
#[derive(Debug)]
pub(super) struct PartitionSnapshot {
    pub(super) partition: TopicPartition,
    /// What the id says.
    pub(super) place: PartitionPosition,
    /// Whether it was ever one in a log that was current then.
    pub(super) was_read: bool,
    /// The log, and the next offset looked at; `None` while it is not determined.
    pub(super) at: Option<(Arc<PartitionLog>, Offset)>,
}

impl Snapshot {
    /// Nowhere, for lack of partitions.
    #[cfg(test)]
    pub(super) fn nowhere() -> Self {
        Self {
            topics: TopicStates::default(),
            parts: Box::default(),
            gaps: Vec::new(),
            resumable: true,
        }
    }

    /// There in these logs.
    #[cfg(test)]
    pub(super) fn at(places: &[(&Arc<PartitionLog>, Offset)]) -> Self {
        let saved_partitions = places.iter().map(|(log, next)| PartitionSnapshot {
            partition: log.partition().clone(),
            place: PartitionPosition::Latest,
            was_read: true,
            at: Some((Arc::clone(log), *next)),
        });
        Self {
            parts: saved_partitions.collect(),
            ..Self::nowhere()
        }
    }

    /// Whether a client that got to the same offsets by itself may go on from here.
    pub(super) fn is_resumable(&self) -> bool {
        self.resumable
    }

    /// Whether all the logs it speaks of are current still.
    pub(super) fn is_current(&self) -> bool {
        let logs = self.parts.iter().filter_map(|saved| saved.at.as_ref());
        logs.into_iter().all(|(log, _)| !log.is_replaced())
    }

    /// Returns where it stands in `log`, or in one that stood for the same log before; `None` if it stands in another, or in none.
    fn position_in(&self, log: &PartitionLog) -> Option<&(Arc<PartitionLog>, Offset)> {
        let mut saved_partitions = self.parts.iter().filter_map(|saved| saved.at.as_ref());
        saved_partitions.find(|(own, _)| own.is_same_as(log))
    }

    /// Returns the offsets of `log` of which records may be among what leads here from `before`.
    pub(super) fn range_since(&self, before: Option<&Self>, log: &PartitionLog) -> Range<Offset> {
        let from = before.and_then(|before| before.position_in(log));
        match (from, self.position_in(log)) {
            (Some((old, from)), Some((new, to))) if Arc::ptr_eq(old, new) => *from..*to,
            // It may have been cut off in between, and been read again.
            (_, Some((_, to))) => 0..*to,
            (Some((_, from)), None) => *from..Offset::MAX,
            (None, None) => 0..0,
        }
    }

    /// Whether there may be records among what leads here from `before` that have been deleted from `log`.
    pub(super) fn may_hold_deleted(&self, before: Option<&Self>, log: &PartitionLog) -> bool {
        let range = self.range_since(before, log);
        range.start < range.end.min(log.start())
    }

    /// Whether nothing that comes behind it has been deleted from `log`.
    pub(super) fn is_ahead_of_deleted(&self, log: &Arc<PartitionLog>) -> bool {
        let saved = self.position_in(log);
        saved.is_some_and(|(own, next)| Arc::ptr_eq(own, log) && *next >= log.start())
    }

    /// Whether it is where one begins who wants nothing that is past.
    pub(super) fn is_live(&self) -> bool {
        let at_end = |(log, next): &(Arc<PartitionLog>, Offset)| *next >= log.next();
        self.is_current()
            && self
                .parts
                .iter()
                .all(|saved| saved.at.as_ref().is_some_and(at_end))
    }

    /// Returns a batch that says nothing but this place, as ids in `form` say it; `None` while it is no place to resume from.
    pub(super) fn checkpoint(&self, view: &StreamView, tracker: Option<&Arc<BytesTracker>>) -> Option<Batch> {
        if !self.gaps.is_empty() {
            return None;
        }
        let entries = self.parts.iter().map(|saved| {
            let TopicPartition { topic, partition } = &saved.partition;
            (Arc::clone(topic), *partition, saved.place)
        });
        let absent = self.topics.entries_of_absent(|topic| {
            let parts = &self.parts;
            parts
                .binary_search_by(|saved| (*saved.partition.topic).cmp(topic))
                .is_ok()
        });
        batch_builder::checkpoint(view, entries.chain(absent).collect(), tracker)
    }

    /// The same for all that [are the same](Self::is_equivalent).
    pub(super) fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for saved in &self.parts {
            saved.next().hash(&mut hasher);
            if let PartitionPosition::At(mark) = saved.place {
                (mark.timestamp, mark.epoch).hash(&mut hasher);
            }
        }
        hasher.finish()
    }

    /// Whether a client here and one there are to be told the same from now on, if they wish the same.
    pub(super) fn is_equivalent(&self, other: &Self) -> bool {
        self.resumable
            && other.resumable
            && self.all_partitions(other, |own, other| {
                own.next() == other.next() && own.place == other.place
            })
    }

    /// Whether a client came here from `before` without being told of anything but events.
    pub(super) fn continues_from(&self, before: &Self) -> bool {
        self.resumable && self.all_partitions(before, |own, before| own.next() >= before.next())
    }

    fn all_partitions(
        &self,
        other: &Self,
        holds: impl Fn(&PartitionSnapshot, &PartitionSnapshot) -> bool,
    ) -> bool {
        let pairs = self.parts.iter().zip(&other.parts);
        self.parts.len() == other.parts.len()
            && pairs.into_iter().all(|(own, other)| {
                own.partition == other.partition && own.is_in_log_of(other) && holds(own, other)
            })
    }

    /// What it costs in memory, in bytes.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.parts.len() * size_of::<PartitionSnapshot>()
            + self.gaps.len() * size_of::<Gap>()
    }
}

impl PartitionSnapshot {
    fn next(&self) -> Option<Offset> {
        self.at.as_ref().map(|(_, next)| *next)
    }

    fn is_in_log_of(&self, other: &Self) -> bool {
        match (&self.at, &other.at) {
            (Some((own, _)), Some((other, _))) => Arc::ptr_eq(own, other),
            _ => false,
        }
    }
}
