//! What a cluster can be told. Compiled without librdkafka too: a configuration can be checked where none is built in.

pub mod broker;
pub mod passthrough;
pub mod properties;

use std::{collections::BTreeMap, num::NonZeroU64, path::PathBuf, sync::Arc, time::Duration};

pub use broker::BrokerAddr;

/// One entry of `clusters`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterSettings {
    /// What streams call it.
    pub name: Arc<str>,
    /// The brokers asked first, each once; at least one.
    pub bootstrap: Vec<BrokerAddr>,
    /// Whether one bootstrap broker alone is accepted.
    pub allow_single_bootstrap: bool,
    /// The id that the cluster must have; `None` pins the one that is known from before, else the first that is told.
    pub cluster_id: Option<Arc<str>>,
    /// The most that is asked of the cluster for history, in bytes per second.
    pub history_rate: NonZeroU64,
    /// After this much time without a record and without an answer its clients are replaced by new ones; above zero.
    pub renew_after: Duration,
    /// After this much time as a failing cluster its streams move to their next one; above zero.
    pub failover_after: Duration,
    /// How far a position goes back beyond its timestamp when it moves to this cluster and either cluster's brokers set
    /// the timestamps.
    pub failover_overlap: Duration,
    /// After this much time of an open transaction a partition is degraded for it; above zero.
    pub transaction_patience: Duration,
    /// What is passed through to librdkafka, by its names. Nothing that riverhead itself rests on is among it
    /// ([`properties::refusal`]), so it can be applied over riverhead's own choices.
    pub librdkafka: BTreeMap<String, String>,
}

impl ClusterSettings {
    /// The cluster called `name` with these first brokers; all else as it is by default.
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

/// The section `state`: what is kept over a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateSettings {
    /// Where; made when it is not there. `None` keeps nothing.
    pub directory: Option<PathBuf>,
}

/// 64 MiB/s: half of what a 1 Gbit/s link to a broker carries, so that replays leave room for the tail.
pub const DEFAULT_HISTORY_RATE: NonZeroU64 = const { NonZeroU64::new(64 * 1024 * 1024).unwrap() };

/// Twice what librdkafka takes before it begins again with the bootstrap list by itself: its own way back comes first.
pub const DEFAULT_RENEW_AFTER: Duration = Duration::from_secs(60);

/// Longer than an election, a broker's restart and librdkafka's own recovery: a move costs every client repeated events.
pub const DEFAULT_FAILOVER_AFTER: Duration = Duration::from_secs(60);

/// What brokers let a transaction last at most by default (`transaction.max.timeout.ms`): longer is one that hangs.
pub const DEFAULT_TRANSACTION_PATIENCE: Duration = Duration::from_secs(15 * 60);

/// What mirrors usually lag at worst, and more than clocks differ by.
pub const DEFAULT_FAILOVER_OVERLAP: Duration = Duration::from_secs(300);
