//! Which log is the current one of each partition.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use foldhash::fast::RandomState;
use parking_lot::{Mutex, RwLock};

use super::{PartitionLog, SharedWaker, TopicPartition, occupancy::Occupancy, shared_waker::WakerSet};
use crate::position::{Offset, Timestamp};

/// (topic, partition) -> the log that is current. `kafka` writes it, subscriptions watch it: that is how a replaced log
/// and an added partition become known.
#[derive(Debug, Default)]
pub struct LogDirectory {
    topics: RwLock<TopicMap>,
    version: AtomicU64,
    wakers: WakerSet,
    /// The logs whose records were found to be deleted, each once, until somebody [sees to them](Self::take_deleted).
    deleted: Mutex<Vec<Arc<PartitionLog>>>,
    deletions: WakerSet,
    occupancy: Arc<Occupancy<PartitionLog>>,
}

#[derive(Debug, Default)]
struct TopicEntry {
    /// How many partitions it has, which is known before any of their leaders has answered.
    partitions: Option<i32>,
    /// Whether the brokers have said that there is no such topic.
    absent: bool,
    /// Whether the brokers it is read from have stopped answering.
    silent: bool,
    logs: BTreeMap<i32, Arc<PartitionLog>>,
}

impl LogDirectory {
    /// An empty one.
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// Says that `topic` has so many partitions. Those whose log is not [`put`](Self::put) yet are not determined: their
    /// leader has not answered.
    pub fn set_partition_count(&self, topic: &Arc<str>, partitions: i32) {
        let mut topics = self.topics.write();
        let known = topics
            .entry(topic.clone())
            .or_default()
            .partitions
            .replace(partitions);
        drop(topics);
        if known != Some(partitions) {
            self.changed();
        }
    }

    /// Records that the brokers have no topic of this name, so that all that a later one has is new. Ignored once the topic is
    /// [`set_partition_count`](Self::set_partition_count)d: what was read of it stays until another topic has the name.
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

    /// Makes `log` the current one of its partition; the one before it, if any, is told.
    pub fn put(&self, log: Arc<PartitionLog>) {
        let TopicPartition { topic, partition } = log.partition().clone();
        let mut topics = self.topics.write();
        let entry = topics.entry(topic).or_default();
        entry.partitions = entry.partitions.max(Some(partition + 1));
        log.join_occupancy(&self.occupancy);
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

    /// Takes away every log of `topic`, which is to be read from somewhere else, and tells their readers; the logs. Until
    /// others are [`put`](Self::put), none of its partitions is determined.
    pub fn remove_logs(&self, topic: &str) -> Vec<Arc<PartitionLog>> {
        let mut topics = self.topics.write();
        let logs = topics.get_mut(topic).map(|topic| std::mem::take(&mut topic.logs));
        drop(topics);
        let logs: Vec<_> = logs.into_iter().flat_map(BTreeMap::into_values).collect();
        logs.iter().for_each(|log| log.replace());
        self.changed();
        logs
    }

    /// The current log of a partition.
    pub fn get(&self, topic: &str, partition: i32) -> Option<Arc<PartitionLog>> {
        self.topics.read().get(topic)?.logs.get(&partition).cloned()
    }

    /// What is known of each of these topics, at one moment.
    pub fn topic_statuses<'a>(&self, topics: impl Iterator<Item = &'a Arc<str>>) -> Vec<TopicStatus> {
        let known = self.topics.read();
        topics
            .map(|topic| known.get(topic).map_or(TopicStatus::default(), TopicStatus::of))
            .collect()
    }

    /// How many partitions a topic has; `None` while nothing is known of it.
    pub fn partitions(&self, topic: &str) -> Option<i32> {
        self.topics.read().get(topic)?.partitions
    }

    /// Returns the newest time at the end of any log of `topics`.
    pub fn newest_timestamp<'a>(&self, topics: impl Iterator<Item = &'a Arc<str>>) -> Option<Timestamp> {
        let known = self.topics.read();
        let logs = topics
            .filter_map(|topic| known.get(topic))
            .flat_map(|topic| topic.logs.values());
        logs.filter_map(|log| log.end().timestamp).max()
    }

    /// Every current log, in no order.
    pub fn all(&self) -> Vec<Arc<PartitionLog>> {
        self.topics
            .read()
            .values()
            .flat_map(|topic| topic.logs.values().cloned())
            .collect()
    }

    /// Notes where `log` starts, as its leader says. What its ring has below that is dropped at once, and those who keep copies
    /// are told.
    pub fn set_start(&self, log: &Arc<PartitionLog>, start: Offset) {
        if !log.set_start(start) {
            return;
        }
        if !log.set_pending_clear(true) {
            self.deleted.lock().push(Arc::clone(log));
        }
        self.deletions.wake_all();
    }

    /// Takes the logs whose start is higher than when this was called last.
    pub fn take_deleted(&self) -> Vec<Arc<PartitionLog>> {
        let logs = std::mem::take(&mut *self.deleted.lock());
        // Before anybody looks at their starts, so that what is deleted from now on is told again.
        for log in &logs {
            log.set_pending_clear(false);
        }
        logs
    }

    /// Wakes `shared_waker` whenever there is something to [take](Self::take_deleted).
    pub fn subscribe_to_deletions(&self, shared_waker: &Arc<SharedWaker>) {
        self.deletions.add(shared_waker);
    }

    /// Says whether the brokers that `topic` is read from answer at all. While they do not, its streams are held.
    pub fn set_reachable(&self, topic: &Arc<str>, reachable: bool) {
        let mut topics = self.topics.write();
        let was_silent = std::mem::replace(&mut topics.entry(topic.clone()).or_default().silent, !reachable);
        drop(topics);
        if was_silent == reachable {
            self.wakers.wake_all();
        }
    }

    /// Whether they answer, as far as is known.
    pub fn is_reachable(&self, topic: &str) -> bool {
        self.topics.read().get(topic).is_none_or(|topic| !topic.silent)
    }

    /// Grows with every change, so that a reader sees at a glance whether to look again.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Wakes `shared_waker` whenever a log is added or replaced.
    pub fn subscribe(&self, shared_waker: &Arc<SharedWaker>) {
        self.wakers.add(shared_waker);
    }

    /// What all rings together cost in memory, in bytes.
    pub fn bytes(&self) -> usize {
        self.occupancy.bytes()
    }

    /// Sheds pages until all rings together cost at most `budget` bytes, whatever the records and partitions are: first the
    /// oldest pages of the largest rings, then also the newest pages.
    pub fn evict_to(&self, budget: usize) {
        while let Some(log) = self.occupancy.next_to_evict(budget) {
            // Another thread may have shed it meanwhile, or have replaced the log: the next look tells.
            log.evict_oldest();
        }
    }

    fn changed(&self) {
        self.version.fetch_add(1, Ordering::Release);
        self.wakers.wake_all();
    }
}

/// What is known of a topic.
#[derive(Clone, Copy, Debug, Default)]
pub struct TopicStatus {
    /// How many partitions it has; `None` while nothing is known of it.
    pub partitions: Option<i32>,
    /// Whether the brokers said that there is no such topic; false while nothing is known of it.
    pub is_absent: bool,
    /// How many of its partitions have a log.
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

    /// Whether each of its partitions has a log.
    pub fn is_complete(self) -> bool {
        self.partitions.is_some() && self.partitions == i32::try_from(self.logs).ok()
    }
}

/// By name. A request looks up hundreds of them, and no stranger makes one.
type TopicMap = HashMap<Arc<str>, TopicEntry, RandomState>;
