//! What every part of one cluster holds: its name, its state, its limits and its counters.

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

/// What the parts of a cluster share.
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
    /// A record of this log bears its broker's time.
    pub(super) fn note_log_append_time(&self, log: &PartitionLog) {
        let topic = &log.partition().topic;
        self.log_append_time_topics.add(topic);
        self.status.add_log_append_time_topic(topic);
        log.set_overlap(self.overlap);
    }
}

#[cfg(test)]
impl ClusterShared {
    /// That of a cluster that nobody reads.
    pub(super) fn for_test() -> Self {
        Self::standalone(&ClusterSettings::new("main", Vec::new()))
    }
}

impl ClusterShared {
    /// That of a client which asks something once, and shares it with no other.
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

/// What pages may cost, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryLimits {
    /// All tail rings of the directory together.
    pub tail: usize,
    /// The cache of history pages.
    pub history: usize,
}

/// What kind of brokers are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BrokerProfile {
    /// Real ones.
    #[default]
    Real,
    /// Those inside librdkafka, which answer a waiting fetch only when its time is over.
    Embedded,
}

/// A cluster cannot be read at all.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// librdkafka does not accept the settings.
    #[error("cluster `{0}`: {1}")]
    Settings(String, KafkaError),
    /// librdkafka cannot make what is needed.
    #[error("cluster `{0}`: {1}")]
    Client(String, RDKafkaErrorCode),
    /// The system has no thread to give.
    #[error("cluster `{0}`: no thread: {1}")]
    Thread(String, io::Error),
}
