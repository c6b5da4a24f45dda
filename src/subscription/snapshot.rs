//! Snapshots of a subscription's position. A lane publishes them, a client continues from one, and the offsets between two
//! are what a client was given.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    ops::Range,
    sync::Arc,
    time::Instant,
};

use super::{Batch, BytesTracker, Gap, StreamView, batch};
use crate::{
    partition::{PartitionLog, TopicPartition},
    position::{NO_PARTITION, Offset, PartitionPosition, TopicSet},
};

/// A subscription's position in every partition, past filtered and skipped records too.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) topics: TopicStates,
    pub(super) partitions: Box<[PartitionSnapshot]>,
    /// Gaps that were found but not sent yet. The positions are already behind them.
    pub(super) gaps: Vec<Gap>,
    /// Whether every partition is in a log and no gap is left to send. Then other clients can continue from here as
    /// from a position of their own.
    pub(super) resumable: bool,
}

/// The position in one partition.
#[derive(Debug)]
pub(super) struct PartitionSnapshot {
    pub(super) partition: TopicPartition,
    /// The position as the id has it.
    pub(super) place: PartitionPosition,
    /// Whether the position was ever in a log that was current at the time.
    pub(super) was_read: bool,
    /// The log, and the next offset to read; `None` while the partition is not determined.
    pub(super) at: Option<(Arc<PartitionLog>, Offset)>,
}

impl Snapshot {
    /// Creates a snapshot without partitions.
    #[cfg(test)]
    pub(super) fn nowhere() -> Self {
        Self {
            topics: TopicStates::default(),
            partitions: Box::default(),
            gaps: Vec::new(),
            resumable: true,
        }
    }

    /// Creates a snapshot with these offsets in these logs.
    #[cfg(test)]
    pub(super) fn at(places: &[(&Arc<PartitionLog>, Offset)]) -> Self {
        let saved_partitions = places.iter().map(|(log, next)| PartitionSnapshot {
            partition: log.partition().clone(),
            place: PartitionPosition::Latest,
            was_read: true,
            at: Some((Arc::clone(log), *next)),
        });
        Self {
            partitions: saved_partitions.collect(),
            ..Self::nowhere()
        }
    }

    /// Returns whether all logs of the snapshot are still current.
    pub(super) fn is_current(&self) -> bool {
        let logs = self.partitions.iter().filter_map(|saved| saved.at.as_ref());
        logs.into_iter().all(|(log, _)| !log.is_replaced())
    }

    /// Returns the logs of the snapshot that a successor has taken the place of.
    pub(super) fn withdrawn_logs(&self) -> impl Iterator<Item = &Arc<PartitionLog>> {
        let logs = self.partitions.iter().filter_map(|saved| saved.at.as_ref());
        logs.map(|(log, _)| log)
            .filter(|log| log.is_replaced() && log.is_withdrawn())
    }

    /// Returns the position in `log` or in an earlier incarnation of it; `None` if there is none.
    fn position_in(&self, log: &PartitionLog) -> Option<&(Arc<PartitionLog>, Offset)> {
        let mut saved_partitions = self.partitions.iter().filter_map(|saved| saved.at.as_ref());
        saved_partitions.find(|(own, _)| own.is_same_as(log))
    }

    /// Returns the offsets of `log` whose records may be in the batch that leads from `before` to this snapshot.
    pub(super) fn range_since(&self, before: Option<&Self>, log: &PartitionLog) -> Range<Offset> {
        let from = before.and_then(|before| before.position_in(log));
        match (from, self.position_in(log)) {
            (Some((old, from)), Some((new, to))) if Arc::ptr_eq(old, new) => *from..*to,
            // The log may have been truncated in between, and read again.
            (_, Some((_, to))) => 0..*to,
            (Some((_, from)), None) => *from..Offset::MAX,
            (None, None) => 0..0,
        }
    }

    /// Returns whether the batch that leads from `before` to this snapshot may contain records deleted from `log`.
    pub(super) fn may_hold_deleted(&self, before: Option<&Self>, log: &PartitionLog) -> bool {
        let range = self.range_since(before, log);
        range.start < range.end.min(log.start())
    }

    /// Returns whether none of the records after this position has been deleted from `log`.
    pub(super) fn is_ahead_of_deleted(&self, log: &Arc<PartitionLog>) -> bool {
        let saved = self.position_in(log);
        saved.is_some_and(|(own, next)| Arc::ptr_eq(own, log) && *next >= log.start())
    }

    /// Returns whether a client that wants only new records can start here.
    pub(super) fn is_live(&self) -> bool {
        let at_end = |(log, next): &(Arc<PartitionLog>, Offset)| *next >= log.next();
        let mut positions = self.partitions.iter().map(|saved| saved.at.as_ref());
        self.is_current() && positions.all(|at| at.is_some_and(at_end))
    }

