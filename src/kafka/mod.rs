//! Reading Kafka without consumer groups: one tail for all clients, and history on demand.
//!
//! `connect` starts a cluster's threads and returns at once, whether or not a broker can be reached: what is learned goes
//! into the [`LogDirectory`](crate::partition::LogDirectory), and `Cluster::history` answers for what is no longer in memory.
//! Connections to brokers are at most `(brokers + 1) x (5 + history readers)`, however many clients there are: the tail, the
//! witness and the client it looks through, the one that asks questions, the readers, and for a while one that looks at what
//! cannot be read.
//!
//! Not here: who the clients are, and where they stand (`subscription`).

pub mod settings;

#[cfg(feature = "kafka")]
mod atomic_file;
#[cfg(feature = "kafka")]
mod backoff;
#[cfg(feature = "kafka")]
mod bootstrap_brokers;
#[cfg(feature = "kafka")]
mod bootstrap_check;
#[cfg(feature = "kafka")]
mod broker_query;
#[cfg(feature = "kafka")]
mod client;
#[cfg(feature = "kafka")]
mod connect;
#[cfg(feature = "kafka")]
mod context;
#[cfg(feature = "kafka")]
mod damage;
#[cfg(feature = "kafka")]
mod failover;
#[cfg(feature = "kafka")]
mod faults;
#[cfg(feature = "kafka")]
mod fetch_trial;
#[cfg(feature = "kafka")]
mod handle;
#[cfg(feature = "kafka")]
mod history;
#[cfg(feature = "kafka")]
mod identity;
#[cfg(feature = "kafka")]
mod large_records;
#[cfg(feature = "kafka")]
mod log_append_time;
#[cfg(feature = "kafka")]
mod metadata;
#[cfg(feature = "kafka")]
mod metrics;
#[cfg(feature = "kafka")]
mod outage;
#[cfg(feature = "kafka")]
mod reader;
#[cfg(feature = "kafka")]
mod session;
#[cfg(feature = "kafka")]
mod stall_detector;
#[cfg(feature = "kafka")]
mod state_file;
#[cfg(feature = "kafka")]
mod statistics;
#[cfg(feature = "kafka")]
mod status;
#[cfg(feature = "kafka")]
mod supervisor;
#[cfg(feature = "kafka")]
mod tail;
#[cfg(feature = "kafka")]
mod threads;
#[cfg(feature = "kafka")]
mod topics;

#[cfg(feature = "kafka")]
pub use broker_query::{BrokerInfo, query_broker};
#[cfg(feature = "kafka")]
pub use connect::{BrokerProfile, Cluster, ClusterOptions, ConnectError, MemoryLimits, connect};
#[cfg(feature = "kafka")]
pub use failover::{ActivateError, Failover, FailoverPlan, GroupMove, GroupStatus};
#[cfg(feature = "kafka")]
pub use fetch_trial::{UnreadablePartition, try_fetches};
#[cfg(feature = "kafka")]
pub use handle::ClusterHandle;
#[cfg(feature = "kafka")]
pub use identity::{WrongCluster, expected_cluster_id};
#[cfg(feature = "kafka")]
pub use log_append_time::LogAppendTimeTopics;
#[cfg(feature = "kafka")]
pub use metrics::{
    ClientLabels, ClusterLabels, ErrorLabels, KafkaMetrics, MoveLabels, RejectLabels, ReplacementLabels,
    ThreadLabels, TopicLabels,
};
#[cfg(feature = "kafka")]
pub use status::{ClusterStatus, UnavailableReason};
