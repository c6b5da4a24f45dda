//! The partitions of a subscription.
//!
//! Changes to the set as the directory changes are in [`refresh`].

mod refresh;

use std::sync::Arc;

use super::{
    PartitionReader, PartitionSnapshot, Snapshot, SubscribeRequest, TopicStates, ends::EndPositions,
    start_positions::StartPositions,
};
use crate::{
    partition::LogDirectory,
    position::{Offset, PartitionPosition, Restriction, RestrictionTag, Timestamp},
};

/// The partitions of a subscription, their topics, and where new ones start.
pub(super) struct PartitionSet {
    /// The topics, in the states in which they were last seen.
    pub(super) topics: TopicStates,
    /// Which partitions of the topics are read; `None` for all.
    restriction: Option<Restriction>,
    start_positions: StartPositions,
    /// Where a bounded read ends; `None` for a read without an end.
    ends: Option<Box<EndPositions>>,
    /// The partitions, sorted by topic and partition. During a refresh only the first `sorted` are in order.
    pub(super) readers: Vec<PartitionReader>,
    sorted: usize,
    /// The directory's version at the last refresh.
    version: Option<u64>,
    /// Whether the next refresh is the first. At the first the client arrives together with what is in the directory.
    /// At later ones the client was there before anything that is new.
    is_first_refresh: bool,
}

impl PartitionSet {
    pub(super) fn of(mut request: SubscribeRequest) -> Self {
        Self {
            start_positions: StartPositions::of(&mut request),
            ends: None,
            topics: TopicStates::new(request.topics),
            restriction: request.view.restriction,
            readers: Vec::new(),
            sorted: 0,
            version: None,
            is_first_refresh: true,
        }
    }

    /// Ends the read there. To be called before the first refresh.
    pub(super) fn end_at(&mut self, ends: EndPositions) {
        self.ends = Some(Box::new(ends));
    }

    /// Returns whether everything before the end of a bounded read has been read, of every partition.
    pub(super) fn is_done(&self) -> bool {
        self.ends.is_some() && self.is_known() && self.readers.iter().all(PartitionReader::is_done)
    }

    /// Creates the set of a snapshot: these partitions, of topics seen in these states.
    pub(super) fn at(
        topics: TopicStates,
        restriction: Option<Restriction>,
        readers: Vec<PartitionReader>,
        now: Timestamp,
    ) -> Self {
        Self {
            topics,
            restriction,
            start_positions: StartPositions::none(now),
            ends: None,
            sorted: readers.len(),
            readers,
            version: None,
            is_first_refresh: false,
        }
    }

    /// Returns whether the partitions of every topic are known. An absent topic is known to have none.
    pub(super) fn is_known(&self) -> bool {
        let mut states = self.topics.states.iter();
        states.all(|state| state.partitions.is_some() || state.absent)
    }

    /// Returns whether the brokers of at least one topic answer, if there is a topic.
    pub(super) fn is_reachable(&self, directory: &LogDirectory) -> bool {
        let mut names = self.topics.topics.names();
        names.len() == 0 || names.any(|name| directory.is_reachable(name))
    }

    /// Returns whether there is nothing to read for now, because the read is restricted and none of the partitions that exist is
    /// its own.
    pub(super) fn has_none_of_its_own(&self) -> bool {
        let TopicStates { topics, states } = &self.topics;
        let mut states = states.iter();
        let exist = topics.is_empty() || states.any(|state| state.partitions.is_some_and(|count| count > 0));
        self.restriction.is_some() && self.is_known() && self.readers.is_empty() && exist
    }

    /// Returns how ids name the restriction.
    pub(super) fn restriction_tag(&self) -> Option<RestrictionTag> {
        self.restriction.as_ref().map(Restriction::tag)
    }

    /// Returns the entries of the id: one for each partition, then one for each topic without any that needs one.
    pub(super) fn entries(&self) -> impl Iterator<Item = (Arc<str>, i32, PartitionPosition)> {
        let known = self.readers.iter().map(|reader| {
            (
                reader.partition.topic.clone(),
                reader.partition.partition,
                reader.place,
            )
        });
        let is_restricted = self.restriction.is_some();
        let others = self.topics.entries_of_others(is_restricted, |topic| {
            let readers = &self.readers;
            readers
                .binary_search_by(|reader| (*reader.partition.topic).cmp(topic))
                .is_ok()
        });
        known.chain(others)
    }

    /// Returns whether every partition's start is determined.
    pub(super) fn is_determined(&self) -> bool {
        self.is_known() && self.readers.iter().all(PartitionReader::is_determined)
    }

    /// Returns whether every partition is read up to its end, as far as the tail has read it.
    pub(super) fn is_at_end(&self) -> bool {
        let at_end =
            |reader: &PartitionReader| reader.cursor().is_some_and(|it| it.next() >= it.log().next());
        self.is_known() && self.readers.iter().all(at_end)
    }

    /// Reads no further than `limit` in each partition; `None` removes the limit.
    pub(super) fn set_limit(&mut self, limit: Option<&Snapshot>) {
        for (index, reader) in self.readers.iter_mut().enumerate() {
            let saved = limit.and_then(|limit| limit.partitions.get(index)?.at.as_ref());
            reader.limit = saved.map_or(Offset::MAX, |(_, next)| *next);
        }
    }

    /// Returns whether `other`, which must be determined, has the same partitions in the same logs with proof at least
    /// as good, and `holds` is true for each pair of (own offset, other offset).
    pub(super) fn compare(&self, other: &Snapshot, holds: impl Fn(Offset, Offset) -> bool) -> bool {
        let same =
            |(reader, saved): (&PartitionReader, &PartitionSnapshot)| match (reader.cursor(), &saved.at) {
                (Some(cursor), Some((log, next))) => {
                    has_equal_proof(&saved.place, &reader.place)
                        && Arc::ptr_eq(cursor.log(), log)
                        && holds(cursor.next(), *next)
                }
                _ => false,
            };
        self.is_known()
            && self.readers.len() == other.partitions.len()
            && self.readers.iter().zip(&other.partitions).all(same)
    }
}

/// Returns whether a client at `own`, with only a hole between it and `other`, loses no proof by continuing at `other`
/// if the log turns out to be another one. An epoch is proof; without one, the offset must be in range.
fn has_equal_proof(other: &PartitionPosition, own: &PartitionPosition) -> bool {
    match (other, own) {
        (PartitionPosition::At(other), PartitionPosition::At(own)) => {
            other.epoch.is_some() || (own.epoch.is_none() && other.offset <= own.offset)
        }
        _ => false,
    }
}
