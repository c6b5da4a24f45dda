//! Which partitions a subscription has, as the directory changes under it.

use std::{ops::Range, sync::Arc};

use super::{
    Request,
    gap::{Gap, Reason},
    part::Part,
    places::Places,
};
use crate::{
    partition::{Directory, Known, TopicPartition},
    position::{Place, Timestamp, Topics},
};

/// The parts of a subscription, and the topics they are of.
pub(super) struct Roster {
    topics: TopicStates,
    places: Places,
    /// Sorted by topic and partition, but for those behind the first `sorted` while they are brought up to the directory.
    pub(super) parts: Vec<Part>,
    sorted: usize,
    /// The directory's version when `parts` was last brought up to it.
    version: Option<u64>,
    /// Whether the client came with the directory as it is looked at first. Later it has been there before whatever is new.
    comes: bool,
}

/// The topics of a subscription, and how each was when it was last looked at.
#[derive(Clone, Debug, Default)]
pub(super) struct TopicStates {
    topics: Topics,
    states: Arc<[State]>,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    /// How many of the topic's partitions are in `parts`; `None` while nothing is known of them.
    partitions: Option<i32>,
    /// The brokers had no such topic when it was looked at: all of a later one is new to the client.
    absent: bool,
}

/// A topic that is looked at.
#[derive(Clone, Copy)]
struct Topic<'a> {
    index: usize,
    name: &'a Arc<str>,
    known: Known,
}

impl Roster {
    pub(super) fn of(mut request: Request) -> Self {
        Self {
            places: Places::of(&mut request),
            topics: TopicStates::new(request.topics),
            parts: Vec::new(),
            sorted: 0,
            version: None,
            comes: true,
        }
    }

