//! The clusters of a configuration, and which of them each stream is read from.

use std::{collections::HashMap, sync::Arc, time::Duration};

use super::StartError;
use crate::{
    config::Config,
    event::{Encoding, Transform},
    health::Health,
    kafka::{
        self, BrokerProfile, Cluster, ClusterOptions, Failover, FailoverPlan, KafkaMetrics,
        LogAppendTimeTopics, MemoryLimits,
    },
    partition::{History, LogDirectory},
    redaction::Redaction,
};

/// The clusters that are read.
pub(super) struct Clusters {
    clusters: Vec<Cluster>,
    failover: Arc<Failover>,
    history: Arc<dyn History>,
}

impl Clusters {
    /// Starts reading the catalog's topics, each from the cluster that it prefers, or that it was moved to before a restart. The
    /// other clusters on its list are watched. Does not wait for Kafka.
    ///
    /// # Errors
    /// If librdkafka refuses the settings of a cluster, or the system refuses a thread, or the rules of a stream cannot be
    /// compiled.
    pub(super) fn connect(
        config: &Config,
        directory: &Arc<LogDirectory>,
        profile: BrokerProfile,
        counters: &KafkaMetrics,
        health: &Health,
    ) -> Result<Self, StartError> {
        let plan = FailoverPlan::new(config.catalog.groups(), config.state.directory.as_deref());
        let transforms = transforms(config)?;
        let log_append_time_topics = LogAppendTimeTopics::default();
        let mut clusters = Vec::new();
        // Each cluster has a cache of its own, and all caches together have the budget.
        let is_read =
            |settings: &&kafka::settings::ClusterSettings| !topics_of(config, &settings.name).is_empty();
        let caches = config.clusters.iter().filter(is_read).count().max(1);
        for settings in &config.clusters {
            let topics = topics_of(config, &settings.name);
            if topics.is_empty() {
                continue;
            }
            let options = ClusterOptions {
                memory: MemoryLimits {
                    tail: config.memory.tail.get(),
                    history: config.memory.history.get() / caches,
                },
                profile,
                counters: counters.clone(),
                health: health.clone(),
                transforms: transforms.clone(),
                standby: plan.standby_topics(&settings.name),
                log_append_time_topics: log_append_time_topics.clone(),
                state: config.state.directory.clone(),
            };
            clusters.push(kafka::connect(settings, topics, Arc::clone(directory), options)?);
        }
        Ok(Self {
            history: plan.history(&clusters),
            failover: Arc::new(plan.start(&clusters)?),
            clusters,
        })
    }

    /// Returns the reader of events that are not in memory, for all clusters.
    pub(super) fn history(&self) -> Arc<dyn History> {
        Arc::clone(&self.history)
    }

    /// Returns the failover, which knows the cluster that each stream is read from.
    pub(super) fn failover(&self) -> Arc<Failover> {
        Arc::clone(&self.failover)
    }

    /// Returns a function that applies the bootstrap lists of another configuration.
    pub(super) fn reseed(&self) -> impl FnMut(&Config) + Send + 'static {
        let handles = self.clusters.iter().map(|cluster| cluster.handle().clone());
        let handles: Vec<_> = handles.collect();
        move |config| {
            for settings in &config.clusters {
                let own = handles.iter().find(|handle| *handle.name() == settings.name);
                if let Some(handle) = own {
                    handle.set_bootstrap(settings.bootstrap.clone());
                }
            }
        }
    }

    /// Stops all reading, and waits for each cluster at most `within`. Blocks the thread.
    pub(super) fn shutdown(self, within: Duration) {
        self.failover.stop();
        for cluster in self.clusters {
            let name = cluster.name().to_owned();
            if !cluster.shutdown(within) {
                tracing::warn!(
                    cluster = name,
                    "the Kafka clients of the cluster did not stop in time; ending without them"
                );
            }
        }
    }
}

/// Returns what is done to the records of each topic that has rules for it. The topics of a stream share it.
fn transforms(config: &Config) -> Result<HashMap<Arc<str>, Arc<dyn Transform>>, StartError> {
    let mut transforms = HashMap::new();
    for stream in config.catalog.streams().filter(|stream| !stream.rules.is_empty()) {
        let redaction = Redaction::compile(&stream.rules, stream.encoding.payload)
            .map_err(|error| StartError::Rules(stream.name.to_string(), error))?;
        let transform: Arc<dyn Transform> = Arc::new(redaction);
        let topics = stream.topics.iter();
        transforms.extend(topics.map(|topic| (Arc::clone(topic), Arc::clone(&transform))));
    }
    Ok(transforms)
}

fn topics_of(config: &Config, cluster: &str) -> Vec<(Arc<str>, Encoding)> {
    let topics = config.catalog.topics_of(cluster).into_iter();
    topics
        .filter_map(|topic| {
            config
                .catalog
                .encoding_of(&topic)
                .map(|encoding| (topic, encoding))
        })
        .collect()
}
