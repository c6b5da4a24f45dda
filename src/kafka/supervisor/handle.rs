//! The handle of a cluster that is being read, for failover, configuration reloads and status.

use std::sync::{Arc, mpsc};

use super::SupervisorEvent;
use crate::kafka::{
    settings::BrokerAddr,
    shared::{ClusterShared, TopicSettings},
    status::ClusterStatus,
};

/// One cluster as others see it. Clones refer to the same cluster; they do not keep it running.
#[derive(Clone)]
pub struct ClusterHandle {
    pub(in crate::kafka) shared: ClusterShared,
    pub(in crate::kafka) events: mpsc::Sender<SupervisorEvent>,
}

impl ClusterHandle {
    /// Returns the configured name of the cluster.
    pub fn name(&self) -> &Arc<str> {
        &self.shared.cluster
    }

    /// Returns the current status of the cluster.
    pub fn status(&self) -> &ClusterStatus {
        &self.shared.status
    }

    /// Replaces the bootstrap list, which has at least one broker. Running clients are told of it; clients opened later begin
    /// with it.
    pub fn set_bootstrap(&self, brokers: Vec<BrokerAddr>) {
        let addresses = brokers.iter().map(ToString::to_string).collect();
        self.shared.health.set_bootstrap(addresses);
        self.shared.identity.bootstrap.configure(brokers);
        self.send(SupervisorEvent::BootstrapChanged);
    }

    /// Begins to read these topics from this cluster. No other cluster may be reading them.
    pub(in crate::kafka) fn activate_topics(&self, topics: Vec<Arc<str>>) {
        self.send(SupervisorEvent::ActivateTopics(topics));
    }

    /// Reads these topics from now on, at least one, and no others. A topic whose encoding or transform differs becomes other
    /// events: what its records were before is dropped. `then` is called when that is done.
    pub fn set_topics(&self, topics: Vec<TopicSettings>, then: impl FnOnce() + Send + 'static) {
        self.send(SupervisorEvent::SetTopics(topics, Box::new(then)));
    }

    /// Stops reading all topics but these from this cluster, before another one may read them. `then` is called when their logs are
    /// gone.
    pub fn keep_active(&self, topics: Vec<Arc<str>>, then: impl FnOnce() + Send + 'static) {
        self.send(SupervisorEvent::KeepActive(topics, Box::new(then)));
    }

    /// Stops reading these topics from this cluster. `then` is called when their logs are gone.
    pub(in crate::kafka) fn release_topics(
        &self,
        topics: Vec<Arc<str>>,
        then: impl FnOnce() + Send + 'static,
    ) {
        self.send(SupervisorEvent::ReleaseTopics(topics, Box::new(then)));
    }

    fn send(&self, event: SupervisorEvent) {
        // It fails only if the supervisor has stopped.
        let _ = self.events.send(event);
    }
}
