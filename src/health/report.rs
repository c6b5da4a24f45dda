//! The report that `/healthz` shows.

use std::time::Instant;

use serde::Serialize;

use super::state::{HealthState, Verdict, count};

/// The report on everything.
#[derive(Clone, Debug, Serialize)]
pub struct HealthReport {
    /// The worst state of what is served.
    pub state: HealthState,
    /// The reason for the state.
    pub reason: String,
    /// Each stream, in the order of the configuration.
    pub streams: Vec<StreamReport>,
    /// Each cluster that is read, by name.
    pub clusters: Vec<ClusterReport>,
    /// The certificates of each listener with TLS, by name. Left out if there is none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tls: Vec<TlsReport>,
    /// The streams that are configured elsewhere. Left out if there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream_config: Option<StreamConfigReport>,
}

/// The report on the certificates of a listener.
#[derive(Clone, Debug, Serialize)]
pub struct TlsReport {
    /// The listener's name: `http` or `admin`.
    pub listener: String,
    /// The state of its certificates. It is never failing, since something is served.
    pub state: HealthState,
    /// The reason for the state.
    pub reason: String,
}

impl TlsReport {
    pub(super) fn new(listener: &str, complaint: Option<&str>) -> Self {
        let Verdict { state, reason } = match complaint {
            Some(complaint) => Verdict::degraded(complaint),
            None => Verdict::ok("the certificates in the files are served"),
        };
        Self {
            listener: listener.into(),
            state,
            reason,
        }
    }
}

/// The report on a document with streams.
#[derive(Clone, Debug, Serialize)]
pub struct StreamConfigReport {
    /// Its state. It is never failing, since what was read last is served.
    pub state: HealthState,
    /// The reason for the state.
    pub reason: String,
    /// Where it is.
    pub source: String,
    /// How many of its streams are served.
    pub streams: usize,
    /// Seconds since it was read last. `None` if this process has not read it yet.
    pub read_age_seconds: Option<f64>,
}

/// The report on a stream.
#[derive(Clone, Debug, Serialize)]
pub struct StreamReport {
    /// The stream's name.
    pub name: String,
    /// The stream's state.
    pub state: HealthState,
    /// The reason for the state.
    pub reason: String,
    /// Within how many seconds an event is expected, if the configuration says so.
    pub expect_event_within_seconds: Option<f64>,
    /// Seconds since the last event of any of its partitions arrived.
    pub last_event_age_seconds: Option<f64>,
}

/// The report on a cluster.
#[derive(Clone, Debug, Serialize)]
pub struct ClusterReport {
    /// The cluster's configured name.
    pub name: String,
    /// The cluster's state.
    pub state: HealthState,
    /// The reason for the state.
    pub reason: String,
    /// Whether streams are read from the cluster now.
    pub active: bool,
    /// The cluster id, once a broker has told it.
    pub cluster_id: Option<String>,
    /// The addresses of the bootstrap list.
    pub bootstrap: Vec<String>,
    /// How many of these addresses take connections. `None` until all were tried.
    pub bootstrap_reachable: Option<usize>,
    /// Seconds since a broker last told the topology.
    pub metadata_age_seconds: Option<f64>,
    /// How many brokers have answered lately.
    pub brokers_reachable: usize,
    /// Each broker, by id.
    pub brokers: Vec<BrokerReport>,
    /// Each partition that is read, by topic and number.
    pub partitions: Vec<PartitionReport>,
    /// For how many seconds a transaction may be open before a partition is degraded for it.
    pub transaction_patience_seconds: Option<f64>,
    /// Each topic that is read, by name.
    pub topics: Vec<TopicReport>,
    /// The topics of the catalog that the cluster does not have.
    pub missing_topics: Vec<String>,
}

/// The report on a broker.
#[derive(Clone, Debug, Serialize)]
pub struct BrokerReport {
    /// The broker's id.
    pub id: i32,
    /// The broker's `host:port`. `None` if it is known only from the placement of a replica.
    pub address: Option<String>,
    /// The broker's state.
    pub state: HealthState,
    /// The reason for the state.
    pub reason: String,
    /// librdkafka's name for the state of our connection.
    pub connection: Option<String>,
    /// The number of connections made so far.
    pub connects: u64,
    /// The number of connections lost so far.
    pub disconnects: u64,
    /// The 99th percentile of the time that an answer takes, in seconds.
    pub rtt_seconds: Option<f64>,
    /// Seconds since the broker last answered.
    pub answered_age_seconds: Option<f64>,
    /// Whether the broker has answered lately.
    pub reachable: bool,
}

/// The report on what the cluster says about a topic.
#[derive(Clone, Debug, Serialize)]
pub struct TopicReport {
    /// The topic's name.
    pub topic: String,
    /// The topic's state, apart from its partitions.
    pub state: HealthState,
    /// The reason for the state.
    pub reason: String,
    /// The name of the error that the cluster answers with, once it has persisted.
    pub error: Option<String>,
}

