//! What `/healthz` shows.

use std::time::Instant;

use serde::Serialize;

use super::state::{HealthState, Verdict, count};

/// How everything is.
#[derive(Clone, Debug, Serialize)]
pub struct HealthReport {
    /// The worst of what is served.
    pub state: HealthState,
    /// Why.
    pub reason: String,
    /// Each stream, in the order of the configuration.
    pub streams: Vec<StreamReport>,
    /// Each cluster that is read, by name.
    pub clusters: Vec<ClusterReport>,
}

/// How a stream is.
#[derive(Clone, Debug, Serialize)]
pub struct StreamReport {
    /// Its name.
    pub name: String,
    /// How it is.
    pub state: HealthState,
    /// Why.
    pub reason: String,
    /// How soon an event must come, if anybody said, in seconds.
    pub expect_event_within_seconds: Option<f64>,
    /// How long ago the last event of any of its partitions came in.
    pub last_event_age_seconds: Option<f64>,
}

/// How a cluster is.
#[derive(Clone, Debug, Serialize)]
pub struct ClusterReport {
    /// Its configured name.
    pub name: String,
    /// How it is.
    pub state: HealthState,
    /// Why.
    pub reason: String,
    /// Whether streams are read from it now.
    pub active: bool,
    /// Its id, once a broker has told it.
    pub cluster_id: Option<String>,
    /// The addresses to ask first.
    pub bootstrap: Vec<String>,
    /// How many of those take connections; `None` until all were tried.
    pub bootstrap_reachable: Option<usize>,
    /// How long ago a broker last told the topology.
    pub metadata_age_seconds: Option<f64>,
    /// How many brokers have answered lately.
    pub brokers_reachable: usize,
    /// Each broker, by id.
    pub brokers: Vec<BrokerReport>,
    /// Each partition that is read, by topic and number.
    pub partitions: Vec<PartitionReport>,
    /// For how long a transaction may be open before a partition is degraded for it.
    pub transaction_patience_seconds: Option<f64>,
    /// Each topic that is read, by name.
    pub topics: Vec<TopicReport>,
    /// Topics of the catalog that the cluster does not have.
    pub missing_topics: Vec<String>,
}

/// How a broker is.
#[derive(Clone, Debug, Serialize)]
pub struct BrokerReport {
    /// Its id.
    pub id: i32,
    /// Its `host:port`; `None` when it only is named as a replica's place.
    pub address: Option<String>,
    /// How it is.
    pub state: HealthState,
    /// Why.
    pub reason: String,
    /// librdkafka's word for the state of our connection.
    pub connection: Option<String>,
    /// Connections made so far.
    pub connects: u64,
    /// Connections lost so far.
    pub disconnects: u64,
    /// How long its answers take, the 99th percentile.
    pub rtt_seconds: Option<f64>,
    /// How long ago it last answered.
    pub answered_age_seconds: Option<f64>,
    /// Whether it has answered lately.
    pub reachable: bool,
}

/// What the cluster tells of a topic.
#[derive(Clone, Debug, Serialize)]
pub struct TopicReport {
    /// Its name.
    pub topic: String,
    /// How it is, whatever its partitions are.
    pub state: HealthState,
    /// Why.
    pub reason: String,
    /// The name of the error that the cluster answers with, once that has persisted.
    pub error: Option<String>,
}

/// How a partition is.
#[derive(Clone, Debug, Serialize)]
pub struct PartitionReport {
    /// Its topic.
    pub topic: String,
    /// Its number.
    pub partition: i32,
    /// How it is.
    pub state: HealthState,
    /// Why.
    pub reason: String,
    /// The name of the error that keeps it from being read, such as `TOPIC_AUTHORIZATION_FAILED`, once that has persisted.
    pub error: Option<String>,
    /// The broker that leads it, as the topology says; `None` while nobody does.
    pub leader: Option<i32>,
    /// The broker it is fetched from, which may not have heard yet that it leads no more.
    pub fetched_from: Option<i32>,
    /// How long ago an event last came in; `None` until one has.
    pub last_event_age_seconds: Option<f64>,
    /// The last event's timestamp, in ms since 1970.
    pub last_event_timestamp: Option<i64>,
    /// How long ago the broker it is fetched from last answered.
    pub last_fetch_age_seconds: Option<f64>,
    /// The offset that is read next.
    pub next_offset: Option<i64>,
    /// The end of the log, as the broker it is fetched from says.
    pub high_watermark: Option<i64>,
    /// How many offsets lie between the two.
    pub lag: Option<i64>,
    /// The last stable offset, behind which a transaction is open; what lies there is not delivered yet.
    pub last_stable_offset: Option<i64>,
    /// How long it has stood still below the high watermark; 0 when it does not.
    pub last_stable_offset_age_seconds: f64,
    /// The start of the log.
    pub log_start_offset: Option<i64>,
    /// What its events cost in memory; set by who has them.
    pub memory_bytes: Option<usize>,
    /// Whether our end of the log stands still while it moves elsewhere.
    pub stalled: bool,
    /// For how long.
    pub stalled_for_seconds: Option<f64>,
}

impl HealthReport {
    pub(super) fn new(clusters: Vec<ClusterReport>, streams: Vec<StreamReport>) -> Self {
        let Verdict { state, reason } = overall(&clusters, &streams);
        Self {
            state,
            reason,
            streams,
            clusters,
        }
    }
}

/// A cluster that fails is as bad as the streams that are read from it: another may stand in for it.
fn overall(clusters: &[ClusterReport], streams: &[StreamReport]) -> Verdict {
    let streams_said = streams
        .iter()
        .map(|it| (it.state, format!("stream {}: {}", it.name, it.reason)));
    let clusters_said = clusters.iter().map(|it| {
        let state = it.state.min(HealthState::Degraded);
        (state, format!("cluster {}: {}", it.name, it.reason))
    });
    let worst = streams_said
        .chain(clusters_said)
        .reduce(|worst, next| if next.0 > worst.0 { next } else { worst });
    match worst {
        Some((state, reason)) if state > HealthState::Ok => Verdict::new(state, reason),
        _ => Verdict::ok(format!(
            "{} and {} do what they are for",
            count(streams.len(), "stream"),
            count(clusters.len(), "cluster")
        )),
    }
}

impl ClusterReport {
    /// Lets what its partitions are count, once they all are judged.
    pub(super) fn settle(&mut self) {
        let all = self.partitions.len();
        let failing = self
            .partitions
            .iter()
            .filter(|it| it.state == HealthState::Failing);
        let Some(worst) = worst_of(&self.partitions) else {
            return;
        };
        let state = if failing.count() == all {
            HealthState::Failing
        } else {
            worst.state.min(HealthState::Degraded)
        };
        if state > self.state {
            self.state = state;
            self.reason = worst.sentence();
        }
    }
}

impl PartitionReport {
    /// Returns that of a partition whose topic the cluster does not tell of, whatever else it says.
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

/// The first of the worst.
pub(super) fn worst_of<'a>(
    partitions: impl IntoIterator<Item = &'a PartitionReport>,
) -> Option<&'a PartitionReport> {
    let worse = |worst: &'a PartitionReport, next: &'a PartitionReport| {
        if next.state > worst.state { next } else { worst }
    };
    partitions.into_iter().reduce(worse)
}

/// In seconds, to the millisecond.
pub(super) fn age(at: Option<Instant>, now: Instant) -> Option<f64> {
    let age = now.saturating_duration_since(at?);
    Some(age.as_millis() as f64 / 1000.0)
}
