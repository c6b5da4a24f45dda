//! Reading Kafka without consumer groups: one tail for all clients, and history on demand.
//!
//! `connect` starts a cluster's threads and returns at once, whether or not a broker can be reached: what is learned goes
//! into the [`Directory`](crate::partition::Directory), and `Cluster::history` answers for what is no longer in memory.
//! Connections to brokers are at most `(brokers + 1) x (5 + history readers)`, however many clients there are: the tail, the
//! witness and the client it looks through, the one that asks questions, the readers, and for a while one that looks at what
//! cannot be read.
//!
//! Not here: who the clients are, and where they stand (`subscription`).

pub mod settings;

#[cfg(feature = "kafka")]
mod backoff;
#[cfg(feature = "kafka")]
mod bootstrap;
#[cfg(feature = "kafka")]
mod client;
#[cfg(feature = "kafka")]
mod clocks;
#[cfg(feature = "kafka")]
mod cluster;
#[cfg(feature = "kafka")]
mod connect;
#[cfg(feature = "kafka")]
mod context;
#[cfg(feature = "kafka")]
mod counters;
#[cfg(feature = "kafka")]
mod damage;
#[cfg(feature = "kafka")]
mod failover;
#[cfg(feature = "kafka")]
mod faults;
#[cfg(feature = "kafka")]
mod guard;
#[cfg(feature = "kafka")]
mod handle;
#[cfg(feature = "kafka")]
mod history;
#[cfg(feature = "kafka")]
mod keep;
#[cfg(feature = "kafka")]
mod large;
#[cfg(feature = "kafka")]
mod lookout;
#[cfg(feature = "kafka")]
mod notebook;
#[cfg(feature = "kafka")]
mod online;
#[cfg(feature = "kafka")]
mod origin;
#[cfg(feature = "kafka")]
mod reader;
#[cfg(feature = "kafka")]
mod seeds;
#[cfg(feature = "kafka")]
mod session;
#[cfg(feature = "kafka")]
mod silence;
#[cfg(feature = "kafka")]
mod statistics;
#[cfg(feature = "kafka")]
mod status;
#[cfg(feature = "kafka")]
mod tail;
#[cfg(feature = "kafka")]
mod topics;
#[cfg(feature = "kafka")]
mod trial;
#[cfg(feature = "kafka")]
mod witness;

#[cfg(feature = "kafka")]
pub use clocks::Clocks;
#[cfg(feature = "kafka")]
pub use connect::{Cluster, ConnectError, Memory, Options, Profile, connect};
#[cfg(feature = "kafka")]
pub use counters::{
    ClientLabels, ClusterLabels, Counters, ErrorLabels, MoveLabels, RejectLabels, ReplacementLabels,
    ThreadLabels, TopicLabels,
};
#[cfg(feature = "kafka")]
pub use failover::{Failover, Moved, Plan, Refused, Standing};
#[cfg(feature = "kafka")]
pub use handle::Handle;
#[cfg(feature = "kafka")]
pub use online::{Answer, ask};
#[cfg(feature = "kafka")]
pub use origin::{Foreign, expected_id};
#[cfg(feature = "kafka")]
pub use status::{Status, Trouble};
#[cfg(feature = "kafka")]
pub use trial::{Unreadable, try_fetches};
