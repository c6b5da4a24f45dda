//! What a cluster's table in the configuration says.

use std::collections::BTreeMap;

/// One `[[clusters]]` table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterSettings {
    /// Its name in logs, metrics and `streams.clusters`.
    pub name: String,
    /// `host:port` of brokers to begin with.
    pub bootstrap: Vec<String>,
    /// Whether one bootstrap broker is enough.
    pub allow_single_bootstrap: bool,
    /// Bytes per second asked of the cluster for history, all clients together.
    pub history_rate: u64,
    /// Passed through to librdkafka: TLS, SASL.
    pub librdkafka: BTreeMap<String, String>,
}
