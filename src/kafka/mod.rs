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
mod client;
#[cfg(feature = "kafka")]
mod connect;
#[cfg(feature = "kafka")]
mod damage;
#[cfg(feature = "kafka")]
mod failover;
#[cfg(feature = "kafka")]
mod faults;
#[cfg(feature = "kafka")]
mod history;
mod identity;
#[cfg(feature = "kafka")]
mod log_append_time;
#[cfg(feature = "kafka")]
mod metrics;
#[cfg(feature = "kafka")]
mod partition_leaders;
#[cfg(feature = "kafka")]
mod shared;
#[cfg(feature = "kafka")]
mod shutdown_guard;
#[cfg(feature = "kafka")]
mod status;
#[cfg(feature = "kafka")]
mod supervisor;
#[cfg(feature = "kafka")]
mod threads;
mod watchdog;

#[cfg(feature = "kafka")]
pub use self::identity::cluster::{WrongCluster, expected_cluster_id};
#[cfg(feature = "kafka")]
pub use self::watchdog::broker_query::{BrokerInfo, query_broker};
#[cfg(feature = "kafka")]
pub use self::watchdog::fetch_trial::{UnreadablePartition, try_fetches};
#[cfg(feature = "kafka")]
pub use connect::{Cluster, ClusterOptions, connect};
#[cfg(feature = "kafka")]
pub use failover::{ActivateError, Failover, FailoverPlan, GroupMove, GroupStatus};
#[cfg(feature = "kafka")]
pub use log_append_time::LogAppendTimeTopics;
#[cfg(feature = "kafka")]
pub use metrics::{
    ClientLabels, ClusterLabels, ErrorLabels, KafkaMetrics, MoveLabels, RejectLabels, ReplacementLabels,
    ThreadLabels, TopicLabels,
};
#[cfg(feature = "kafka")]
pub use shared::{BrokerProfile, ConnectError, MemoryLimits};
#[cfg(feature = "kafka")]
pub use status::{ClusterStatus, UnavailableReason};
#[cfg(feature = "kafka")]
pub use supervisor::handle::ClusterHandle;
