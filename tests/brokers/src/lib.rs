//! Real Kafka brokers for tests, and ways to break them.
//!
//! A [`Cluster`] is Apache Kafka in KRaft mode, run as child processes on loopback: one controller and, by
//! default, three brokers. Every client and every broker reaches a broker through a [`Proxy`], the fault
//! injector. A node can be stopped, killed, frozen and restarted. [`Producer`] writes numbered records and
//! keeps a [`Ledger`] of what the brokers acknowledged, so that a test can find what was lost, repeated or
//! reordered. Nothing here sets a `group.id`, so `__consumer_offsets` exists only if the code under test
//! created it.
//!
//! ```no_run
//! let cluster = riverhead_brokers::shared();
//! cluster.create_topic("rivers", 3);
//! let mut producer = cluster.producer("rivers").start();
//! producer.send(1_000);
//! cluster.kill(1);
//! let ledger = producer.finish();
//! assert_eq!(ledger.len(), 1_000);
//! ```
//!
//! All calls block, so that tests with and without a runtime use them in the same way. From a single-threaded
//! tokio test, call them through `spawn_blocking`. A failure of this crate is a panic with the reason, since
//! every caller is a test or a load run. Needs Linux (death signals, full accept queues), Java 17 and, once,
//! Maven.
#![allow(
    clippy::expect_used,
    reason = "a failure of this crate is a failed test with this message"
)]

mod address;
mod cluster;
mod home;
mod java_admin;
mod patience;
mod process;
mod producer;
mod proxy;
mod segment;
mod shared;
mod topics;
mod truncation;
mod turn;
mod workplace;

pub use address::DeadAddress;
pub use cluster::{CONTROLLER, Cluster, ClusterBuilder};
pub use patience::{Probe, eventually, scale, scaled, slack, tolerated};
pub use process::spawn;
pub use producer::{Acked, Acks, Ledger, Producer, ProducerBuilder, RawRecord, Running, value};
pub use proxy::{Counts, Direction, Fault, Proxy};
pub use segment::{Corruption, Segment, StoredBatch};
pub use shared::{SharedCluster, shared, shared_alone};
pub use topics::{LogRecord, NewTopic, PartitionState};
pub use truncation::{BrokerFailure, Leaderless, Replacement, Truncation};
pub use turn::{TurnGuard, alone, turn};
