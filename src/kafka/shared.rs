//! The state that all parts of one cluster share, and the types by which it is set up.
//!
//! Not here: the code that uses it. This file imports neither a client nor a thread, so every part can import it.

use std::{
    collections::{HashMap, HashSet},
    io,
    path::PathBuf,
    sync::Arc,
    time::Instant,
};

use parking_lot::RwLock;
use rdkafka::{error::KafkaError, types::RDKafkaErrorCode};

use super::{
    damage::DamageTracker, identity::cluster::ClusterIdentity, metrics::KafkaMetrics,
    settings::ClusterSettings, status::ClusterStatus,
};
use crate::{
    event::{Encoding, Transform},
    health::{self, Health},
    partition::{LogDirectory, PartitionLog, TopicPartition},
};

/// The shared state of a cluster: its settings, directory, limits, metrics and health. Clones share it.
#[derive(Clone)]
pub(super) struct ClusterShared {
    pub(super) cluster: Arc<str>,
    pub(super) settings: Arc<ClusterSettings>,
    pub(super) profile: BrokerProfile,
    pub(super) directory: Arc<LogDirectory>,
    pub(super) leaders: Arc<PartitionLeaders>,
    pub(super) identity: Arc<ClusterIdentity>,
    pub(super) status: Arc<ClusterStatus>,
    pub(super) log_append_time_topics: LogAppendTimeTopics,
    pub(super) memory: MemoryLimits,
    pub(super) counters: KafkaMetrics,
    pub(super) health: Arc<health::ClusterHealth>,
    pub(super) damage: Arc<DamageTracker>,
    pub(super) topics: Arc<TopicNames>,
}

impl ClusterShared {
    /// Returns the state of a cluster that is read into `directory`.
    pub(super) fn new(
        settings: &ClusterSettings,
        directory: Arc<LogDirectory>,
        options: &ClusterOptions,
    ) -> Self {
        let bootstrap = settings.bootstrap.iter().map(ToString::to_string).collect();
        let health = options.health.cluster(&settings.name, bootstrap, Instant::now());
        health.set_transaction_patience(settings.transaction_patience);
        Self {
            cluster: Arc::clone(&settings.name),
            settings: Arc::new(settings.clone()),
            profile: options.profile,
            directory,
            leaders: Arc::default(),
            identity: ClusterIdentity::new(settings, options.state.as_deref()),
            status: Arc::default(),
            log_append_time_topics: options.log_append_time_topics.clone(),
            memory: options.memory,
            counters: options.counters.clone(),
            health,
            damage: Arc::default(),
            topics: Arc::default(),
        }
    }

    /// Returns the state for a client that asks something once and shares it with no other client.
    pub(super) fn standalone(settings: &ClusterSettings) -> Self {
        Self::new(settings, LogDirectory::new(), &ClusterOptions::default())
    }

    /// Records that a record of this log bears its broker's timestamp (LogAppendTime).
    pub(super) fn note_log_append_time(&self, log: &PartitionLog) {
        let topic = Arc::clone(&log.partition().topic);
        self.log_append_time_topics.0.write().insert(topic);
        log.set_overlap(self.settings.failover_overlap);
    }
}

#[cfg(test)]
impl ClusterShared {
    /// Returns the state of a cluster that is not read.
    pub(super) fn for_test() -> Self {
        Self::standalone(&ClusterSettings::new("main", Vec::new()))
    }
}

/// The broker id of each partition's leader, by topic, as the last metadata refresh showed. It selects the history reader to
/// ask.
#[derive(Debug, Default)]
pub(super) struct PartitionLeaders(RwLock<HashMap<Arc<str>, Vec<Option<i32>>>>);

impl PartitionLeaders {
    /// Returns the broker that leads this partition; `None` while it has no leader, or if nothing is known.
    pub(super) fn leader(&self, partition: &TopicPartition) -> Option<i32> {
        let leaders = self.0.read();
        let at = usize::try_from(partition.partition).ok()?;
        *leaders.get(&partition.topic)?.get(at)?
    }

