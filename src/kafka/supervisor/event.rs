//! What the supervisor hears.

use std::{collections::BTreeSet, sync::Arc};

use rdkafka::types::RDKafkaErrorCode;

use crate::{
    kafka::{client::raw::TopicInfo, identity::cluster::WrongCluster, settings::BrokerAddr},
    partition::{Bounds, HistoryError, PartitionLog, TopicPartition},
};

/// What the supervisor hears.
pub(in crate::kafka) enum SupervisorEvent {
    /// A look at the topology.
    Topology(Topology),
    /// A look that no broker answered.
    RefreshFailed,
    /// What answers this session is another cluster.
    WrongCluster(SessionNumber, WrongCluster),
    /// The brokers to ask first that are another cluster's.
    BootstrapChecked(BTreeSet<BrokerAddr>),
    /// A thread of this session panicked, and is gone.
    Panicked(SessionNumber),
    /// There are other brokers to ask first.
    BootstrapChanged,
    /// The bounds of a partition, asked for with this ticket.
    Bounds(TopicPartition, RequestId, Result<Bounds, HistoryError>),
    /// The tail lost its place in this log: the offset it wants is out of range.
    PositionLost(Arc<PartitionLog>),
    /// The tail stands still at what this broker says, and another broker names another leader, whose log goes on.
    Stalled(BrokerAddr),
    /// Something suggests that the topology has changed.
    RefreshNeeded,
    /// Read these topics from here.
    ActivateTopics(Vec<Arc<str>>),
    /// Read them no more; this is called when their logs are gone.
    ReleaseTopics(Vec<Arc<str>>, Box<dyn FnOnce() + Send>),
    /// The end.
    Stop,
}

/// Tells an answer to the question that stands from one to a question that does not any more.
pub(super) type RequestId = u64;

/// Counts the sessions of a cluster.
pub(super) type SessionNumber = u64;

/// What one look showed.
#[derive(Clone, Debug)]
pub(in crate::kafka) struct Topology {
    /// The cluster's id.
    pub(in crate::kafka) cluster_id: Arc<str>,
    /// Each topic, in the order asked for.
    pub(in crate::kafka) topics: Vec<Result<TopicInfo, RDKafkaErrorCode>>,
}
