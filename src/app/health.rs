//! Health as metrics, collected from the health cells at each scrape.
//!
//! Label values are names of the configuration, numbers of partitions and ids of brokers, so they are bounded. An entry that is
//! gone from the cells is gone from the text.

use std::{fmt, time::Instant};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, gauge::ConstGauge},
};

use crate::{
    drain::DrainWatch,
    health::{ClusterReport, Health, HealthReport, HealthState, PartitionReport},
    limits::settings::LimitSettings,
    metrics::Registry,
};

/// Registers the metrics of health, and the limits that alerts compare with.
pub(super) fn register(registry: &mut Registry, health: &Health, drain: &DrainWatch, limits: &LimitSettings) {
    registry.register(
        "streams_limit",
        "Limit of open streams of this process",
        ConstGauge::new(i64::from(limits.streams_total.get())),
    );
    registry.register_collector(Box::new(HealthCollector {
        health: health.clone(),
        drain: drain.clone(),
    }));
}

struct HealthCollector {
    health: Health,
    drain: DrainWatch,
}

impl fmt::Debug for HealthCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HealthCollector").finish_non_exhaustive()
    }
}

impl Collector for HealthCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let report = self.health.report(Instant::now());
        let mut family = |name, help, samples| encode(&mut encoder, name, help, samples);
        let draining = f64::from(u8::from(self.drain.is_draining()));
        family(
            "draining",
            "Whether this process is draining",
            vec![(Vec::new(), draining)],
        )?;
        let families = [
            whole(&report),
            clusters(&report),
            brokers(&report),
            partition_states(&report),
            partition_offsets(&report),
            partition_ages(&report),
        ];
        for (name, help, samples) in families.into_iter().flatten() {
            family(name, help, samples)?;
        }
        Ok(())
    }
}

