//! The start of each partition as a request has it, before Kafka is asked anything.

use std::ops::Range;

use super::SubscribeRequest;
use crate::position::{PartitionPosition, Partitions, PositionEntry, Timestamp, default_start_position};

/// The start positions that a request names.
pub(super) struct StartPositions {
    entries: Vec<PositionEntry>,
    /// For each topic, the range of its entries; empty if there are no entries.
    topics: Vec<Range<usize>>,
    /// The start of topics without any entry.
    other: PartitionPosition,
    now: Timestamp,
}

impl StartPositions {
    /// Creates the start positions of `request`, whose position it takes.
    pub(super) fn of(request: &mut SubscribeRequest) -> Self {
        let ranges = request.ranges.take();
        let since = request.since.map(PartitionPosition::Since);
        let Some(position) = request.position.take() else {
            return Self {
                other: since.unwrap_or(PartitionPosition::Latest),
                ..Self::none(request.now)
            };
        };
        let topics = ranges.unwrap_or_else(|| request.topics.entries_of_each(&position.entries));
        let other = if topics.iter().any(Range::is_empty) {
            let places = position.entries.iter().map(|entry| entry.place);
            default_start_position(places.chain(since), request.now)
        } else {
            // No topic will need it, and there may be hundreds of places.
            None
        };
        Self {
            topics,
            entries: position.entries,
            other: other.unwrap_or(PartitionPosition::Latest),
            now: request.now,
        }
    }

    /// Creates start positions for a client whose topics are all known already, so that none is looked up.
    pub(super) fn none(now: Timestamp) -> Self {
        Self {
            entries: Vec::new(),
            topics: Vec::new(),
            other: PartitionPosition::Since(now),
            now,
        }
    }

    /// Returns the start of a partition of the topic with this index. A partition without an entry, of a topic with
    /// entries, was added later and starts at its beginning.
    #[inline]
    pub(super) fn of_partition(&self, topic: usize, partition: i32) -> PartitionPosition {
        let entries = self.entries_of(topic);
        let Some(first) = entries.first() else {
            return self.other;
        };
        let own = Partitions::One(partition);
        if first.partitions == own {
            return first.place;
        }
        match entries.binary_search_by_key(&own, |entry| entry.partitions) {
            Ok(index) => entries[index].place,
            // An entry for all partitions of a topic sorts before those for single ones.
            Err(_) if first.partitions == Partitions::All => first.place,
            Err(_) => PartitionPosition::Earliest,
        }
    }

    /// Returns the entries of the topic with this index, sorted by partition.
    #[inline]
    fn entries_of(&self, topic: usize) -> &[PositionEntry] {
        let range = self.topics.get(topic).cloned();
        range.map_or(&[], |range| &self.entries[range])
    }

    /// Drops the entries, of which there may be hundreds, once every topic that has some is known.
    pub(super) fn forget_entries(&mut self) {
        self.entries = Vec::new();
        self.topics = Vec::new();
    }

    /// Takes into account the newest timestamp in the client's topics at the time of the request. If our clock is ahead
    /// of the producers', records that arrive from now on in a partition that is not determined yet have earlier times
    /// than ours.
    pub(super) fn clamp_to_newest(&mut self, newest: Timestamp) {
        let earliest = self.now.saturating_sub(MAX_CLOCK_SKEW);
        self.now = self.now.min(newest.max(earliest));
    }

    /// Returns `place`, or a time if it is the end of the log. For a partition whose leader has not answered: "the end"
    /// would move on while the leader is away.
    pub(super) fn for_undetermined(&self, place: PartitionPosition) -> PartitionPosition {
        match place {
            PartitionPosition::Latest => PartitionPosition::Since(self.now),
            place => place,
        }
    }

    /// Returns how many entries the topic with this index has.
    pub(super) fn count_of(&self, topic: usize) -> usize {
        self.entries_of(topic).len()
    }

    /// Returns whether the request names no partition from `first` on, of the topic with this index.
    #[inline]
    pub(super) fn names_none(&self, topic: usize, first: i32) -> bool {
        let last = self.entries_of(topic).last();
        last.is_none_or(|last| last.partitions < Partitions::One(first))
    }

    /// Returns the partitions that the request names from `first` on, existing or not, of the topic with this index.
    pub(super) fn named(&self, topic: usize, first: i32) -> impl Iterator<Item = (i32, PartitionPosition)> {
        let entries = self.entries_of(topic);
        let from = entries.partition_point(|entry| entry.partitions < Partitions::One(first));
        entries[from..].iter().filter_map(|entry| match entry.partitions {
            Partitions::One(partition) => Some((partition, entry.place)),
            Partitions::All => None,
        })
    }
}

/// How far our clock may be ahead of the producers', in milliseconds. A topic whose newest record is older than that
/// says nothing about the clocks.
const MAX_CLOCK_SKEW: Timestamp = 300_000;
