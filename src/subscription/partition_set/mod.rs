//! Which partitions a subscription has, as the directory changes under it.

mod refresh;

use std::sync::Arc;

use super::{
    partition_reader::PartitionReader,
    request::SubscribeRequest,
    snapshot::{PartitionSnapshot, Snapshot},
    start_positions::StartPositions,
    topic_states::TopicStates,
};
use crate::{
    partition::LogDirectory,
    position::{Offset, PartitionPosition, Timestamp},
};

/// The parts of a subscription, and the topics they are of.
pub(super) struct PartitionSet {
    topics: TopicStates,
    start_positions: StartPositions,
    /// Sorted by topic and partition, but for those behind the first `sorted` while they are brought up to the directory.
    pub(super) parts: Vec<PartitionReader>,
    sorted: usize,
    /// The directory's version when `parts` was last brought up to it.
    version: Option<u64>,
    /// Whether the client came with the directory as it is looked at first. Later it has been there before whatever is new.
    is_first_refresh: bool,
}

impl PartitionSet {
    pub(super) fn of(mut request: SubscribeRequest) -> Self {
        Self {
            start_positions: StartPositions::of(&mut request),
            topics: TopicStates::new(request.topics),
            parts: Vec::new(),
            sorted: 0,
            version: None,
            is_first_refresh: true,
        }
    }

    /// One whose parts stand there, and whose topics were looked at then.
    pub(super) fn at(topics: TopicStates, parts: Vec<PartitionReader>, now: Timestamp) -> Self {
        Self {
            topics,
            start_positions: StartPositions::none(now),
            sorted: parts.len(),
            parts,
            version: None,
            is_first_refresh: false,
        }
    }

    /// The topics, as they were when last looked at.
    pub(super) fn topics(&self) -> &TopicStates {
        &self.topics
    }

    /// Whether it is known of every topic which partitions it has, none included.
    pub(super) fn is_known(&self) -> bool {
        let mut states = self.topics.states.iter();
        states.all(|state| state.partitions.is_some() || state.absent)
    }

    /// Whether the brokers of at least one topic answer.
    pub(super) fn is_reachable(&self, directory: &LogDirectory) -> bool {
        let mut names = self.topics.topics.names();
        names.any(|name| directory.is_reachable(name))
    }

    /// What an id says of each part, and behind them of the topics that are absent: that a later one starts at its start.
    pub(super) fn entries(&self) -> impl Iterator<Item = (Arc<str>, i32, PartitionPosition)> {
        let parts = self
            .parts
            .iter()
            .map(|part| (part.partition.topic.clone(), part.partition.partition, part.place));
        let absent = self.topics.entries_of_absent(|topic| {
            let parts = &self.parts;
            parts
                .binary_search_by(|part| (*part.partition.topic).cmp(topic))
                .is_ok()
        });
        parts.chain(absent)
    }

    /// Returns whether every partition is read.
    pub(super) fn is_determined(&self) -> bool {
        self.is_known() && self.parts.iter().all(PartitionReader::is_determined)
    }

    /// Returns whether every partition is read up to its end, as far as the tail has read it.
    pub(super) fn is_at_end(&self) -> bool {
        let at_end = |part: &PartitionReader| {
            part.cursor()
                .is_some_and(|cursor| cursor.next() >= cursor.log().next())
        };
        self.is_known() && self.parts.iter().all(at_end)
    }

    /// Goes no further than `limit` in each partition, or as far as it can.
    pub(super) fn set_limit(&mut self, limit: Option<&Snapshot>) {
        for (index, part) in self.parts.iter_mut().enumerate() {
            let saved = limit.and_then(|limit| limit.parts.get(index)?.at.as_ref());
            part.set_limit(saved.map_or(Offset::MAX, |(_, next)| *next));
        }
    }

    /// Returns whether `other`, which is determined, has the same partitions in the same logs, and for each `holds` (own offset, other's
    /// offset) and the other's proof is as good.
    pub(super) fn compare(&self, other: &Snapshot, holds: impl Fn(Offset, Offset) -> bool) -> bool {
        let same = |(part, saved): (&PartitionReader, &PartitionSnapshot)| match (part.cursor(), &saved.at) {
            (Some(cursor), Some((log, next))) => {
                has_equal_proof(&saved.place, &part.place)
                    && Arc::ptr_eq(cursor.log(), log)
                    && holds(cursor.next(), *next)
            }
            _ => false,
        };
        self.is_known()
            && self.parts.len() == other.parts.len()
            && self.parts.iter().zip(&other.parts).all(same)
    }
}

/// Whether a client at `own`, with nothing but a hole between it and `other`, is told as much from there on when the log
/// turns out to be another: an epoch proves it, and without one the offset must be in range.
fn has_equal_proof(other: &PartitionPosition, own: &PartitionPosition) -> bool {
    match (other, own) {
        (PartitionPosition::At(other), PartitionPosition::At(own)) => {
            other.epoch.is_some() || (own.epoch.is_none() && other.offset <= own.offset)
        }
        _ => false,
    }
}
