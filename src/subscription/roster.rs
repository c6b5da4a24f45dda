//! Which partitions a subscription has, as the directory changes under it.

use std::{ops::Range, sync::Arc};

use super::{
    Request,
    gap::{Gap, Reason},
    part::Part,
    places::Places,
};
use crate::{
    partition::{Directory, TopicPartition},
    position::{Place, Timestamp},
};

/// The parts of a subscription, and the topics they are of.
pub(super) struct Roster {
    topics: Arc<[Topic]>,
    places: Places,
    /// Sorted by topic and partition.
    pub(super) parts: Vec<Part>,
    /// The directory's version when `parts` was last brought up to it.
    version: Option<u64>,
    /// Whether the client came with the directory as it is looked at first. Later it has been there before whatever is new.
    comes: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Topic {
    name: Arc<str>,
    /// How many of its partitions are in `parts`; `None` while nothing is known of them.
    partitions: Option<i32>,
    /// The brokers had no such topic when it was looked at: all of a later one is new to the client.
    absent: bool,
}

impl Roster {
    pub(super) fn of(request: Request) -> Self {
        Self {
            places: Places::of(&request),
            topics: request
                .topics
                .into_iter()
                .map(|name| Topic {
                    name,
                    partitions: None,
                    absent: false,
                })
                .collect(),
            parts: Vec::new(),
            version: None,
            comes: true,
        }
    }

    /// One whose parts stand there, and whose topics were looked at then.
    pub(super) fn at(topics: Arc<[Topic]>, parts: Vec<Part>, now: Timestamp) -> Self {
        Self {
            topics,
            places: Places::none(now),
            parts,
            version: None,
            comes: false,
        }
    }

    /// The topics, as they were when last looked at.
    pub(super) fn topics(&self) -> &Arc<[Topic]> {
        &self.topics
    }

    /// Whether it is known of every topic which partitions it has, none included.
    pub(super) fn is_known(&self) -> bool {
        self.topics
            .iter()
            .all(|topic| topic.partitions.is_some() || topic.absent)
    }

    /// Whether the brokers of at least one topic answer.
    pub(super) fn is_reachable(&self, directory: &Directory) -> bool {
        self.topics
            .iter()
            .any(|topic| directory.is_reachable(&topic.name))
    }

    /// What an id says of each part, and behind them of the topics that are absent: that a later one starts at its start.
    pub(super) fn entries(&self) -> impl Iterator<Item = (Arc<str>, i32, Place)> {
        let parts = self
            .parts
            .iter()
            .map(|part| (part.partition.topic.clone(), part.partition.partition, part.place));
        let has_parts = |topic: &str| self.parts.iter().any(|part| *part.partition.topic == *topic);
        parts.chain(entries_of_absent(&self.topics, has_parts))
    }

    /// Brings the parts up to the directory; whether any came or went. What is lost with one that went is put into `gaps`.
    pub(super) fn refresh(&mut self, directory: &Directory, gaps: &mut Vec<Gap>) -> bool {
        let version = directory.version();
        if self.version.replace(version) == Some(version) {
            return false;
        }
        let mut topics = self.topics.to_vec();
        let mut changed = false;
        for topic in &mut topics {
            changed |= self.refresh_topic(topic, directory, gaps);
        }
        self.topics = topics.into();
        self.comes = false;
        if changed {
            self.parts.sort_by(|a, b| a.partition.cmp(&b.partition));
        }
        changed
    }

    fn refresh_topic(&mut self, topic: &mut Topic, directory: &Directory, gaps: &mut Vec<Gap>) -> bool {
        let partitions = directory.partitions(&topic.name);
        match (topic.partitions, partitions) {
            (None, None) => {
                topic.absent |= directory.is_absent(&topic.name);
                self.carry(topic, directory);
            }
            (None, Some(count)) => {
                self.carry(topic, directory);
                self.drop_beyond(&topic.name, count, gaps);
                self.add(&topic.name, 0..count, |roster, partition| {
                    let place = match topic.absent {
                        true => roster.places.of_absent(&partition),
                        false => roster.places.of_partition(&partition),
                    };
                    roster.part(partition, place, directory)
                });
                topic.absent = false;
            }
            // Added while the client is connected: from its start.
            (Some(known), Some(count)) if known < count => {
                self.add(&topic.name, known..count, |_, partition| {
                    Part::waiting(partition, Place::Earliest)
                });
            }
            (Some(known), Some(count)) if known > count => self.drop_beyond(&topic.name, count, gaps),
            _ => return false,
        }
        topic.partitions = partitions;
        true
    }

    /// While nothing is known of a topic, the id carries the client's own entries.
    fn carry(&mut self, topic: &Topic, directory: &Directory) {
        for (partition, place) in self.places.named(&topic.name) {
            if self.has(&partition) {
                continue;
            }
            let place = match place {
                // All that such a topic will have comes after the request.
                Place::Latest if topic.absent => Place::Earliest,
                place => place,
            };
            let part = self.part(partition, place, directory);
            self.parts.push(part);
        }
    }

    fn add(
        &mut self,
        topic: &Arc<str>,
        partitions: Range<i32>,
        part: impl Fn(&Self, TopicPartition) -> Part,
    ) {
        for partition in partitions {
            let partition = TopicPartition {
                topic: topic.clone(),
                partition,
            };
            if !self.has(&partition) {
                let part = part(self, partition);
                self.parts.push(part);
            }
        }
    }

    /// Returns the part that starts at `place`, as the client asked for it when it came.
    fn part(&self, partition: TopicPartition, place: Place, directory: &Directory) -> Part {
        let is_read = directory.get(&partition.topic, partition.partition).is_some();
        match self.comes && is_read {
            true => Part::new(partition, place),
            // The client was there before the log, whose end is not the one that there was then.
            false => Part::waiting(partition, self.places.undetermined(place)),
        }
    }

    /// The topic has only `count` partitions: what the id says of others leads nowhere, and the client is told.
    fn drop_beyond(&mut self, topic: &Arc<str>, count: i32, gaps: &mut Vec<Gap>) {
        let gone = |part: &mut Part| part.partition.topic == *topic && part.partition.partition >= count;
        gaps.extend(self.parts.extract_if(.., gone).map(lost));
    }

    fn has(&self, partition: &TopicPartition) -> bool {
        self.parts.iter().any(|part| part.partition == *partition)
    }
}

/// Returns what an id says of the topics that are absent, and not named by parts: that a later one starts at its start.
pub(super) fn entries_of_absent(
    topics: &[Topic],
    has_parts: impl Fn(&str) -> bool,
) -> impl Iterator<Item = (Arc<str>, i32, Place)> {
    topics
        .iter()
        .filter(move |topic| topic.absent && !has_parts(&topic.name))
        .map(|topic| (topic.name.clone(), 0, Place::Earliest))
}

fn lost(part: Part) -> Gap {
    let requested = match part.place {
        Place::At(mark) => Some(mark.offset),
        Place::Earliest | Place::Since(_) | Place::Latest => None,
    };
    Gap {
        partition: part.partition,
        requested,
        resumed: None,
        reason: Reason::PartitionGone,
    }
}
