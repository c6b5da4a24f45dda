//! Settings of a cluster. Compiled without librdkafka too, so that a build without it can check a configuration.
//!
//! Not here: parsing (`config`), and what becomes of the settings (`client::config`).

pub mod broker;
pub mod passthrough;
pub mod properties;

use std::{collections::BTreeMap, num::NonZeroU64, path::PathBuf, sync::Arc, time::Duration};

pub use broker::BrokerAddr;

/// An entry of `clusters`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterSettings {
    /// The name by which streams refer to the cluster.
    pub name: Arc<str>,
    /// The bootstrap brokers, without duplicates; at least one.
    pub bootstrap: Vec<BrokerAddr>,
    /// Whether a single bootstrap broker is accepted.
    pub allow_single_bootstrap: bool,
    /// The required cluster id. `None` pins the id known from before, or else the first one that a broker reports.
    pub cluster_id: Option<Arc<str>>,
    /// Limit on history reads from the cluster, in bytes per second.
    pub history_rate: NonZeroU64,
    /// Time without a record and without an answer after which its Kafka clients are replaced; above zero.
    pub renew_after: Duration,
    /// Time that the cluster may fail before its streams move to their next cluster; above zero.
    pub failover_after: Duration,
    /// How far a position goes back beyond its timestamp when it moves to this cluster and the brokers of either cluster set the
    /// timestamps.
    pub failover_overlap: Duration,
    /// Time that a transaction may stay open before its partition counts as degraded; above zero.
    pub transaction_patience: Duration,
    /// Properties passed through to librdkafka, by its names. None is among those that riverhead depends on
    /// ([`properties::refusal`]), so they can be applied over riverhead's own choices.
    pub librdkafka: BTreeMap<String, String>,
}

impl ClusterSettings {
    /// Creates the settings of the cluster `name` with these bootstrap brokers and defaults for the rest.
    pub fn new(name: impl Into<Arc<str>>, bootstrap: Vec<BrokerAddr>) -> Self {
        Self {
            name: name.into(),
            bootstrap,
            allow_single_bootstrap: false,
            cluster_id: None,
            history_rate: DEFAULT_HISTORY_RATE,
            renew_after: DEFAULT_RENEW_AFTER,
            failover_after: DEFAULT_FAILOVER_AFTER,
            failover_overlap: DEFAULT_FAILOVER_OVERLAP,
            transaction_patience: DEFAULT_TRANSACTION_PATIENCE,
            librdkafka: BTreeMap::new(),
        }
    }
}

/// The section `state`: what is kept across a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateSettings {
    /// The directory of the state files; created if missing. `None` keeps no state.
    pub directory: Option<PathBuf>,
}

/// 64 MiB/s: half of a 1 Gbit/s link to a broker, so that replays leave room for the tail.
pub const DEFAULT_HISTORY_RATE: NonZeroU64 = const { NonZeroU64::new(64 * 1024 * 1024).unwrap() };

/// Twice the time after which librdkafka itself starts over with the bootstrap list, so that its own recovery comes first.
pub const DEFAULT_RENEW_AFTER: Duration = Duration::from_secs(60);

/// Longer than an election, a broker restart and librdkafka's own recovery: a move costs every client repeated events.
pub const DEFAULT_FAILOVER_AFTER: Duration = Duration::from_secs(60);

/// The longest transaction that brokers allow by default (`transaction.max.timeout.ms`). A longer one hangs.
pub const DEFAULT_TRANSACTION_PATIENCE: Duration = Duration::from_secs(15 * 60);

/// More than mirrors usually lag at worst, and more than clocks differ by.
pub const DEFAULT_FAILOVER_OVERLAP: Duration = Duration::from_secs(300);
