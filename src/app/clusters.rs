//! All clusters of a configuration, and which of them answers for a log.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;

use crate::{
    client::ClientKey,
    config::Config,
    event::Encoding,
    health::Health,
    kafka::{self, Cluster, ConnectError, Counters, Memory, Options, Profile},
    partition::{Bounds, Directory, History, HistoryError, Page, PartitionLog},
    position::{Offset, Timestamp},
};

/// The clusters that are read.
pub(super) struct Clusters {
    clusters: Vec<Cluster>,
    history: Arc<Routes>,
}

impl Clusters {
    /// Begins to read the catalog's topics, each from the cluster it prefers. Does not wait for Kafka.
    ///
    /// # Errors
    /// When librdkafka refuses the settings of one.
    pub(super) fn connect(
        config: &Config,
        directory: &Arc<Directory>,
        profile: Profile,
        counters: &Counters,
        health: &Health,
    ) -> Result<Self, ConnectError> {
        let mut clusters = Vec::new();
        let mut routes = HashMap::new();
        for settings in &config.clusters {
            let topics = topics_of(config, &settings.name);
            let names: Vec<_> = topics.iter().map(|(topic, _)| Arc::clone(topic)).collect();
            if names.is_empty() {
                continue;
            }
            let memory = Memory {
                tail: config.memory.tail.get(),
                history: config.memory.history.get(),
            };
            let options = Options {
                memory,
                profile,
                counters: counters.clone(),
                health: health.clone(),
            };
            let cluster = kafka::connect(settings, topics, Arc::clone(directory), options)?;
            routes.extend(names.into_iter().map(|topic| (topic, cluster.history())));
            clusters.push(cluster);
        }
        Ok(Self {
            clusters,
            history: Arc::new(Routes(routes)),
        })
    }

    /// Reads of what is not in memory, whatever cluster it is in.
    pub(super) fn history(&self) -> Arc<dyn History> {
        Arc::clone(&self.history) as Arc<dyn History>
    }

    /// Ends all reading, and waits for each cluster at most so long. A blocking call.
    pub(super) fn shutdown(self, within: Duration) {
        for cluster in self.clusters {
            let name = cluster.name().to_owned();
            if !cluster.shutdown(within) {
                tracing::warn!(cluster = name, "its clients do not end; leaving them behind");
            }
        }
    }
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

/// Topic -> who answers for its logs.
struct Routes(HashMap<Arc<str>, Arc<dyn History>>);

impl Routes {
    fn ask<T: Send + 'static>(
        &self,
        log: &Arc<PartitionLog>,
        ask: impl FnOnce(&dyn History) -> BoxFuture<'static, Result<T, HistoryError>>,
    ) -> BoxFuture<'static, Result<T, HistoryError>> {
        match self.0.get(&log.partition().topic) {
            Some(history) => ask(&**history),
            None => Box::pin(std::future::ready(Err(HistoryError::Unavailable))),
        }
    }
}

impl History for Routes {
    fn page(
        &self,
        log: &Arc<PartitionLog>,
        offset: Offset,
        client: ClientKey,
    ) -> BoxFuture<'static, Result<Arc<Page>, HistoryError>> {
        self.ask(log, |history| history.page(log, offset, client))
    }

    fn bounds(&self, log: &Arc<PartitionLog>) -> BoxFuture<'static, Result<Bounds, HistoryError>> {
        self.ask(log, |history| history.bounds(log))
    }

    fn first_at(
        &self,
        log: &Arc<PartitionLog>,
        time: Timestamp,
    ) -> BoxFuture<'static, Result<Option<Offset>, HistoryError>> {
        self.ask(log, |history| history.first_at(log, time))
    }
}
