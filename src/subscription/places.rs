//! Which place each partition of a request starts from, before Kafka is asked anything.

use std::{cmp::Ordering, sync::Arc};

use super::Request;
use crate::{
    partition::TopicPartition,
    position::{Entry, Partitions, Place, Timestamp, TopicKey, place_elsewhere},
};

/// The places that a request speaks of.
pub(super) struct Places {
    entries: Vec<Entry>,
    /// Where a topic starts that the entries lack altogether.
    other: Place,
    now: Timestamp,
}

impl Places {
    pub(super) fn of(request: &Request) -> Self {
        let Some(position) = &request.position else {
            return Self {
                entries: Vec::new(),
                other: request.since.map_or(Place::Latest, Place::Since),
                now: request.now,
            };
        };
        let places = position.entries.iter().map(|entry| entry.place);
        let since = request.since.map(Place::Since);
        let other = place_elsewhere(places.chain(since), request.now);
        Self {
            entries: position.entries.clone(),
            other: other.unwrap_or(Place::Latest),
            now: request.now,
        }
    }

    /// Those of a client whose every topic is known already: nobody asks.
    pub(super) fn none(now: Timestamp) -> Self {
        Self {
            entries: Vec::new(),
            other: Place::Since(now),
            now,
        }
    }

    /// Where `partition` starts. A partition that the topic's entries lack was added later, and starts at its start.
    pub(super) fn of_partition(&self, partition: &TopicPartition) -> Place {
        let entries = self.entries_of(&partition.topic);
        let Some(first) = entries.first() else {
            return self.other;
        };
        let own = Partitions::One(partition.partition);
        match entries.binary_search_by_key(&own, |entry| entry.partitions) {
            Ok(index) => entries[index].place,
            // A topic that is named bare stands before its partitions.
            Err(_) if first.partitions == Partitions::All => first.place,
            Err(_) => Place::Earliest,
        }
    }

    /// Returns the entries of `topic`, by partition. They stand together, since a position is sorted, and an id names its topics
    /// in one of the two ways.
    pub(super) fn entries_of(&self, topic: &str) -> &[Entry] {
        let named = |entry: &Entry| match &entry.topic {
            TopicKey::Name(name) => (**name).cmp(topic),
            TopicKey::Tag(_) => Ordering::Greater,
        };
        let tagged_first = |entry: &Entry| matches!(entry.topic, TopicKey::Name(_));
        let tags = self.entries.partition_point(tagged_first);
        let named = range_of(&self.entries[..tags], named);
        if !named.is_empty() || tags == self.entries.len() {
            return named;
        }
        let tag = TopicKey::Tag(TopicKey::tag_of(topic));
        range_of(&self.entries[tags..], |entry| entry.topic.cmp(&tag))
    }

    /// Notes the newest time of a record that the client's topics have as it comes. Our clock may be ahead of theirs: what comes
    /// from now on to a partition that is not determined yet then bears earlier times.
    pub(super) fn come_behind(&mut self, newest: Timestamp) {
        let earliest = self.now.saturating_sub(MOST_AHEAD);
        self.now = self.now.min(newest.max(earliest));
    }

    /// Returns `place` for a partition whose leader has not answered: "the end" would move on while it is away.
    pub(super) fn undetermined(&self, place: Place) -> Place {
        match place {
            Place::Latest => Place::Since(self.now),
            place => place,
        }
    }

    /// The partitions of `topic` that the request names, whether they exist or not.
    pub(super) fn named(&self, topic: &Arc<str>) -> impl Iterator<Item = (TopicPartition, Place)> {
        self.entries_of(topic)
            .iter()
            .filter_map(|entry| match entry.partitions {
                Partitions::One(partition) => Some((
                    TopicPartition {
                        topic: topic.clone(),
                        partition,
                    },
                    entry.place,
                )),
                Partitions::All => None,
            })
    }
}

/// How far ahead our clock is reckoned with to be, in milliseconds. Topics that are quiet for longer say nothing of it.
const MOST_AHEAD: Timestamp = 300_000;

/// Returns those of `entries`, which are sorted by it, for which `order` is equal.
fn range_of(entries: &[Entry], order: impl Fn(&Entry) -> Ordering) -> &[Entry] {
    let start = entries.partition_point(|entry| order(entry).is_lt());
    let length = entries[start..].partition_point(|entry| order(entry).is_eq());
    &entries[start..start + length]
}
