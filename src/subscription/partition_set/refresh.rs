//! Following the directory: which partitions come and go, where new ones start, and which gaps a client gets for those
//! that went.

use std::{ops::Range, sync::Arc};

use super::PartitionSet;
use crate::{
    partition::{LogDirectory, TopicPartition, TopicStatus},
    position::{NO_PARTITION, OwnPartitions, PartitionPosition},
    subscription::{Gap, GapReason, ObservedState, PartitionReader, TopicStates},
};

/// A topic of the subscription, with its current status in the directory.
#[derive(Clone, Copy)]
struct ObservedTopic<'a> {
    index: usize,
    name: &'a Arc<str>,
    known: TopicStatus,
    /// Which of its partitions are read.
    own: OwnPartitions<'a>,
}

impl ObservedTopic<'_> {
    fn partition(self, partition: i32) -> TopicPartition {
        TopicPartition {
            topic: Arc::clone(self.name),
            partition,
        }
    }
}

impl PartitionSet {
    /// Updates the partitions from the directory. Returns whether any came or went. Adds a gap to `gaps` for lost
    /// positions.
    pub(in crate::subscription) fn refresh(&mut self, directory: &LogDirectory, gaps: &mut Vec<Gap>) -> bool {
        let version = directory.version();
        if self.version.replace(version) == Some(version) {
            return false;
        }
        self.sorted = self.readers.len();
        let TopicStates { topics, states } = std::mem::take(&mut self.topics);
        let known = directory.topic_statuses(topics.names());
        // Usually all topics are complete, and no log is examined.
        if self.is_first_refresh && !known.iter().all(|topic| topic.is_complete()) {
            let newest = directory.newest_timestamp(topics.names());
            if let Some(newest) = newest {
                self.start_positions.clamp_to_newest(newest);
            }
        }
        // How many of them a restricted read has is not counted.
        if self.readers.is_empty() && self.restriction.is_none() {
            let counts = known
                .iter()
                .enumerate()
                .map(|(index, topic)| match topic.partitions {
                    Some(partitions) => usize::try_from(partitions).unwrap_or_default(),
                    None => self.start_positions.count_of(index).min(MAX_CARRIED),
                });
            self.readers.reserve_exact(counts.sum());
        }
        let mut states = states.to_vec();
        let mut changed = false;
        let restriction = self.restriction.clone();
        for (index, topic) in topics.iter().enumerate() {
            let restriction = restriction.as_ref();
            let topic = ObservedTopic {
                index,
                name: topic.name(),
                known: known[index],
                own: restriction.map_or(OwnPartitions::All, |it| it.of_topic(topic)),
            };
            let is_late = states[index].partitions.is_some() || states[index].absent;
            changed |= self.refresh_topic(topic, &mut states[index], directory, gaps);
            self.add_ends(index, is_late);
        }
        self.topics = TopicStates {
            topics,
            states: states.into(),
        };
        self.is_first_refresh = false;
        if self.is_known() {
            self.start_positions.forget_entries();
        }
        // The first partitions are added in order.
        if changed && self.sorted > 0 {
            self.readers.sort_by(|a, b| a.partition.cmp(&b.partition));
        }
        changed
    }

    /// Gives the readers that were added for this topic their ends, in a bounded read. `is_late` says that the topic was known, or
    /// known to be absent, before.
    fn add_ends(&mut self, topic: usize, is_late: bool) {
        let Some(ends) = &self.ends else { return };
        // They are behind all others.
        let added = self.readers.iter_mut().rev().take_while(|it| it.end.is_none());
        for reader in added {
            let end = ends.of_partition(topic, reader.partition.partition, is_late);
            reader.end = Some(Box::new(end));
        }
    }

