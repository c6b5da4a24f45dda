//! The state that all parts of one cluster share, and the types by which it is set up.
//!
//! Not here: the code that uses it. This file imports neither a client nor a thread, so every part can import it.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use rdkafka::{error::KafkaError, types::RDKafkaErrorCode};

use super::{
    damage::DamageTracker, identity::cluster::ClusterIdentity, log_append_time::LogAppendTimeTopics,
    metrics::KafkaMetrics, partition_leaders::PartitionLeaders, settings::ClusterSettings,
    status::ClusterStatus,
};
use crate::{
    health::{self, Health},
    partition::{LogDirectory, PartitionLog},
};

/// The shared state of a cluster: its name, directory, limits, metrics and health. Clones share it.
#[derive(Clone)]
pub(super) struct ClusterShared {
    pub(super) cluster: Arc<str>,
    pub(super) directory: Arc<LogDirectory>,
    pub(super) leaders: Arc<PartitionLeaders>,
    pub(super) identity: Arc<ClusterIdentity>,
    pub(super) status: Arc<ClusterStatus>,
    pub(super) log_append_time_topics: LogAppendTimeTopics,
    pub(super) renew_after: Duration,
    pub(super) overlap: Duration,
    pub(super) memory: MemoryLimits,
    pub(super) counters: KafkaMetrics,
    pub(super) health: Arc<health::ClusterHealth>,
    pub(super) damage: Arc<DamageTracker>,
}

impl ClusterShared {
    /// Records that a record of this log bears its broker's timestamp (LogAppendTime), in the status and for the log.
    pub(super) fn note_log_append_time(&self, log: &PartitionLog) {
        let topic = &log.partition().topic;
        self.log_append_time_topics.add(topic);
        self.status.add_log_append_time_topic(topic);
        log.set_overlap(self.overlap);
    }
}

#[cfg(test)]
impl ClusterShared {
    /// Returns the state of a cluster that is not read.
    pub(super) fn for_test() -> Self {
        Self::standalone(&ClusterSettings::new("main", Vec::new()))
    }
}

impl ClusterShared {
    /// Returns the state for a client that asks something once and shares it with no other client.
    pub(super) fn standalone(settings: &ClusterSettings) -> Self {
        Self {
            cluster: Arc::clone(&settings.name),
            directory: LogDirectory::new(),
            leaders: Arc::default(),
            identity: ClusterIdentity::new(settings, None),
            status: Arc::default(),
            log_append_time_topics: LogAppendTimeTopics::default(),
            renew_after: Duration::MAX,
            overlap: Duration::ZERO,
            memory: MemoryLimits { tail: 0, history: 0 },
            counters: KafkaMetrics::default(),
            damage: Arc::default(),
            health: Health::new().cluster(&settings.name, Vec::new(), Instant::now()),
        }
    }
}

/// Memory limits for pages, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
