//! Which place each partition of a request starts from, before Kafka is asked anything.

use std::sync::Arc;

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
        let mut entries = self
            .entries
            .iter()
            .filter(|entry| entry.topic.names(&partition.topic))
            .peekable();
        if entries.peek().is_none() {
            return self.other;
        }
        let mut place = Place::Earliest;
        for entry in entries {
            match entry.partitions {
                Partitions::One(number) if number == partition.partition => return entry.place,
                Partitions::All => place = entry.place,
                Partitions::One(_) => {}
            }
        }
        place
    }

    /// Returns where `partition` starts, of a topic that the brokers did not have at the request: at its start, unless its
    /// entry says otherwise.
    pub(super) fn of_absent(&self, partition: &TopicPartition) -> Place {
        let is_named = self
            .entries
            .iter()
            .any(|entry| entry.topic.names(&partition.topic));
        match self.of_partition(partition) {
            Place::Latest => Place::Earliest,
            place if is_named => place,
            _ => Place::Earliest,
        }
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
        let key = TopicKey::Name(topic.clone());
        let tag = TopicKey::Tag(TopicKey::tag_of(topic));
        self.entries
            .iter()
            .filter(move |entry| entry.topic == key || entry.topic == tag)
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
