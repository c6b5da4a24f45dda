//! Which place each partition of a request starts from, before Kafka is asked anything.

use std::ops::Range;

use super::request::SubscribeRequest;
use crate::position::{PartitionPosition, Partitions, PositionEntry, Timestamp, default_start_position};

/// The places that a request speaks of.
pub(super) struct StartPositions {
    entries: Vec<PositionEntry>,
    /// Which of the entries are those of each topic: none when there are no entries.
    topics: Vec<Range<usize>>,
    /// Where a topic starts that the entries lack altogether.
    other: PartitionPosition,
    now: Timestamp,
}

impl StartPositions {
    /// Those of `request`, whose position they take.
    pub(super) fn of(request: &mut SubscribeRequest) -> Self {
        let Some(position) = request.position.take() else {
            return Self {
                entries: Vec::new(),
                topics: Vec::new(),
                other: request
                    .since
                    .map_or(PartitionPosition::Latest, PartitionPosition::Since),
                now: request.now,
            };
        };
        let places = position.entries.iter().map(|entry| entry.place);
        let since = request.since.map(PartitionPosition::Since);
        let other = default_start_position(places.chain(since), request.now);
        Self {
            topics: request.topics.entries_of_each(&position.entries),
            entries: position.entries,
            other: other.unwrap_or(PartitionPosition::Latest),
            now: request.now,
        }
    }

    /// Those of a client whose every topic is known already: nobody asks.
    pub(super) fn none(now: Timestamp) -> Self {
        Self {
            entries: Vec::new(),
            topics: Vec::new(),
            other: PartitionPosition::Since(now),
            now,
        }
    }

    /// Where a partition of the topic of this index starts. One that the topic's entries lack was added later, and starts at its
    /// start.
    pub(super) fn of_partition(&self, topic: usize, partition: i32) -> PartitionPosition {
        let entries = self.entries_of(topic);
        let Some(first) = entries.first() else {
            return self.other;
        };
        let own = Partitions::One(partition);
        match entries.binary_search_by_key(&own, |entry| entry.partitions) {
            Ok(index) => entries[index].place,
            // A topic that is named bare stands before its partitions.
            Err(_) if first.partitions == Partitions::All => first.place,
            Err(_) => PartitionPosition::Earliest,
        }
    }

    /// Returns the entries of the topic of this index, by partition.
    fn entries_of(&self, topic: usize) -> &[PositionEntry] {
        let range = self.topics.get(topic).cloned();
        range.map_or(&[], |range| &self.entries[range])
    }

    /// Forgets the entries, which may be hundreds: every topic has been looked at that a place was to be found in.
    pub(super) fn forget_entries(&mut self) {
        self.entries = Vec::new();
        self.topics = Vec::new();
    }

    /// Notes the newest time of a record that the client's topics have as it comes. Our clock may be ahead of theirs: what comes
    /// from now on to a partition that is not determined yet then bears earlier times.
    pub(super) fn clamp_to_newest(&mut self, newest: Timestamp) {
        let earliest = self.now.saturating_sub(MAX_CLOCK_SKEW);
        self.now = self.now.min(newest.max(earliest));
    }

    /// Returns `place` for a partition whose leader has not answered: "the end" would move on while it is away.
    pub(super) fn for_undetermined(&self, place: PartitionPosition) -> PartitionPosition {
        match place {
            PartitionPosition::Latest => PartitionPosition::Since(self.now),
            place => place,
        }
    }

    /// Whether it names no partition of the topic of this index from `first` on.
    pub(super) fn names_none(&self, topic: usize, first: i32) -> bool {
        let last = self.entries_of(topic).last();
        last.is_none_or(|last| last.partitions < Partitions::One(first))
    }

    /// The partitions of the topic of this index that the request names, from `first` on, whether they exist or not.
    pub(super) fn named(&self, topic: usize, first: i32) -> impl Iterator<Item = (i32, PartitionPosition)> {
        let entries = self.entries_of(topic);
        let from = entries.partition_point(|entry| entry.partitions < Partitions::One(first));
        entries[from..].iter().filter_map(|entry| match entry.partitions {
            Partitions::One(partition) => Some((partition, entry.place)),
            Partitions::All => None,
        })
    }
}

/// How far ahead our clock is reckoned with to be, in milliseconds. Topics that are quiet for longer say nothing of it.
const MAX_CLOCK_SKEW: Timestamp = 300_000;