    /// One whose parts stand there, and whose topics were looked at then.
    pub(super) fn at(topics: TopicStates, parts: Vec<Part>, now: Timestamp) -> Self {
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
    pub(super) fn topics(&self) -> &TopicStates {
        &self.topics
    }

    /// Whether it is known of every topic which partitions it has, none included.
    pub(super) fn is_known(&self) -> bool {
        let mut states = self.topics.states.iter();
        states.all(|state| state.partitions.is_some() || state.absent)
    }

    /// Whether the brokers of at least one topic answer.
    pub(super) fn is_reachable(&self, directory: &Directory) -> bool {
        let mut names = self.topics.topics.names();
        names.any(|name| directory.is_reachable(name))
    }

    /// What an id says of each part, and behind them of the topics that are absent: that a later one starts at its start.
    pub(super) fn entries(&self) -> impl Iterator<Item = (Arc<str>, i32, Place)> {
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

    /// Brings the parts up to the directory; whether any came or went. What is lost with one that went is put into `gaps`.
    pub(super) fn refresh(&mut self, directory: &Directory, gaps: &mut Vec<Gap>) -> bool {
        let version = directory.version();
        if self.version.replace(version) == Some(version) {
            return false;
        }
        self.sorted = self.parts.len();
        let TopicStates { topics, states } = std::mem::take(&mut self.topics);
        let known = directory.look(topics.names());
        // As a rule all are there, and no log is looked at.
        if self.comes && !known.iter().all(|topic| topic.is_whole()) {
            let newest = directory.newest(topics.names());
            newest
                .into_iter()
                .for_each(|newest| self.places.come_behind(newest));
        }
        if self.parts.is_empty() {
            let parts = known
                .iter()
                .enumerate()
                .map(|(index, topic)| match topic.partitions {
                    Some(partitions) => usize::try_from(partitions).unwrap_or_default(),
                    None => self.places.named(index, 0).take(MOST_CARRIED).count(),
                });
            self.parts.reserve_exact(parts.sum());
        }
        let mut states = states.to_vec();
        let mut changed = false;
        for (index, name) in topics.names().enumerate() {
            let known = known[index];
            let topic = Topic { index, name, known };
            changed |= self.refresh_topic(topic, &mut states[index], directory, gaps);
        }
        self.topics = TopicStates {
            topics,
            states: states.into(),
        };
        self.comes = false;
        if self.is_known() {
            self.places.forget_entries();
        }
        // The first come in order.
        if changed && self.sorted > 0 {
            self.parts.sort_by(|a, b| a.partition.cmp(&b.partition));
        }
        changed
    }

    fn refresh_topic(
        &mut self,
        topic: Topic<'_>,
        state: &mut State,
        directory: &Directory,
        gaps: &mut Vec<Gap>,
    ) -> bool {
        let partitions = topic.known.partitions;
        match (state.partitions, partitions) {
            (None, None) if state.absent => return false,
            (None, None) if topic.known.is_absent => {
                state.absent = true;
                self.drop_absent(topic, gaps);
            }
            (None, None) => self.carry(topic, directory),
            (None, Some(count)) => {
                if !state.absent {
                    self.drop_beyond(topic, count, true, gaps);
                }
                self.add(topic.name, 0..count, |roster, partition| {
                    let place = match state.absent {
                        // All that it has came after the client was told that there is none.
                        true => Place::Earliest,
                        false => roster.places.of_partition(topic.index, partition.partition),
                    };
                    roster.part(topic.known, partition, place, directory)
                });
                state.absent = false;
            }
            // Added while the client is connected: from its start.
            (Some(known), Some(count)) if known < count => {
                self.add(topic.name, known..count, |_, partition| {
                    Part::waiting(partition, Place::Earliest)
                });
            }
            (Some(known), Some(count)) if known > count => {
                self.drop_beyond(topic, count, false, gaps);
            }
            _ => return false,
        }
        state.partitions = partitions;
        true
    }

    /// While nothing is known of a topic, the id carries the client's own entries, up to a bound. Those beyond begin where they
    /// say if it becomes known to this client, and at their start to one that comes back before that.
    fn carry(&mut self, topic: Topic<'_>, directory: &Directory) {
        let carried: Vec<_> = self.places.named(topic.index, 0).take(MOST_CARRIED).collect();
        for (partition, place) in carried {
            let partition = TopicPartition {
                topic: Arc::clone(topic.name),
                partition,
            };
            if !self.has(&partition) {
                let part = self.part(topic.known, partition, place, directory);
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
    fn part(&self, known: Known, partition: TopicPartition, place: Place, directory: &Directory) -> Part {
        let is_read = || match known.logs {
            0 => false,
            _ => known.is_whole() || directory.get(&partition.topic, partition.partition).is_some(),
        };
        match self.comes && is_read() {
            true => Part::new(partition, place),
            // The client was there before the log, whose end is not the one that there was then.
            false => Part::waiting(partition, self.places.undetermined(place)),
        }
    }

    /// The topic has only `count` partitions: what was read of others, and what the request says of them if the topic is new to it,
    /// leads nowhere, and the client is told, once for all of them.
    fn drop_beyond(&mut self, topic: Topic<'_>, count: i32, is_new: bool, gaps: &mut Vec<Gap>) {
        if is_new && self.sorted == 0 && self.places.names_none(topic.index, count) {
            return;
        }
        let read = self.remove_beyond(topic.name, count);
        let named = is_new.then(|| self.named_beside(topic, count, &read));
        let gone = read.iter().copied().chain(named.into_iter().flatten());
        gaps.extend(lost(topic.name, gone));
    }

    /// The brokers have no such topic. What was read of an earlier one leads nowhere, and the client is told, once for all of its
    /// partitions. From here on all its clients stand at the same place, and can share a lane.
    fn drop_absent(&mut self, topic: Topic<'_>, gaps: &mut Vec<Gap>) {
        let read = self.remove_beyond(topic.name, 0);
        let gone = read.iter().copied().chain(self.named_beside(topic, 0, &read));
        // Of a time, or an end of what was not there yet, nothing is lost: a later topic is read from its start.
        let gone = gone.filter(|(_, place)| matches!(place, Place::At(_)));
        gaps.extend(lost(topic.name, gone));
    }

    /// Returns what the request says of partitions from `count` on, but for those of `read`, which is sorted.
    fn named_beside(
        &self,
        topic: Topic<'_>,
        count: i32,
        read: &[(i32, Place)],
    ) -> impl Iterator<Item = (i32, Place)> {
        let named = self.places.named(topic.index, count);
        named.filter(|(partition, _)| {
            let found = read.binary_search_by_key(partition, |(read, _)| *read);
            found.is_err()
        })
    }

    /// Removes the parts of `topic` from partition `count` on, and returns where they stood.
    fn remove_beyond(&mut self, topic: &Arc<str>, count: i32) -> Vec<(i32, Place)> {
        if self.sorted == 0 {
            return Vec::new();
        }
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

impl TopicStates {
    /// Those of topics that were not looked at yet.
    fn new(topics: Topics) -> Self {
        Self {
            states: vec![State::default(); topics.len()].into(),
            topics,
        }
    }

    /// Returns what an id says of the topics that are absent, and not named by parts: that a later one starts at its start.
    pub(super) fn entries_of_absent(
        &self,
        has_parts: impl Fn(&str) -> bool,
    ) -> impl Iterator<Item = (Arc<str>, i32, Place)> {
        self.topics
            .names()
            .zip(&*self.states)
            .filter(move |(name, state)| state.absent && !has_parts(name))
            .map(|(name, _)| (name.clone(), 0, Place::Earliest))
    }
}

/// What is told of partitions that the topic does not have: the lowest, and how many they are.
fn lost(topic: &Arc<str>, gone: impl Iterator<Item = (i32, Place)>) -> Option<Gap> {
    let mut count = 0_u32;
    let lowest = gone
        .inspect(|_| count = count.saturating_add(1))
        .min_by_key(|(partition, _)| *partition);
    let (partition, place) = lowest?;
    let requested = match place {
        Place::At(mark) => Some(mark.offset),
        Place::Earliest | Place::Since(_) | Place::Latest => None,
    };
    Some(Gap {
        partition: TopicPartition {
            topic: topic.clone(),
            partition,
        },
        requested,
        resumed: None,
        reason: match count {
            ..=1 => Reason::PartitionGone,
            partitions => Reason::PartitionsGone(partitions),
        },
    })
}

/// The most partitions of a topic that the id carries while nothing is known of the topic. It is written for every event of the
/// other topics, and for this client alone. Hardly a topic has more.
const MOST_CARRIED: usize = 128;
