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

mod backoff;
mod client;
mod connect;
mod damage;
mod failover;
mod faults;
mod history;
mod identity;
mod log_append_time;
mod metrics;
mod partition_leaders;
mod shared;
mod shutdown_guard;
mod state_file;
mod status;
mod supervisor;
mod threads;
mod watchdog;

pub use self::identity::cluster::{WrongCluster, expected_cluster_id};
pub use self::watchdog::broker_query::{BrokerInfo, query_broker};
pub use self::watchdog::fetch_trial::{UnreadablePartition, try_fetches};
pub use connect::{Cluster, ClusterOptions, connect};
pub use failover::{ActivateError, Failover, FailoverPlan, GroupMove, GroupStatus};
pub use log_append_time::LogAppendTimeTopics;
pub use metrics::{
    ClientLabels, ClusterLabels, ErrorLabels, KafkaMetrics, MoveLabels, RejectLabels, ReplacementLabels,
    ThreadLabels, TopicLabels,
};
pub use shared::{BrokerProfile, ConnectError, MemoryLimits};
pub use status::{ClusterStatus, UnavailableReason};
pub use supervisor::handle::ClusterHandle;
