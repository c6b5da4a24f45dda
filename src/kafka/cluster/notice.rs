//! What the supervisor hears.

use std::{collections::BTreeSet, sync::Arc};

use crate::{
    kafka::{lookout::Topology, origin::Foreign, session::SessionNumber, settings::BrokerAddr},
    partition::{Bounds, HistoryError, PartitionLog, TopicPartition},
};

/// What the supervisor hears.
pub(in crate::kafka) enum Notice {
    /// A look at the topology.
    Topology(Topology),
    /// A look that no broker answered.
    Silence,
    /// What answers this session is another cluster.
    Foreign(SessionNumber, Foreign),
    /// The brokers to ask first that are another cluster's.
    Sifted(BTreeSet<BrokerAddr>),
    /// A thread of this session panicked, and is gone.
    Panicked(SessionNumber),
    /// There are other brokers to ask first.
    Reseeded,
    /// The bounds of a partition, asked for with this ticket.
    Bounds(TopicPartition, Ticket, Result<Bounds, HistoryError>),
    /// The tail lost its place in this log: the offset it wants is out of range.
    Lost(Arc<PartitionLog>),
    /// The tail stands still at what this broker says, and another broker names another leader, whose log goes on.
    Stalled(BrokerAddr),
    /// Something suggests that the topology has changed.
    Doubt,
    /// Read these topics from here.
    Take(Vec<Arc<str>>),
    /// Read them no more; this is called when their logs are gone.
    Release(Vec<Arc<str>>, Box<dyn FnOnce() + Send>),
    /// The end.
    Stop,
}

/// Tells an answer to the question that stands from one to a question that does not any more.
pub(in crate::kafka) type Ticket = u64;
