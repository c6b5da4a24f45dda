//! What others may ask of a cluster that is being read.

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

/// One cluster, for those who decide and tell. Clones are the same; they do not keep it running.
#[derive(Clone)]
pub struct ClusterHandle {
    pub(in crate::kafka) name: Arc<str>,
    pub(in crate::kafka) events: mpsc::Sender<SupervisorEvent>,
    pub(in crate::kafka) identity: Arc<ClusterIdentity>,
    pub(in crate::kafka) status: Arc<ClusterStatus>,
    pub(in crate::kafka) health: Arc<health::ClusterHealth>,
}

impl ClusterHandle {
    /// Its configured name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// What is known of it now.
    pub fn status(&self) -> &ClusterStatus {
        &self.status
    }

    /// Takes another list of brokers to ask first, at least one. The clients that run are told of it; those that are opened
    /// later begin with it.
    pub fn set_bootstrap(&self, brokers: Vec<BrokerAddr>) {
        let addresses = brokers.iter().map(ToString::to_string).collect();
        self.health.set_bootstrap(addresses);
        self.identity.bootstrap.configure(brokers);
        let _ = self.events.send(SupervisorEvent::BootstrapChanged);
    }

    /// Guards the thread that decides which cluster is read.
    pub(in crate::kafka) fn panic_handler(&self, counters: &KafkaMetrics) -> PanicHandler {
        let health = Arc::clone(&self.health);
        PanicHandler::for_cluster(
            Arc::clone(&self.name),
            counters.clone(),
            health,
            threads::FAILOVER,
        )
    }

    /// Says what somebody should look at.
    pub(in crate::kafka) fn set_concern(&self, concern: Option<String>) {
        self.health.set_concern(concern);
    }

    /// Reads these topics from here, which nothing else may read.
    pub(in crate::kafka) fn activate_topics(&self, topics: Vec<Arc<str>>) {
        let _ = self.events.send(SupervisorEvent::ActivateTopics(topics));
    }

    /// Reads these topics from here no more; `then` is called when their logs are gone.
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