type LabelSet = Vec<(&'static str, String)>;
type MetricFamily = (&'static str, &'static str, Vec<(LabelSet, f64)>);

fn encode(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    samples: Vec<(LabelSet, f64)>,
) -> fmt::Result {
    if samples.is_empty() {
        return Ok(());
    }
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (labels, value) in samples {
        let gauge = ConstGauge::new(value);
        // An empty set of labels would be written as empty braces, which no query expects.
        if labels.is_empty() {
            return gauge.encode(family);
        }
        gauge.encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}

fn whole(report: &HealthReport) -> Vec<MetricFamily> {
    let streams = |value: &dyn Fn(&crate::health::StreamReport) -> Option<f64>| {
        let samples = report.streams.iter();
        samples
            .filter_map(|it| Some((vec![("stream", it.name.clone())], value(it)?)))
            .collect()
    };
    vec![
        (
            "health_state",
            "Health of this replica: 0 ok, 1 degraded, 2 failing",
            vec![(Vec::new(), number(report.state))],
        ),
        (
            "stream_health_state",
            "Health of a stream: 0 ok, 1 degraded, 2 failing",
            streams(&|it| Some(number(it.state))),
        ),
        (
            "stream_last_event_age_seconds",
            "Time since the last event of a stream arrived",
            streams(&|it| it.last_event_age_seconds),
        ),
        (
            "stream_expect_event_within_seconds",
            "Time within which an event of a stream is expected, if `expect_event_within` is set",
            streams(&|it| it.expect_event_within_seconds),
        ),
    ]
}

fn clusters(report: &HealthReport) -> Vec<MetricFamily> {
    let of = |value: &dyn Fn(&ClusterReport) -> Option<f64>| {
        let samples = report.clusters.iter();
        samples
            .filter_map(|it| Some((vec![("cluster", it.name.clone())], value(it)?)))
            .collect()
    };
    vec![
        (
            "kafka_cluster_health_state",
            "Health of a cluster: 0 ok, 1 degraded, 2 failing",
            of(&|it| Some(number(it.state))),
        ),
        (
            "kafka_cluster_active",
            "Whether streams are read from a cluster",
            of(&|it| Some(f64::from(u8::from(it.active)))),
        ),
        (
            "kafka_metadata_age_seconds",
            "Time since a broker last sent the metadata of the cluster",
            of(&|it| it.metadata_age_seconds),
        ),
        (
            "kafka_brokers",
            "Brokers that are in the cluster, or hold replicas of topics that are read",
            of(&|it| Some(it.brokers.len() as f64)),
        ),
        (
            "kafka_brokers_reachable",
            "Brokers that have answered recently",
            of(&|it| Some(it.brokers_reachable as f64)),
        ),
        (
            "kafka_bootstrap_addresses",
            "Addresses in the bootstrap list",
            of(&|it| Some(it.bootstrap.len() as f64)),
        ),
        (
            "kafka_bootstrap_reachable",
            "Addresses in the bootstrap list that accept connections",
            of(&|it| Some(it.bootstrap_reachable? as f64)),
        ),
        (
            "kafka_transaction_patience_seconds",
            "Time for which a transaction may be open before its partition is degraded",
            of(&|it| it.transaction_patience_seconds),
        ),
        ("kafka_topic_fault", TOPIC_FAULT_HELP, topic_faults(report)),
    ]
}

fn brokers(report: &HealthReport) -> Vec<MetricFamily> {
    let of = |value: &dyn Fn(&crate::health::BrokerReport) -> Option<f64>| {
        let all = report
            .clusters
            .iter()
            .flat_map(|cluster| cluster.brokers.iter().map(move |it| (cluster, it)));
        all.filter_map(|(cluster, it)| {
            let labels = vec![("cluster", cluster.name.clone()), ("broker", it.id.to_string())];
            Some((labels, value(it)?))
        })
        .collect()
    };
    vec![
        (
            "kafka_broker_reachable",
            "Whether a broker has answered recently",
            of(&|it| Some(f64::from(u8::from(it.reachable)))),
        ),
        (
            "kafka_broker_connects",
            "Connections made to a broker by the Kafka client that checks its health",
            of(&|it| Some(it.connects as f64)),
        ),
        (
            "kafka_broker_disconnects",
            "Connections to a broker lost by the Kafka client that checks its health",
            of(&|it| Some(it.disconnects as f64)),
        ),
        (
            "kafka_broker_rtt_seconds",
            "Response time of a broker, the 99th percentile of about the last second",
            of(&|it| it.rtt_seconds),
        ),
    ]
}

/// A partition without a fault has no label `error`. It is a series of its own, so that there is one to alert on.
fn faults(report: &HealthReport) -> Vec<(LabelSet, f64)> {
    let of = |cluster: &ClusterReport| {
        let partitions = cluster.partitions.iter();
        let samples = partitions.map(|it| {
            let mut labels = partition_labels(cluster, it);
            labels.extend(it.error.clone().map(|error| ("error", error)));
            let value = f64::from(u8::from(it.error.is_some()));
            (labels, value)
        });
        samples.collect::<Vec<_>>()
    };
    report.clusters.iter().flat_map(of).collect()
}

fn topic_faults(report: &HealthReport) -> Vec<(LabelSet, f64)> {
    let of = |cluster: &ClusterReport| {
        let samples = cluster.topics.iter().map(|it| {
            let mut labels = vec![("cluster", cluster.name.clone()), ("topic", it.topic.clone())];
            labels.extend(it.error.clone().map(|error| ("error", error)));
            (labels, f64::from(u8::from(it.error.is_some())))
        });
        samples.collect::<Vec<_>>()
    };
    report.clusters.iter().flat_map(of).collect()
}

const TOPIC_FAULT_HELP: &str =
    "Whether the cluster has reported an error for a topic for at least 10 s; `error` names it";

const FAULT_HELP: &str =
    "Whether an error has kept a partition from being read for at least 10 s; `error` names it";

fn partition_states(report: &HealthReport) -> Vec<MetricFamily> {
    let of = |value| of_partitions(report, value);
    vec![
        (
            "kafka_partition_health_state",
            "Health of a partition: 0 ok, 1 degraded, 2 failing",
            of(|it| Some(number(it.state))),
        ),
        ("kafka_partition_fault", FAULT_HELP, faults(report)),
        (
            "kafka_partition_stalled",
            "Whether a partition is stalled: its end moves at another broker's leader, but not here",
            of(|it| Some(f64::from(u8::from(it.stalled)))),
        ),
    ]
}

fn partition_offsets(report: &HealthReport) -> Vec<MetricFamily> {
    let of = |value| of_partitions(report, value);
    vec![
        (
            "kafka_partition_lag",
            "Offsets between the next one to be read and the end of the log",
            of(|it| it.lag.map(|lag| lag as f64)),
        ),
        (
            "kafka_partition_last_stable_offset",
            "The last stable offset: from there on, an open transaction keeps records from being read",
            of(|it| it.last_stable_offset.map(|offset| offset as f64)),
        ),
        (
            "kafka_partition_last_stable_offset_age_seconds",
            "Time for which the last stable offset has not moved while below the high watermark",
            of(|it| Some(it.last_stable_offset_age_seconds)),
        ),
        (
            "kafka_partition_high_watermark",
            "The end of the log, as reported by the broker that is read",
            of(|it| it.high_watermark.map(|offset| offset as f64)),
        ),
    ]
}

fn partition_ages(report: &HealthReport) -> Vec<MetricFamily> {
    let of = |value| of_partitions(report, value);
    vec![
        (
            "kafka_partition_last_event_age_seconds",
            "Time since the last event arrived",
            of(|it| it.last_event_age_seconds),
        ),
        (
            "kafka_partition_last_event_timestamp_seconds",
            "The timestamp of the last event",
            of(|it| it.last_event_timestamp.map(|ms| ms as f64 / 1000.0)),
        ),
        (
            "kafka_partition_last_fetch_age_seconds",
            "Time since the broker that is read last answered",
            of(|it| it.last_fetch_age_seconds),
        ),
    ]
}

/// Returns this value of every partition that has it.
fn of_partitions(report: &HealthReport, value: fn(&PartitionReport) -> Option<f64>) -> Vec<(LabelSet, f64)> {
    let all = report
        .clusters
        .iter()
        .flat_map(|cluster| cluster.partitions.iter().map(move |it| (cluster, it)));
    all.filter_map(|(cluster, it)| Some((partition_labels(cluster, it), value(it)?)))
        .collect()
}

fn partition_labels(cluster: &ClusterReport, partition: &PartitionReport) -> LabelSet {
    vec![
        ("cluster", cluster.name.clone()),
        ("topic", partition.topic.clone()),
        ("partition", partition.partition.to_string()),
    ]
}

fn number(state: HealthState) -> f64 {
    match state {
        HealthState::Ok => 0.0,
        HealthState::Degraded => 1.0,
        HealthState::Failing => 2.0,
    }
}
