//! What a cluster can be told. Compiled without librdkafka too: a configuration can be checked where none is built in.

pub mod broker;
pub mod passthrough;
pub mod properties;

use std::{collections::BTreeMap, num::NonZeroU64, sync::Arc};

pub use broker::BrokerAddr;

/// One entry of `clusters`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What streams call it.
    pub name: Arc<str>,
    /// The brokers asked first, each once; at least one.
    pub bootstrap: Vec<BrokerAddr>,
    /// Whether one bootstrap broker alone is accepted.
    pub allow_single_bootstrap: bool,
    /// The most that is asked of the cluster for history, in bytes per second.
    pub history_rate: NonZeroU64,
    /// What is passed through to librdkafka, by its names. Nothing that riverhead itself rests on is among it
    /// ([`properties::refusal`]), so it can be applied over riverhead's own choices.
    pub librdkafka: BTreeMap<String, String>,
}

impl Settings {
    /// The cluster called `name` with these first brokers; all else as it is by default.
    pub fn new(name: impl Into<Arc<str>>, bootstrap: Vec<BrokerAddr>) -> Self {
        Self {
            name: name.into(),
            bootstrap,
            allow_single_bootstrap: false,
            history_rate: DEFAULT_HISTORY_RATE,
            librdkafka: BTreeMap::new(),
        }
    }

    /// The first brokers as librdkafka wants them, comma between.
    pub fn bootstrap_servers(&self) -> String {
        let brokers: Vec<_> = self.bootstrap.iter().map(ToString::to_string).collect();
        brokers.join(",")
    }
}

/// 64 MiB/s: half of what a 1 Gbit/s link to a broker carries, so that replays leave room for the tail.
pub const DEFAULT_HISTORY_RATE: NonZeroU64 = const { NonZeroU64::new(64 * 1024 * 1024).unwrap() };
