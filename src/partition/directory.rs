//! The directory of current logs, one for each partition.

use std::{
    collections::{BTreeMap, HashMap},
    hash::BuildHasherDefault,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::{Mutex, RwLock};

use super::{
    PartitionLog, SharedWaker, TopicPartition, occupancy::Occupancy, shared_waker::WakerSet,
    topic_hasher::TopicHasher,
};
use crate::position::{Offset, Timestamp};

/// The current log of each partition. `kafka` writes it and subscriptions watch it: this is how they learn of replaced
/// logs and added partitions.
#[derive(Debug, Default)]
pub struct LogDirectory {
    topics: RwLock<TopicMap>,
    version: AtomicU64,
    wakers: WakerSet,
    /// The logs in which records were found to be deleted, each once, until the [caches drop those
    /// records](Self::take_deleted).
    deleted: Mutex<Vec<Arc<PartitionLog>>>,
    deletions: WakerSet,
    occupancy: Arc<Occupancy<PartitionLog>>,
}

#[derive(Debug, Default)]
struct TopicEntry {
    /// The topic's partition count, known before any of their leaders has answered.
    partitions: Option<i32>,
    /// Whether the brokers said that the topic does not exist.
    absent: bool,
    /// Whether the brokers that the topic is read from have stopped answering.
    silent: bool,
    logs: BTreeMap<i32, Arc<PartitionLog>>,
    /// The number of events that all logs of the topic have got, those that were replaced included.
    appended: Arc<AtomicU64>,
}

impl LogDirectory {
    /// Creates an empty directory.
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// Sets the partition count of `topic`. Partitions whose log has not been [`put`](Self::put) yet are not
    /// determined: their leader has not answered.
    pub fn set_partition_count(&self, topic: &Arc<str>, partitions: i32) {
        let mut topics = self.topics.write();
        let entry = topics.entry(topic.clone()).or_default();
        let known = entry.partitions.replace(partitions);
        drop(topics);
        if known != Some(partitions) {
            self.changed();
        }
    }

    /// Records that the brokers have no topic of this name: every record of a later topic of this name is new. Does
    /// nothing once the partition count is [set](Self::set_partition_count), because the records read so far stay until
    /// another topic takes the name.
    pub fn set_absent(&self, topic: &Arc<str>) {
        let mut topics = self.topics.write();
        let entry = topics.entry(topic.clone()).or_default();
        let was_absent = std::mem::replace(&mut entry.absent, entry.partitions.is_none());
        let is_absent = entry.absent;
        drop(topics);
        if is_absent && !was_absent {
            self.changed();
        }
    }

    /// Makes `log` the current log of its partition, and marks the previous one, if any, as replaced.
    pub fn put(&self, log: Arc<PartitionLog>) {
        let TopicPartition { topic, partition } = log.partition().clone();
        let mut topics = self.topics.write();
        let entry = topics.entry(topic).or_default();
        entry.partitions = entry.partitions.max(Some(partition + 1));
        log.join_occupancy(&self.occupancy);
        log.count_events(&entry.appended);
        if let Some(old) = entry.logs.get(&partition) {
            log.inherit_start(old);
        }
        let old = entry.logs.insert(partition, log);
        drop(topics);
        if let Some(old) = old {
            old.replace();
        }
        self.changed();
    }

    /// Removes every log of `topic`, which will be read from another cluster, marks them as replaced, and returns them.
    /// Until others are [`put`](Self::put), none of the topic's partitions is determined.
    pub fn remove_logs(&self, topic: &str) -> Vec<Arc<PartitionLog>> {
        let mut topics = self.topics.write();
        let logs = topics.get_mut(topic).map(|topic| std::mem::take(&mut topic.logs));
        drop(topics);
        let logs: Vec<_> = logs.into_iter().flat_map(BTreeMap::into_values).collect();
        logs.iter().for_each(|log| log.replace());
        self.changed();
        logs
    }

    /// Puts `log` in the place of the current log of its partition, of which it is a [successor](PartitionLog::successor): the same
    /// records become other events. What they were before is dropped from every ring, and subscribers to
    /// [deletions](Self::subscribe_to_deletions) are woken to drop it from their caches.
    pub fn put_successor(&self, log: Arc<PartitionLog>) {
        let TopicPartition { topic, partition } = log.partition();
        let old = self.get(topic, *partition);
        self.put(log);
        if let Some(old) = old {
            old.withdraw();
            self.announce_deletion(&old);
        }
    }

    /// Removes a topic that is not read any more, and returns its logs, which count as replaced.
    pub fn remove_topic(&self, topic: &str) -> Vec<Arc<PartitionLog>> {
        let removed = self.topics.write().remove(topic);
        let logs: Vec<_> = removed.into_iter().flat_map(|it| it.logs.into_values()).collect();
        logs.iter().for_each(|log| log.replace());
        self.changed();
        logs
    }

    /// Returns the current logs of a topic.
    pub fn current_logs(&self, topic: &str) -> Vec<Arc<PartitionLog>> {
        let topics = self.topics.read();
        let logs = topics.get(topic).map(|topic| topic.logs.values().cloned());
        logs.into_iter().flatten().collect()
    }

    /// Returns the current log of a partition.
    pub fn get(&self, topic: &str, partition: i32) -> Option<Arc<PartitionLog>> {
        self.topics.read().get(topic)?.logs.get(&partition).cloned()
    }

    /// Returns the status of each of these topics, all of the same moment.
    pub fn topic_statuses<'a>(&self, topics: impl Iterator<Item = &'a Arc<str>>) -> Vec<TopicStatus> {
        let known = self.topics.read();
        topics
            .map(|topic| known.get(topic).map_or(TopicStatus::default(), TopicStatus::of))
            .collect()
    }

    /// Returns the partition count of a topic; `None` while it is unknown.
    pub fn partitions(&self, topic: &str) -> Option<i32> {
        self.topics.read().get(topic)?.partitions
    }

    /// Returns the current log of each partition of a topic, in the order of their numbers; `None` for one that is not
    /// determined. Returns nothing while the partition count is unknown.
    pub fn logs(&self, topic: &str) -> Vec<Option<Arc<PartitionLog>>> {
        let topics = self.topics.read();
        let Some(topic) = topics.get(topic) else {
            return Vec::new();
        };
        let partitions = 0..topic.partitions.unwrap_or(0);
        partitions
            .map(|partition| topic.logs.get(&partition).cloned())
            .collect()
    }

    /// Returns the number of events that a topic has got since the start, all its partitions together.
    pub fn appended(&self, topic: &str) -> u64 {
        let topics = self.topics.read();
        topics
            .get(topic)
            .map_or(0, |topic| topic.appended.load(Ordering::Relaxed))
    }

    /// Returns the same number for every topic, in no particular order.
    pub fn appended_of_all(&self) -> Vec<(Arc<str>, u64)> {
        let topics = self.topics.read();
        let count = |topic: &TopicEntry| topic.appended.load(Ordering::Relaxed);
        topics
            .iter()
            .map(|(name, topic)| (Arc::clone(name), count(topic)))
            .collect()
    }

    /// Returns the newest timestamp at the end of any log of `topics`.
    pub fn newest_timestamp<'a>(&self, topics: impl Iterator<Item = &'a Arc<str>>) -> Option<Timestamp> {
        let known = self.topics.read();
        let logs = topics
            .filter_map(|topic| known.get(topic))
            .flat_map(|topic| topic.logs.values());
        logs.filter_map(|log| log.end().timestamp).max()
    }

    /// Returns all current logs, in no particular order.
    pub fn all(&self) -> Vec<Arc<PartitionLog>> {
        let topics = self.topics.read();
        topics.values().flat_map(|it| it.logs.values().cloned()).collect()
    }

    /// Sets the log start offset of `log`, as its leader reported it. Records below it are dropped from the ring at
    /// once, and subscribers to [deletions](Self::subscribe_to_deletions) are woken to drop their copies.
    pub fn set_start(&self, log: &Arc<PartitionLog>, start: Offset) {
        if log.set_start(start) {
            self.announce_deletion(log);
        }
    }

    fn announce_deletion(&self, log: &Arc<PartitionLog>) {
        if !log.set_pending_clear(true) {
            self.deleted.lock().push(Arc::clone(log));
        }
        self.deletions.wake_all();
    }

    /// Returns the logs whose start has risen since the last call.
    pub fn take_deleted(&self) -> Vec<Arc<PartitionLog>> {
        let logs = std::mem::take(&mut *self.deleted.lock());
        // Cleared before any caller reads the starts, so that later deletions are reported again.
        for log in &logs {
            log.set_pending_clear(false);
        }
        logs
    }

    /// Wakes `shared_waker` whenever [`take_deleted`](Self::take_deleted) has something to return.
    pub fn subscribe_to_deletions(&self, shared_waker: &Arc<SharedWaker>) {
        self.deletions.add(shared_waker);
    }

    /// Sets whether the brokers that `topic` is read from answer at all. While they do not, the topic's streams are
    /// held.
    pub fn set_reachable(&self, topic: &Arc<str>, reachable: bool) {
        let mut topics = self.topics.write();
        let was_silent = std::mem::replace(&mut topics.entry(topic.clone()).or_default().silent, !reachable);
        drop(topics);
        if was_silent == reachable {
            self.wakers.wake_all();
        }
    }

    /// Returns whether the topic's brokers answer, as far as is known.
    pub fn is_reachable(&self, topic: &str) -> bool {
        self.topics.read().get(topic).is_none_or(|topic| !topic.silent)
    }

    /// Returns a number that grows with every change, so that a reader sees cheaply whether to look again.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Wakes `shared_waker` whenever a log is added or replaced, a partition count changes, or brokers stop or resume
    /// answering.
    pub fn subscribe(&self, shared_waker: &Arc<SharedWaker>) {
        self.wakers.add(shared_waker);
    }

    /// Returns the memory taken by all rings together, in bytes.
    pub fn bytes(&self) -> usize {
        self.occupancy.bytes()
    }

    /// Evicts pages until all rings together take at most `budget` bytes, whatever the records and partitions are:
    /// first the oldest pages of the largest rings, then newest pages as well.
    pub fn evict_to(&self, budget: usize) {
        while let Some(log) = self.occupancy.next_to_evict(budget) {
            // Another thread may have evicted the page meanwhile, or replaced the log. The next iteration sees that.
            log.evict_oldest();
        }
    }

    fn changed(&self) {
        self.version.fetch_add(1, Ordering::Release);
        self.wakers.wake_all();
    }
}

/// What the directory knows of a topic.
#[derive(Clone, Copy, Debug, Default)]
pub struct TopicStatus {
    /// The topic's partition count; `None` while it is unknown.
    pub partitions: Option<i32>,
    /// Whether the brokers said that the topic does not exist; false while nothing is known of it.
    pub is_absent: bool,
    /// The number of the topic's partitions that have a log.
    pub logs: usize,
}

impl TopicStatus {
    fn of(topic: &TopicEntry) -> Self {
        Self {
            partitions: topic.partitions,
            is_absent: topic.absent && topic.partitions.is_none(),
            logs: topic.logs.len(),
        }
    }

    /// Returns whether every partition of the topic has a log.
    pub fn is_complete(self) -> bool {
        self.partitions.is_some() && self.partitions == i32::try_from(self.logs).ok()
    }
}

/// Topics by name. A request looks up hundreds of them.
type TopicMap = HashMap<Arc<str>, TopicEntry, BuildHasherDefault<TopicHasher>>;
