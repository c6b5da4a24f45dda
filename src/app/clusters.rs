//! The clusters of a configuration, and which of them each stream is read from.

use std::{
    sync::{Arc, mpsc},
    time::Duration,
};

use parking_lot::Mutex;

use super::{StartError, transforms::Transforms};
use crate::{
    catalog::Catalog,
    config::Config,
    health::Health,
    kafka::{
        self, BrokerProfile, Cluster, ClusterOptions, Failover, FailoverPlan, KafkaMetrics,
        LogAppendTimeTopics, MemoryLimits, TopicSettings, settings::ClusterSettings,
    },
    partition::{History, LogDirectory},
};

/// The clusters that are read. Clones share them.
#[derive(Clone)]
pub(super) struct Clusters(Arc<Inner>);

struct Inner {
    clusters: Mutex<Vec<Cluster>>,
    failover: Arc<Failover>,
    history: Arc<dyn History>,
    connector: Connector,
    transforms: Mutex<Transforms>,
}

/// What a connection to a cluster is made with.
struct Connector {
    directory: Arc<LogDirectory>,
    options: ClusterOptions,
}

/// What a reload needs before it changes anything.
pub(super) struct PreparedClusters {
    transforms: Transforms,
    /// Clusters that were not read before. They only watch their topics.
    connected: Vec<Cluster>,
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
        let transforms = Transforms::compile(&config.catalog, None)?;
        // Each cluster has a cache of its own, and all caches together have the budget.
        let is_read = |settings: &&ClusterSettings| !config.catalog.topics_of(&settings.name).is_empty();
        let caches = config.clusters.iter().filter(is_read).count().max(1);
        let connector = Connector {
            directory: Arc::clone(directory),
            options: ClusterOptions {
                memory: MemoryLimits {
                    tail: config.memory.tail.get(),
                    history: config.memory.history.get() / caches,
                },
                profile,
                counters: counters.clone(),
                health: health.clone(),
                log_append_time_topics: LogAppendTimeTopics::default(),
                state: config.state.directory.clone(),
            },
        };
        let mut clusters = Vec::new();
        for settings in config.clusters.iter().filter(is_read) {
            let standby = plan.standby_topics(&settings.name);
            let is_active = |topic: &str| !standby.contains(topic);
            let topics = topics_of(&config.catalog, &transforms, &settings.name, is_active);
            clusters.push(connector.connect(settings, topics)?);
        }
        Ok(Self(Arc::new(Inner {
            history: plan.history(&clusters),
            failover: Arc::new(plan.start(&clusters)?),
            clusters: Mutex::new(clusters),
            connector,
            transforms: Mutex::new(transforms),
        })))
    }

    /// Returns the reader of events that are not in memory, for all clusters.
    pub(super) fn history(&self) -> Arc<dyn History> {
        Arc::clone(&self.0.history)
    }

    /// Returns the failover, which knows the cluster that each stream is read from.
    pub(super) fn failover(&self) -> Arc<Failover> {
        Arc::clone(&self.0.failover)
    }

    /// Applies the bootstrap lists of another configuration.
    pub(super) fn reseed(&self, config: &Config) {
        for cluster in &*self.0.clusters.lock() {
            let settings = config.clusters.iter().find(|it| *it.name == *cluster.name());
            if let Some(settings) = settings {
                cluster.handle().set_bootstrap(settings.bootstrap.clone());
            }
        }
    }

    /// Prepares for the streams of another configuration. Nothing changes for those that run.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub(super) fn prepare(&self, config: &Config) -> Result<PreparedClusters, StartError> {
        let transforms = Transforms::compile(&config.catalog, Some(&self.0.transforms.lock()))?;
        let running = self.0.clusters.lock();
        let mut connected = Vec::new();
        for settings in &config.clusters {
            let is_running = running.iter().any(|cluster| cluster.name() == &*settings.name);
            let topics = topics_of(&config.catalog, &transforms, &settings.name, |_| false);
            if is_running || topics.is_empty() {
                continue;
            }
            match self.0.connector.connect(settings, topics) {
                Ok(cluster) => connected.push(cluster),
                Err(error) => {
                    let others = connected.iter().map(Cluster::name);
                    let health = &self.0.connector.options.health;
                    others
                        .chain([&*settings.name])
                        .for_each(|name| health.remove_cluster(name));
                    return Err(error);
                }
            }
        }
        Ok(PreparedClusters {
            transforms,
            connected,
        })
    }

    /// Reads the topics of this catalog from now on, and no others. A blocking call. A cluster from which nothing is read any more is
    /// closed.
    pub(super) fn apply(&self, catalog: &Catalog, prepared: PreparedClusters) {
        let change = self.0.failover.plan_change(catalog.groups());
        let mut clusters = self.0.clusters.lock();
        clusters.extend(prepared.connected);
        let topics: Vec<_> = clusters
            .iter()
            .map(|cluster| {
                let standby = change.standby_topics(cluster.name());
                topics_of(catalog, &prepared.transforms, cluster.name(), |topic| {
                    !standby.contains(topic)
                })
            })
            .collect();
        // Before any cluster begins to read a topic, so that no topic is ever read from two.
        wait_for_all(clusters.iter().zip(&topics), |cluster, topics, done| {
            cluster.handle().keep_active(active(topics), done);
        });
        let (used, unused): (Vec<_>, Vec<_>) = clusters
            .drain(..)
            .zip(topics)
            .partition(|(_, topics)| !topics.is_empty());
        wait_for_all(
            used.iter().map(|(cluster, topics)| (cluster, topics)),
            |cluster, topics, done| {
                cluster.handle().set_topics(topics.clone(), done);
            },
        );
        clusters.extend(used.into_iter().map(|(cluster, _)| cluster));
        change.apply(&clusters);
        drop(clusters);
        *self.0.transforms.lock() = prepared.transforms;
        for (cluster, _) in unused {
            let name = cluster.name().to_owned();
            tracing::info!(
                cluster = name,
                "no stream is read from the cluster any more; it is closed"
            );
            shutdown(cluster, CLOSE_TIMEOUT);
            self.0.connector.options.health.remove_cluster(&name);
        }
    }

    /// Stops all reading, and waits for each cluster at most `within`. Blocks the thread.
    pub(super) fn shutdown(&self, within: Duration) {
        self.0.failover.stop();
        let clusters = std::mem::take(&mut *self.0.clusters.lock());
        clusters.into_iter().for_each(|cluster| shutdown(cluster, within));
    }
}