    /// Returns a batch with only a checkpoint of this position, in the form of `view`; `None` if it is no position to
    /// resume from.
    pub(super) fn checkpoint(&self, view: &StreamView, tracker: Option<&Arc<BytesTracker>>) -> Option<Batch> {
        if !self.gaps.is_empty() {
            return None;
        }
        let entries = self.partitions.iter().map(|saved| {
            let TopicPartition { topic, partition } = &saved.partition;
            (Arc::clone(topic), *partition, saved.place)
        });
        let others = self
            .topics
            .entries_of_others(view.restriction.is_some(), |topic| {
                let partitions = &self.partitions;
                partitions
                    .binary_search_by(|saved| (*saved.partition.topic).cmp(topic))
                    .is_ok()
            });
        batch::checkpoint(view, entries.chain(others).collect(), tracker)
    }

    /// Returns a hash that is equal for all [equivalent](Self::is_equivalent) snapshots.
    pub(super) fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for saved in &self.partitions {
            saved.next().hash(&mut hasher);
            if let PartitionPosition::At(mark) = saved.place {
                (mark.timestamp, mark.epoch).hash(&mut hasher);
            }
        }
        hasher.finish()
    }

    /// Returns whether clients at these two positions get the same bytes from now on, if their views are equal.
    pub(super) fn is_equivalent(&self, other: &Self) -> bool {
        self.resumable
            && other.resumable
            && self.all(other, |own, other| {
                own.next() == other.next() && own.place == other.place
            })
    }

    /// Returns whether a client came here from `before` without seeing anything but events.
    pub(super) fn continues_from(&self, before: &Self) -> bool {
        self.resumable && self.all(before, |own, before| own.next() >= before.next())
    }

    fn all(&self, other: &Self, holds: impl Fn(&PartitionSnapshot, &PartitionSnapshot) -> bool) -> bool {
        let pairs = self.partitions.iter().zip(&other.partitions);
        self.partitions.len() == other.partitions.len()
            && pairs.into_iter().all(|(own, other)| {
                own.partition == other.partition && own.is_in_log_of(other) && holds(own, other)
            })
    }

    /// Returns the memory taken by the snapshot, in bytes.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.partitions.len() * size_of::<PartitionSnapshot>()
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

/// The topics of a subscription, and the state in which each was last seen in the directory.
#[derive(Clone, Debug, Default)]
pub(super) struct TopicStates {
    pub(super) topics: TopicSet,
    pub(super) states: Arc<[ObservedState]>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ObservedState {
    /// How many of the topic's partitions the subscription has; `None` while the topic is unknown.
    pub(super) partitions: Option<i32>,
    /// Whether the brokers had no such topic. All records of a later topic of this name are then new to the client.
    pub(super) absent: bool,
}

impl TopicStates {
    /// Creates the states of topics that have not been looked up yet.
    pub(super) fn new(topics: TopicSet) -> Self {
        Self {
            states: vec![ObservedState::default(); topics.len()].into(),
            topics,
        }
    }

    /// Returns the id entries of topics for which `has_partitions` is false: of those that are absent, and in a restricted read of
    /// all that are known. They say that a partition that is there later starts at its beginning.
    pub(super) fn entries_of_others(
        &self,
        is_restricted: bool,
        has_partitions: impl Fn(&str) -> bool,
    ) -> impl Iterator<Item = (Arc<str>, i32, PartitionPosition)> {
        // Partition 0 may be another's, whose position it must not replace when the ids are joined.
        let partition = if is_restricted { NO_PARTITION } else { 0 };
        let is_known = move |state: &ObservedState| is_restricted && state.partitions.is_some();
        self.topics
            .names()
            .zip(&*self.states)
            .filter(move |(name, state)| (state.absent || is_known(state)) && !has_partitions(name))
            .map(move |(name, _)| (name.clone(), partition, PartitionPosition::Earliest))
    }
}

/// The offsets, by log, of the events that a client was given since its socket last had taken everything.
#[derive(Clone, Debug, Default)]
pub struct UnwrittenOffsets(Box<[(Arc<PartitionLog>, Range<Offset>)]>);

impl UnwrittenOffsets {
    pub(super) fn of(ranges: impl Iterator<Item = (Arc<PartitionLog>, Range<Offset>)>) -> Self {
        Self(ranges.filter(|(_, range)| !range.is_empty()).collect())
    }

    /// Returns the offsets that lead from one snapshot to another.
    pub(super) fn between(before: &Snapshot, after: &Snapshot) -> Self {
        let ranges = after.partitions.iter().enumerate().filter_map(|(index, saved)| {
            let (log, to) = saved.at.as_ref()?;
            // As a rule both have the same partitions in the same order. A search for each would cost the square of
            // their number.
            let old = before.partitions.get(index).and_then(|saved| saved.at.as_ref());
            let range = match old.filter(|(old, _)| Arc::ptr_eq(old, log)) {
                Some((_, from)) => *from..*to,
                None => after.range_since(Some(before), log),
            };
            Some((Arc::clone(log), range))
        });
        Self::of(ranges)
    }

    /// Returns when it became known that some of these records have been deleted from their log; `None` if all of them
    /// still exist.
    pub fn deleted_at(&self) -> Option<Instant> {
        let deleted = self.0.iter().filter(|(log, range)| range.start < log.start());
        deleted.filter_map(|(log, _)| log.deleted_at()).max()
    }
}