/// The report on a partition.
#[derive(Clone, Debug, Serialize)]
pub struct PartitionReport {
    /// The partition's topic.
    pub topic: String,
    /// The partition's number.
    pub partition: i32,
    /// The partition's state.
    pub state: HealthState,
    /// The reason for the state.
    pub reason: String,
    /// The name of the error that prevents reading, such as `TOPIC_AUTHORIZATION_FAILED`, once it has persisted.
    pub error: Option<String>,
    /// The leader, as the topology names it. `None` while there is none.
    pub leader: Option<i32>,
    /// The broker that is fetched from, which may not know yet that it is no longer the leader.
    pub fetched_from: Option<i32>,
    /// Seconds since the last event arrived. `None` until one has.
    pub last_event_age_seconds: Option<f64>,
    /// The last event's timestamp, in ms since 1970.
    pub last_event_timestamp: Option<i64>,
    /// Seconds since the broker that is fetched from last answered.
    pub last_fetch_age_seconds: Option<f64>,
    /// The offset that is read next.
    pub next_offset: Option<i64>,
    /// The end of the log, as the broker that is fetched from says.
    pub high_watermark: Option<i64>,
    /// The number of offsets between these two.
    pub lag: Option<i64>,
    /// The last stable offset. A transaction is open behind it, and what lies there is not delivered yet.
    pub last_stable_offset: Option<i64>,
    /// For how many seconds it has stood still below the high watermark; 0 if it does not.
    pub last_stable_offset_age_seconds: f64,
    /// The log start offset.
    pub log_start_offset: Option<i64>,
    /// The memory of the partition's events, in bytes. Set by `http`, which has the logs.
    pub memory_bytes: Option<usize>,
    /// How many of the records read from its end were dropped, so that nobody gets them. Left out without rules for its topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dropped_records: Option<u64>,
    /// Of how many something was removed or blanked. Left out without rules for its topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redacted_records: Option<u64>,
    /// Whether our end of the log stands still while it moves elsewhere.
    pub stalled: bool,
    /// For how many seconds the partition has been stalled.
    pub stalled_for_seconds: Option<f64>,
}

/// Returns the worst verdict. A failing cluster counts as degraded here, since another may stand in for it. If none does, the
/// streams that are read from it fail.
pub(super) fn overall(
    clusters: &[ClusterReport],
    streams: &[StreamReport],
    tls: &[TlsReport],
    stream_config: Option<&StreamConfigReport>,
) -> Verdict {
    let streams_said = streams
        .iter()
        .map(|it| (it.state, format!("stream {}: {}", it.name, it.reason)));
    let clusters_said = clusters.iter().map(|it| {
        let state = it.state.min(HealthState::Degraded);
        (state, format!("cluster {}: {}", it.name, it.reason))
    });
    let tls_said = tls
        .iter()
        .map(|it| (it.state, format!("TLS of {}: {}", it.listener, it.reason)));
    let stream_config_said = stream_config.map(|it| (it.state, format!("stream_config: {}", it.reason)));
    let worst = streams_said
        .chain(clusters_said)
        .chain(tls_said)
        .chain(stream_config_said)
        .reduce(|worst, next| if next.0 > worst.0 { next } else { worst });
    match worst {
        Some((state, reason)) if state > HealthState::Ok => Verdict::new(state, reason),
        _ => Verdict::ok(format!(
            "healthy: {} and {}",
            count(streams.len(), "stream"),
            count(clusters.len(), "cluster")
        )),
    }
}

impl ClusterReport {
    /// Applies the verdicts of the partitions, once all of them are judged.
    pub(super) fn settle(&mut self) {
        let Some(worst) = worst_of(&self.partitions) else {
            return;
        };
        let are_failing = self.partitions.iter().all(|it| it.state == HealthState::Failing);
        let state = match are_failing {
            true => HealthState::Failing,
            false => worst.state.min(HealthState::Degraded),
        };
        if state > self.state {
            self.state = state;
            self.reason = worst.sentence();
        }
    }
}

impl PartitionReport {
    /// Returns the report with the verdict of a topic that the cluster does not describe, in place of the partition's own.
    pub(super) fn refused(mut self, verdict: &Verdict, error: &str) -> Self {
        self.state = verdict.state;
        self.reason.clone_from(&verdict.reason);
        self.error = Some(error.to_owned());
        self
    }

    pub(super) fn sentence(&self) -> String {
        format!("{}-{}: {}", self.topic, self.partition, self.reason)
    }
}

/// Returns the first partition with the worst state.
pub(super) fn worst_of<'a>(
    partitions: impl IntoIterator<Item = &'a PartitionReport>,
) -> Option<&'a PartitionReport> {
    let worse = |worst: &'a PartitionReport, next: &'a PartitionReport| {
        if next.state > worst.state { next } else { worst }
    };
    partitions.into_iter().reduce(worse)
}

/// Returns the seconds since `at`, rounded down to a millisecond.
pub(super) fn age(at: Option<Instant>, now: Instant) -> Option<f64> {
    let age = now.saturating_duration_since(at?);
    Some(age.as_millis() as f64 / 1000.0)
}
