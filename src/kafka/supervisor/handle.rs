//! The handle of a cluster that is being read, for failover, configuration reloads and status.

use std::sync::{Arc, mpsc};

use super::SupervisorEvent;
use crate::{
    health,
    kafka::{
        identity::cluster::ClusterIdentity,
        metrics::KafkaMetrics,
        settings::BrokerAddr,
        status::ClusterStatus,
        threads::{self, PanicHandler},
    },
};

/// One cluster as others see it. Clones refer to the same cluster; they do not keep it running.
#[derive(Clone)]
pub struct ClusterHandle {
    pub(in crate::kafka) name: Arc<str>,
    pub(in crate::kafka) events: mpsc::Sender<SupervisorEvent>,
    pub(in crate::kafka) identity: Arc<ClusterIdentity>,
    pub(in crate::kafka) status: Arc<ClusterStatus>,
    pub(in crate::kafka) health: Arc<health::ClusterHealth>,
}

impl ClusterHandle {
    /// Returns the configured name of the cluster.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Returns the current status of the cluster.
    pub fn status(&self) -> &ClusterStatus {
        &self.status
    }

    /// Replaces the bootstrap list, which has at least one broker. Running clients are told of it; clients opened later begin
    /// with it.
    pub fn set_bootstrap(&self, brokers: Vec<BrokerAddr>) {
        let addresses = brokers.iter().map(ToString::to_string).collect();
        self.health.set_bootstrap(addresses);
        self.identity.bootstrap.configure(brokers);
        let _ = self.events.send(SupervisorEvent::BootstrapChanged);
    }

    /// Creates the panic handler for the thread that decides which cluster is read.
    pub(in crate::kafka) fn panic_handler(&self, counters: &KafkaMetrics) -> PanicHandler {
        let health = Arc::clone(&self.health);
        PanicHandler::for_cluster(
            Arc::clone(&self.name),
            counters.clone(),
            health,
            threads::FAILOVER,
        )
    }

    /// Sets what an operator should look at; `None` for nothing.
    pub(in crate::kafka) fn set_concern(&self, concern: Option<String>) {
        self.health.set_concern(concern);
    }

    /// Begins to read these topics from this cluster. No other cluster may be reading them.
    pub(in crate::kafka) fn activate_topics(&self, topics: Vec<Arc<str>>) {
        let _ = self.events.send(SupervisorEvent::ActivateTopics(topics));
    }

    /// Stops reading these topics from this cluster. `then` is called when their logs are gone.
    pub(in crate::kafka) fn release_topics(
        &self,
        topics: Vec<Arc<str>>,
        then: impl FnOnce() + Send + 'static,
    ) {
        let _ = self
            .events
            .send(SupervisorEvent::ReleaseTopics(topics, Box::new(then)));
    }
}
