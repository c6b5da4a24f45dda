//! The Kafka consumer: one tail for all clients, and history on demand, without consumer groups.
//!
//! [`connect()`] starts a cluster's threads and returns at once, whether or not a broker can be reached. Logs that are read
//! appear in the [`LogDirectory`](crate::partition::LogDirectory). `Cluster::history` reads what is no longer in memory.
//!
//! Connections to brokers are at most `(brokers + 1) x (6 + history readers)`, however many clients there are. The six are the
//! tail, the stall detector, its one-shot client, the client for offset queries, the one that history readers share for long
//! replays, and for a while the one that searches for unreadable records.
//!
//! Not here: the clients of riverhead, and their positions (`subscription`).
//!
//! | part | purpose |
//! |---|---|
//! | `client` | librdkafka clients: configuration, statistics, the calls that rdkafka lacks |
//! | `supervisor` | decides which log of each partition is current; owns the tail and the metadata refresh |
//! | `history` | reads pages and offsets on demand |
//! | `identity` | the pinned cluster id and the bootstrap brokers |
//! | `watchdog` | asks brokers one by one: stalls, the bootstrap list, `check-config` |
//! | `damage` | finds ranges that are damaged on the broker's disk |
//! | `failover` | moves groups of streams between clusters |

pub mod settings;

mod backoff;
mod client;
mod connect;
mod damage;
mod failover;
mod faults;
mod history;
mod identity;
mod metrics;
mod shared;
mod shutdown_guard;
mod status;
mod supervisor;
mod threads;
mod watchdog;

pub use self::identity::cluster::{WrongCluster, expected_cluster_id};
pub use self::watchdog::broker_query::{BrokerInfo, query_broker};
pub use self::watchdog::fetch_trial::{UnreadablePartition, try_fetches};
pub use connect::{Cluster, connect};
pub use failover::{ActivateError, Failover, FailoverChange, FailoverPlan, GroupMove, GroupStatus};
pub use metrics::{
    ClientLabels, ClusterLabels, ErrorLabels, KafkaMetrics, MoveLabels, RejectLabels, ReplacementLabels,
    ThreadLabels, TopicLabels,
};
pub use shared::{
    BrokerProfile, ClusterOptions, ConnectError, LogAppendTimeTopics, MemoryLimits, TopicSettings,
};
pub use status::{ClusterStatus, UnavailableReason};
pub use supervisor::handle::ClusterHandle;