    /// Returns how many brokers lead at least one partition.
    pub(super) fn broker_count(&self) -> usize {
        let topics = self.0.read();
        let leaders: HashSet<_> = topics.values().flatten().flatten().collect();
        leaders.len()
    }

    /// Removes a topic that is not read any more.
    pub(super) fn remove(&self, topic: &str) {
        self.0.write().remove(topic);
    }

    /// Replaces the leaders of a topic, by partition number, with those of a metadata refresh.
    pub(super) fn set(&self, topic: &Arc<str>, leaders: &[Option<i32>]) {
        self.0.write().insert(Arc::clone(topic), leaders.to_vec());
    }
}

/// How one topic is read from a cluster.
#[derive(Clone, Debug)]
pub struct TopicSettings {
    /// The topic's name.
    pub name: Arc<str>,
    /// How its records become lines.
    pub encoding: Encoding,
    /// What is done to its records before they become events.
    pub transform: Option<Arc<dyn Transform>>,
    /// Whether it is read from this cluster. If not, it is only watched, until failover activates it here.
    pub active: bool,
}

impl TopicSettings {
    /// Creates the settings of a topic whose records are JSON, and stay as they are.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            encoding: Encoding::default(),
            transform: None,
            active: true,
        }
    }
}

/// The names of the topics that are read or watched, in the order in which brokers are asked for them. They change at run time.
#[derive(Debug, Default)]
pub(super) struct TopicNames(RwLock<Arc<[Arc<str>]>>);

impl TopicNames {
    /// Returns the names.
    pub(super) fn get(&self) -> Arc<[Arc<str>]> {
        Arc::clone(&self.0.read())
    }

    pub(super) fn set(&self, names: Arc<[Arc<str>]>) {
        *self.0.write() = names;
    }
}

/// Topics with a record that bears its broker's time (`message.timestamp.type=LogAppendTime`), as far as any cluster has shown
/// one. Clones share the set.
///
/// The same event then has different times in two clusters, so a position cannot move between them exactly.
#[derive(Clone, Debug, Default)]
pub struct LogAppendTimeTopics(Arc<RwLock<HashSet<Arc<str>>>>);

impl LogAppendTimeTopics {
    /// Returns whether brokers set this topic's timestamps in one of the clusters.
    pub fn contains(&self, topic: &str) -> bool {
        self.0.read().contains(topic)
    }

    pub(super) fn remove(&self, topic: &str) {
        self.0.write().remove(topic);
    }
}

/// How a cluster is read, beside its settings.
#[derive(Clone, Debug, Default)]
pub struct ClusterOptions {
    /// The memory limits for pages.
    pub memory: MemoryLimits,
    /// The kind of its brokers.
    pub profile: BrokerProfile,
    /// The metrics to count in.
    pub counters: KafkaMetrics,
    /// The topics whose brokers set the timestamps, of all clusters together.
    pub log_append_time_topics: LogAppendTimeTopics,
    /// The directory that keeps what is known of the cluster over a restart; `None` keeps nothing.
    pub state: Option<PathBuf>,
    /// Where the health of the cluster is reported.
    pub health: Health,
}

/// Memory limits for pages, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryLimits {
    /// The limit for all tail rings of the directory together.
    pub tail: usize,
    /// The limit for the cache of history pages.
    pub history: usize,
}

/// The kind of brokers that are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BrokerProfile {
    /// Apache Kafka or a compatible broker.
    #[default]
    Real,
    /// The mock brokers inside librdkafka. They answer a waiting fetch only when its wait time is over.
    Embedded,
}

/// Why a cluster cannot be read at all.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// librdkafka rejects the settings.
    #[error("cluster `{0}`: {1}")]
    Settings(String, KafkaError),
    /// librdkafka cannot create a client or a queue.
    #[error("cluster `{0}`: {1}")]
    Client(String, RDKafkaErrorCode),
    /// The system cannot start a thread.
    #[error("cluster `{0}`: cannot start a thread: {1}")]
    Thread(String, io::Error),
}
