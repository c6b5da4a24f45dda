//! The events that the supervisor handles, and the types they carry.

use std::{
    collections::BTreeSet,
    io,
    sync::{Arc, mpsc},
};

use rdkafka::types::RDKafkaErrorCode;

use crate::{
    kafka::{
        client::raw::TopicInfo,
        identity::cluster::WrongCluster,
        settings::BrokerAddr,
        shared::{ClusterShared, TopicSettings},
        shutdown_guard::ShutdownGuard,
        threads::{self, PanicHandler},
    },
    partition::{Bounds, HistoryError, PartitionLog, TopicPartition},
};

/// An event for the supervisor.
pub(in crate::kafka) enum SupervisorEvent {
    /// A metadata refresh was answered.
    Topology(Topology),
    /// No broker answered a metadata refresh.
    RefreshFailed,
    /// The brokers that answer this session belong to another cluster.
    WrongCluster(SessionNumber, WrongCluster),
    /// The bootstrap brokers that belong to another cluster were found out.
    BootstrapChecked(BTreeSet<BrokerAddr>),
    /// A thread of this session panicked, and has ended.
    Panicked(SessionNumber),
    /// The bootstrap list has changed.
    BootstrapChanged,
    /// The leader answered the query for a partition's bounds with this id, or did not.
    Bounds(TopicPartition, RequestId, Result<Bounds, HistoryError>),
    /// The tail lost its position in this log: the offset it wants is out of range, or the log is another.
    PositionLost(Arc<PartitionLog>),
    /// The tail stalls on this broker, while another broker names another leader, whose log grows.
    Stalled(BrokerAddr),
    /// The topology may have changed.
    RefreshNeeded,
    /// Activate these topics: read them from this cluster.
    ActivateTopics(Vec<Arc<str>>),
    /// Release these topics. The callback is called when their logs are gone.
    ReleaseTopics(Vec<Arc<str>>, Box<dyn FnOnce() + Send>),
    /// Release all topics but these. The callback is called when their logs are gone.
    KeepActive(Vec<Arc<str>>, Box<dyn FnOnce() + Send>),
    /// Read these topics, and no others. The callback is called when that is so.
    SetTopics(Vec<TopicSettings>, Box<dyn FnOnce() + Send>),
    /// Stop the supervisor.
    Stop,
}

/// Identifies a bounds query, so that an answer to an outdated query is told apart.
pub(super) type RequestId = u64;

/// The number of a session; a cluster's sessions count up from 1.
pub(super) type SessionNumber = u64;

/// What ties the threads of a session to the supervisor. Clones belong to the same session.
#[derive(Clone)]
pub(super) struct SessionLink {
    pub(super) number: SessionNumber,
    pub(super) events: mpsc::Sender<SupervisorEvent>,
    pub(super) shutdown_guard: ShutdownGuard,
}

impl SessionLink {
    /// Starts a thread of the session. A panic ends it, and the supervisor hears of that.
    ///
    /// # Errors
    /// Returns an error if the system cannot start a thread.
    pub(super) fn spawn(
        self,
        thread: &'static str,
        shared: &ClusterShared,
        work: impl FnOnce() + Send + 'static,
    ) -> io::Result<()> {
        let handler = PanicHandler::new(shared, thread);
        threads::spawn(thread, move || {
            if handler.catch(work).is_none() {
                self.send(SupervisorEvent::Panicked(self.number));
            }
            drop(self.shutdown_guard);
        })
    }

    /// Sends an event to the supervisor, which may have ended.
    pub(super) fn send(&self, event: SupervisorEvent) {
        let _ = self.events.send(event);
    }
}

/// The result of one metadata refresh.
#[derive(Clone, Debug)]
pub(in crate::kafka) struct Topology {
    /// The id of the cluster.
    pub(in crate::kafka) cluster_id: Arc<str>,
    /// The result for each topic that was asked for.
    pub(in crate::kafka) topics: Vec<(Arc<str>, Result<TopicInfo, RDKafkaErrorCode>)>,
}
