//! What others may ask of a cluster that is being read.

use std::sync::{Arc, mpsc};

use super::{
    cluster::Notice,
    counters::Counters,
    guard::{self, Guard},
    origin::Origin,
    settings::BrokerAddr,
    status::Status,
};
use crate::health;

/// One cluster, for those who decide and tell. Clones are the same; they do not keep it running.
#[derive(Clone)]
pub struct Handle {
    pub(super) name: Arc<str>,
    pub(super) notices: mpsc::Sender<Notice>,
    pub(super) origin: Arc<Origin>,
    pub(super) status: Arc<Status>,
    pub(super) health: Arc<health::Cluster>,
}

impl Handle {
    /// Its configured name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// What is known of it now.
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// Takes another list of brokers to ask first, at least one. The clients that run are told of it; those that are opened
    /// later begin with it.
    pub fn set_bootstrap(&self, brokers: Vec<BrokerAddr>) {
        let addresses = brokers.iter().map(ToString::to_string).collect();
        self.health.set_bootstrap(addresses);
        self.origin.seeds.configure(brokers);
        let _ = self.notices.send(Notice::Reseeded);
    }

    /// Guards the thread that decides which cluster is read.
    pub(super) fn guard(&self, counters: &Counters) -> Guard {
        let health = Arc::clone(&self.health);
        Guard::of_cluster(Arc::clone(&self.name), counters.clone(), health, guard::FAILOVER)
    }

    /// Says what somebody should look at.
    pub(super) fn set_concern(&self, concern: Option<String>) {
        self.health.set_concern(concern);
    }

    /// Reads these topics from here, which nothing else may read.
    pub(super) fn take(&self, topics: Vec<Arc<str>>) {
        let _ = self.notices.send(Notice::Take(topics));
    }

    /// Reads these topics from here no more; `then` is called when their logs are gone.
    pub(super) fn release(&self, topics: Vec<Arc<str>>, then: impl FnOnce() + Send + 'static) {
        let _ = self.notices.send(Notice::Release(topics, Box::new(then)));
    }
}