impl Connector {
    fn connect(&self, settings: &ClusterSettings, topics: Vec<TopicSettings>) -> Result<Cluster, StartError> {
        let directory = Arc::clone(&self.directory);
        Ok(kafka::connect(settings, topics, directory, self.options.clone())?)
    }
}

/// Returns the topics that can be read from a cluster, and how.
fn topics_of(
    catalog: &Catalog,
    transforms: &Transforms,
    cluster: &str,
    is_active: impl Fn(&str) -> bool,
) -> Vec<TopicSettings> {
    let topics = catalog.topics_of(cluster).into_iter();
    let settings = topics.filter_map(|name| {
        Some(TopicSettings {
            encoding: catalog.encoding_of(&name)?,
            transform: transforms.of(&name),
            active: is_active(&name),
            name,
        })
    });
    settings.collect()
}

/// Returns the names of the topics that are read.
fn active(topics: &[TopicSettings]) -> Vec<Arc<str>> {
    let active = topics.iter().filter(|topic| topic.active);
    active.map(|topic| Arc::clone(&topic.name)).collect()
}

/// Tells each cluster something, and waits until all have done it. The thread of a cluster may be dead, so not for long.
fn wait_for_all<'a>(
    clusters: impl Iterator<Item = (&'a Cluster, &'a Vec<TopicSettings>)>,
    tell: impl Fn(&Cluster, &Vec<TopicSettings>, Box<dyn FnOnce() + Send>),
) {
    let (done, all_done) = mpsc::channel();
    for (cluster, topics) in clusters {
        let done = done.clone();
        tell(cluster, topics, Box::new(move || drop(done)));
    }
    drop(done);
    let answer: Result<(), _> = all_done.recv_timeout(CHANGE_TIMEOUT);
    if answer == Err(mpsc::RecvTimeoutError::Timeout) {
        tracing::error!("a cluster does not take the change of its topics; the others go on");
    }
}

fn shutdown(cluster: Cluster, within: Duration) {
    let name = cluster.name().to_owned();
    if !cluster.shutdown(within) {
        tracing::warn!(
            cluster = name,
            "the Kafka clients of the cluster did not stop in time; going on without them"
        );
    }
}

/// How long the clusters may take for a change of topics. It asks no broker.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the clients of a cluster may take to close that nothing is read from any more.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
