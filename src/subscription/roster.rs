//! Which partitions a subscription has, as the directory changes under it.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

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
    /// Sorted by topic and partition, but for those behind the first `sorted` while they are brought up to the directory.
    pub(super) parts: Vec<Part>,
    sorted: usize,
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
    pub(super) fn of(mut request: Request) -> Self {
        Self {
            places: Places::of(&mut request),
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
            sorted: 0,
            version: None,
            comes: true,
        }
    }

    /// One whose parts stand there, and whose topics were looked at then.
    pub(super) fn at(topics: Arc<[Topic]>, parts: Vec<Part>, now: Timestamp) -> Self {
        Self {
            topics,
            places: Places::none(now),
            sorted: parts.len(),
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
        self.sorted = self.parts.len();
        if self.comes {
            let names = self.topics.iter().map(|topic| &*topic.name);
            let newest = directory.newest_beside_missing(names);
            newest
                .into_iter()
                .for_each(|newest| self.places.come_behind(newest));
        }
        let mut topics = self.topics.to_vec();
        let mut changed = false;
        for topic in &mut topics {
            changed |= self.refresh_topic(topic, directory, gaps);
        }
        self.topics = topics.into();
        self.comes = false;
        if self.is_known() {
            self.places.forget_entries();
        }
        if changed {
            self.parts.sort_by(|a, b| a.partition.cmp(&b.partition));
        }
        changed
    }

    fn refresh_topic(&mut self, topic: &mut Topic, directory: &Directory, gaps: &mut Vec<Gap>) -> bool {
        let partitions = directory.partitions(&topic.name);
        match (topic.partitions, partitions) {
            (None, None) if topic.absent => return false,
            (None, None) if directory.is_absent(&topic.name) => {
                topic.absent = true;
                self.drop_absent(&topic.name, gaps);
            }
            (None, None) => self.carry(topic, directory),
            (None, Some(count)) => {
                if !topic.absent {
                    let named = self.named_beyond(&topic.name, count);
                    self.drop_beyond(&topic.name, count, named, gaps);
                }
                self.add(&topic.name, 0..count, |roster, partition| {
                    let place = match topic.absent {
                        // All that it has came after the client was told that there is none.
                        true => Place::Earliest,
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
            (Some(known), Some(count)) if known > count => {
                self.drop_beyond(&topic.name, count, BTreeMap::new(), gaps);
            }
            _ => return false,
        }
        topic.partitions = partitions;
        true
    }

    /// While nothing is known of a topic, the id carries the client's own entries, up to a bound. Those beyond begin where they
    /// say if it becomes known to this client, and at their start to one that comes back before that.
    fn carry(&mut self, topic: &Topic, directory: &Directory) {
        for (partition, place) in self.places.named(&topic.name).take(MOST_CARRIED) {
            if !self.has(&partition) {
                let part = self.part(partition, place, directory);
                self.parts.push(part);
            }
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

    /// Returns what the request says of partitions that the topic does not have.
    fn named_beyond(&self, topic: &Arc<str>, count: i32) -> BTreeMap<i32, Place> {
        let named = self.places.named(topic);
        let beyond = named.filter(|(partition, _)| partition.partition >= count);
        beyond
            .map(|(partition, place)| (partition.partition, place))
            .collect()
    }

    /// The topic has only `count` partitions: what was read of others, and is `gone` as well, leads nowhere, and the client is
    /// told, once for all of them.
    fn drop_beyond(
        &mut self,
        topic: &Arc<str>,
        count: i32,
        mut gone: BTreeMap<i32, Place>,
        gaps: &mut Vec<Gap>,
    ) {
        gone.extend(self.remove_beyond(topic, count));
        gaps.extend(lost(topic, &gone));
    }

    /// The brokers have no such topic. What was read of an earlier one leads nowhere, and the client is told, once for all of its
    /// partitions. From here on all its clients stand at the same place, and can share a lane.
    fn drop_absent(&mut self, topic: &Arc<str>, gaps: &mut Vec<Gap>) {
        let mut gone = self.named_beyond(topic, 0);
        gone.extend(self.remove_beyond(topic, 0));
        // Of a time, or an end of what was not there yet, nothing is lost: a later topic is read from its start.
        gone.retain(|_, place| matches!(place, Place::At(_)));
        gaps.extend(lost(topic, &gone));
    }

    /// Removes the parts of `topic` from partition `count` on, and returns where they stood.
    fn remove_beyond(&mut self, topic: &Arc<str>, count: i32) -> Vec<(i32, Place)> {
        let first = TopicPartition {
            topic: topic.clone(),
            partition: count,
        };
        let parts = &self.parts[..self.sorted];
        let from = parts.partition_point(|part| part.partition < first);
        let length = parts[from..].partition_point(|part| part.partition.topic == *topic);
        self.sorted -= length;
        let parts = self.parts.drain(from..from + length);
        parts.map(|part| (part.partition.partition, part.place)).collect()
    }

    /// Whether `partition` was there before the directory was looked at.
    fn has(&self, partition: &TopicPartition) -> bool {
        let parts = &self.parts[..self.sorted];
        let found = parts.binary_search_by(|part| part.partition.cmp(partition));
        found.is_ok()
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

/// What is told of partitions that the topic does not have: the lowest, and how many they are.
fn lost(topic: &Arc<str>, gone: &BTreeMap<i32, Place>) -> Option<Gap> {
    let (partition, place) = gone.first_key_value()?;
    let requested = match place {
        Place::At(mark) => Some(mark.offset),
        Place::Earliest | Place::Since(_) | Place::Latest => None,
    };
    Some(Gap {
        partition: TopicPartition {
            topic: topic.clone(),
            partition: *partition,
        },
        requested,
        resumed: None,
        reason: match u32::try_from(gone.len()) {
            Ok(partitions) if partitions > 1 => Reason::PartitionsGone(partitions),
            _ => Reason::PartitionGone,
        },
    })
}

/// The most partitions of a topic that the id carries while nothing is known of the topic. It is written for every event of the
/// other topics, and for this client alone. Hardly a topic has more.
const MOST_CARRIED: usize = 128;
