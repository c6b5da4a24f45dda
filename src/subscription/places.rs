//! Which place each partition of a request starts from, before Kafka is asked anything.

use std::{collections::HashMap, ops::Range, sync::Arc};

use foldhash::fast::RandomState;

use super::Request;
use crate::{
    partition::TopicPartition,
    position::{Entry, Partitions, Place, Timestamp, TopicKey, place_elsewhere},
};

/// The places that a request speaks of.
pub(super) struct Places {
    entries: Vec<Entry>,
    /// Which of the entries are those of a topic: a request has hundreds of both.
    topics: HashMap<TopicKey, Range<usize>, RandomState>,
    /// Where a topic starts that the entries lack altogether.
    other: Place,
    now: Timestamp,
}

impl Places {
    /// Those of `request`, whose position they take.
    pub(super) fn of(request: &mut Request) -> Self {
        let Some(position) = request.position.take() else {
            return Self {
                entries: Vec::new(),
                topics: HashMap::default(),
                other: request.since.map_or(Place::Latest, Place::Since),
                now: request.now,
            };
        };
        let places = position.entries.iter().map(|entry| entry.place);
        let since = request.since.map(Place::Since);
        let other = place_elsewhere(places.chain(since), request.now);
        Self {
            topics: ranges(&position.entries),
            entries: position.entries,
            other: other.unwrap_or(Place::Latest),
            now: request.now,
        }
    }

    /// Those of a client whose every topic is known already: nobody asks.
    pub(super) fn none(now: Timestamp) -> Self {
        Self {
            entries: Vec::new(),
            topics: HashMap::default(),
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

    /// Returns the entries of `topic`, by partition. An id names its topics in one of the two ways.
    pub(super) fn entries_of(&self, topic: &Arc<str>) -> &[Entry] {
        let of = |key: &TopicKey| self.topics.get(key).map(|range| &self.entries[range.clone()]);
        if self.topics.is_empty() {
            return &[];
        }
        of(&TopicKey::Name(Arc::clone(topic)))
            .or_else(|| of(&TopicKey::Tag(TopicKey::tag_of(topic))))
            .unwrap_or_default()
    }

    /// Forgets the entries, which may be hundreds: every topic has been looked at that a place was to be found in.
    pub(super) fn forget_entries(&mut self) {
        self.entries = Vec::new();
        self.topics = HashMap::default();
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

/// Returns where the entries of each topic stand. They stand together, since a position is sorted.
fn ranges(entries: &[Entry]) -> HashMap<TopicKey, Range<usize>, RandomState> {
    let mut start = 0;
    let chunks = entries.chunk_by(|a, b| is_same(&a.topic, &b.topic));
    let ranges = chunks.map(|chunk| {
        let range = start..start + chunk.len();
        start = range.end;
        (chunk[0].topic.clone(), range)
    });
    ranges.collect()
}

fn is_same(a: &TopicKey, b: &TopicKey) -> bool {
    match (a, b) {
        (TopicKey::Name(a), TopicKey::Name(b)) => Arc::ptr_eq(a, b) || a == b,
        _ => a == b,
    }
}