    fn refresh_topic(
        &mut self,
        topic: ObservedTopic<'_>,
        state: &mut ObservedState,
        directory: &LogDirectory,
        gaps: &mut Vec<Gap>,
    ) -> bool {
        let partitions = topic.known.partitions;
        match (state.partitions, partitions) {
            (None, None) if state.absent => return false,
            (None, None) if topic.known.is_absent => {
                state.absent = true;
                self.drop_absent(topic, gaps);
            }
            (None, None) => self.carry_requested(topic, directory),
            (None, Some(count)) if self.is_all_read(topic, count) => self.add_read(topic, count),
            (None, Some(count)) => {
                // Usually the request names no partition beyond those that exist.
                let has_beyond = self.sorted > 0 || !self.start_positions.names_none(topic.index, count);
                if has_beyond && !state.absent {
                    self.drop_beyond(topic, count, true, gaps);
                }
                self.add(topic, 0..count, |set, partition| {
                    let place = match state.absent {
                        // All its records came after the client was told that the topic does not exist.
                        true => PartitionPosition::Earliest,
                        false => set.start_positions.of_partition(topic.index, partition.partition),
                    };
                    set.new_reader(topic.known, partition, place, directory)
                });
                state.absent = false;
            }
            // Partitions added while the client is connected start at their beginning.
            (Some(known), Some(count)) if known < count => {
                self.add(topic, known..count, |_, partition| {
                    PartitionReader::new_predating_log(partition, PartitionPosition::Earliest)
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

    /// Returns whether the client comes to a topic all of whose partitions are read already, and asks for no others: usually it is so
    /// with all of its topics.
    fn is_all_read(&self, topic: ObservedTopic<'_>, count: i32) -> bool {
        self.is_first_refresh
            && topic.known.is_complete()
            && self.start_positions.names_none(topic.index, count)
    }

    /// Adds the partitions of such a topic. There may be hundreds of these topics.
    fn add_read(&mut self, topic: ObservedTopic<'_>, count: i32) {
        for partition in (0..count).filter(|partition| topic.own.contains(*partition)) {
            let place = self.start_positions.of_partition(topic.index, partition);
            self.readers
                .push(PartitionReader::new(topic.partition(partition), place));
        }
    }

    /// Adds the client's own entries for a topic that is unknown, up to a bound, so that the id keeps them. Entries
    /// beyond the bound still apply if the topic becomes known to this client. If the client reconnects before that,
    /// those partitions start at their beginning.
    fn carry_requested(&mut self, topic: ObservedTopic<'_>, directory: &LogDirectory) {
        for (partition, place) in self.start_positions.named(topic.index, 0).take(MAX_CARRIED) {
            let partition = topic.partition(partition);
            if !self.has(&partition) {
                let reader = self.new_reader(topic.known, partition, place, directory);
                self.readers.push(reader);
            }
        }
    }

    fn add(
        &mut self,
        topic: ObservedTopic<'_>,
        partitions: Range<i32>,
        new_reader: impl Fn(&Self, TopicPartition) -> PartitionReader,
    ) {
        for partition in partitions.filter(|partition| topic.own.contains(*partition)) {
            let partition = topic.partition(partition);
            if !self.has(&partition) {
                let reader = new_reader(self, partition);
                self.readers.push(reader);
            }
        }
    }

    /// Returns the reader of a partition that starts at `place`, which is meant as of the client's arrival.
    #[inline]
    fn new_reader(
        &self,
        known: TopicStatus,
        partition: TopicPartition,
        place: PartitionPosition,
        directory: &LogDirectory,
    ) -> PartitionReader {
        let is_read = || match known.logs {
            0 => false,
            _ => known.is_complete() || directory.get(&partition.topic, partition.partition).is_some(),
        };
        match self.is_first_refresh && is_read() {
            true => PartitionReader::new(partition, place),
            // The client was there before the log, whose end is not the end of that time.
            false => {
                PartitionReader::new_predating_log(partition, self.start_positions.for_undetermined(place))
            }
        }
    }

    /// Removes the partitions that a topic with `count` partitions does not have. Positions in them, and the request's
    /// entries for them if the topic is new to it, lead nowhere. The client is told in one gap for all of them.
    fn drop_beyond(&mut self, topic: ObservedTopic<'_>, count: i32, is_new: bool, gaps: &mut Vec<Gap>) {
        let read = self.remove_beyond(topic.name, count);
        let named = is_new.then(|| self.named_beside(topic, count, &read));
        let gone = read.iter().copied().chain(named.into_iter().flatten());
        gaps.extend(gap_of(topic.name, gone));
    }

    /// Removes the partitions of a topic that the brokers do not have. Positions in an earlier topic lead nowhere, and
    /// the client is told in one gap for all partitions. From here on all clients of the topic have the same position,
    /// and can share a lane.
    fn drop_absent(&mut self, topic: ObservedTopic<'_>, gaps: &mut Vec<Gap>) {
        let read = self.remove_beyond(topic.name, 0);
        let gone = read.iter().copied().chain(self.named_beside(topic, 0, &read));
        // An entry that is a time, or the end of a log that did not exist yet, loses nothing: a later topic is read
        // from its beginning.
        let gone = gone.filter(|(_, place)| matches!(place, PartitionPosition::At(_)));
        gaps.extend(gap_of(topic.name, gone));
    }

    /// Returns the request's entries for partitions from `count` on, except those in `read`, which must be sorted.
    fn named_beside(
        &self,
        topic: ObservedTopic<'_>,
        count: i32,
        read: &[(i32, PartitionPosition)],
    ) -> impl Iterator<Item = (i32, PartitionPosition)> {
        let named = self.start_positions.named(topic.index, count);
        named.filter(|(partition, _)| {
            let found = read.binary_search_by_key(partition, |(read, _)| *read);
            found.is_err()
        })
    }

    /// Removes the partitions of `topic` from number `count` on, and returns their positions.
    fn remove_beyond(&mut self, topic: &Arc<str>, count: i32) -> Vec<(i32, PartitionPosition)> {
        if self.sorted == 0 {
            return Vec::new();
        }
        let first = TopicPartition {
            topic: topic.clone(),
            partition: count,
        };
        let readers = &self.readers[..self.sorted];
        let from = readers.partition_point(|reader| reader.partition < first);
        let length = readers[from..].partition_point(|reader| reader.partition.topic == *topic);
        self.sorted -= length;
        let removed = self.readers.drain(from..from + length);
        removed.map(|it| (it.partition.partition, it.place)).collect()
    }

    /// Returns whether the set had `partition` before this refresh.
    fn has(&self, partition: &TopicPartition) -> bool {
        let readers = &self.readers[..self.sorted];
        let found = readers.binary_search_by(|reader| reader.partition.cmp(partition));
        found.is_ok()
    }
}

/// Returns one gap for partitions that the topic does not have: it names the lowest, and their number. The entry that stands for no
/// partition says nothing that could be lost.
fn gap_of(topic: &Arc<str>, gone: impl Iterator<Item = (i32, PartitionPosition)>) -> Option<Gap> {
    let mut count = 0_u32;
    let lowest = gone
        .filter(|(partition, _)| *partition != NO_PARTITION)
        .inspect(|_| count = count.saturating_add(1))
        .min_by_key(|(partition, _)| *partition);
    let (partition, place) = lowest?;
    let requested = match place {
        PartitionPosition::At(mark) => Some(mark.offset),
        PartitionPosition::Earliest | PartitionPosition::Since(_) | PartitionPosition::Latest => None,
    };
    Some(Gap {
        partition: TopicPartition {
            topic: topic.clone(),
            partition,
        },
        requested,
        resumed: None,
        reason: match count {
            ..=1 => GapReason::PartitionGone,
            partitions => GapReason::PartitionsGone(partitions),
        },
    })
}

/// The most entries of an unknown topic that the id keeps. They are written for every event of the other topics, and
/// for this client alone. Hardly any topic has more partitions.
const MAX_CARRIED: usize = 128;
