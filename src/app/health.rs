//! Health as metrics, read from the health cells at each scrape.
//!
//! Label values are names of the configuration, numbers of partitions and ids of brokers, so they are bounded. An entry that is
//! gone from the cells is gone from the text.

use std::{fmt, time::Instant};

use prometheus_client::metrics::gauge::ConstGauge;

use crate::{
    drain::DrainWatch,
    health::{BrokerReport, ClusterReport, Health, HealthReport, HealthState, PartitionReport, StreamReport},
    limits::settings::LimitSettings,
    metrics::{Registry, Scrape, register_scrape},
};

/// Registers the metrics of health, and the limits that alerts compare with.
pub(super) fn register(registry: &mut Registry, health: &Health, drain: &DrainWatch, limits: &LimitSettings) {
    registry.register(
        "streams_limit",
        "Limit of open streams of this process",
        ConstGauge::new(i64::from(limits.streams_total.get())),
    );
    let (health, drain) = (health.clone(), drain.clone());
    register_scrape(registry, move |scrape| {
        let draining = flag(drain.is_draining());
        scrape.gauge("draining", "Whether this process is draining", draining)?;
        write(scrape, &health.report(Instant::now()))
    });
}

fn write(scrape: &mut Scrape<'_>, report: &HealthReport) -> fmt::Result {
    write_whole(scrape, report)?;
    let streams = report.streams.iter();
    write_gauges(
        scrape,
        OF_STREAMS,
        streams.map(|it| (vec![("stream", it.name.clone())], it)),
    )?;
    let clusters = || report.clusters.iter();
    write_gauges(scrape, OF_CLUSTERS, clusters().map(|it| (cluster_label(it), it)))?;
    let topics = clusters().flat_map(|cluster| cluster.topics.iter().map(move |it| (cluster, it)));
    let faults = topics.map(|(cluster, it)| (topic_labels(cluster, &it.topic), it.error.as_ref()));
    write_faults(scrape, "kafka_topic_fault", TOPIC_FAULT_HELP, faults)?;
    let brokers = clusters().flat_map(|cluster| {
        let brokers = cluster.brokers.iter();
        brokers.map(move |it| {
            (
                [cluster_label(cluster), vec![("broker", it.id.to_string())]].concat(),
                it,
            )
        })
    });
    write_gauges(scrape, OF_BROKERS, brokers)?;
    let partitions = || {
        clusters().flat_map(|cluster| {
            let partitions = cluster.partitions.iter();
            partitions.map(move |it| (partition_labels(cluster, it), it))
        })
    };
    write_gauges(scrape, OF_PARTITIONS, partitions())?;
    let faults = partitions().map(|(labels, it)| (labels, it.error.as_ref()));
    write_faults(scrape, "kafka_partition_fault", FAULT_HELP, faults)
}

type LabelSet = Vec<(&'static str, String)>;

/// Writes the gauges of the whole report. They have no labels, not even an empty set, which would be written as empty braces.
fn write_whole(scrape: &mut Scrape<'_>, report: &HealthReport) -> fmt::Result {
    for gauge in OF_REPLICA {
        if let Some(value) = (gauge.value)(report) {
            scrape.gauge(gauge.name, gauge.help, value)?;
        }
    }
    Ok(())
}

/// Writes each gauge of a table, for each report that has its value.
fn write_gauges<'r, R: 'r>(
    scrape: &mut Scrape<'_>,
    gauges: &[ReportGauge<R>],
    reports: impl Iterator<Item = (LabelSet, &'r R)>,
) -> fmt::Result {
    let reports: Vec<_> = reports.collect();
    gauges.iter().try_for_each(|gauge| {
        let series = reports.iter();
        let series = series.filter_map(|(labels, report)| Some((&**labels, (gauge.value)(report)?)));
        scrape.gauges(gauge.name, gauge.help, series)
    })
}

/// Writes whether there is a fault. Without one there is no label `error`, but a series of its own, so that there is one to alert
/// on.
fn write_faults<'r>(
    scrape: &mut Scrape<'_>,
    name: &str,
    help: &str,
    faults: impl Iterator<Item = (LabelSet, Option<&'r String>)>,
) -> fmt::Result {
    let series = faults.map(|(mut labels, error)| {
        labels.extend(error.map(|error| ("error", error.clone())));
        (labels, flag(error.is_some()))
    });
    scrape.gauges(name, help, series)
}

fn cluster_label(cluster: &ClusterReport) -> LabelSet {
    vec![("cluster", cluster.name.clone())]
}

fn topic_labels(cluster: &ClusterReport, topic: &str) -> LabelSet {
    vec![("cluster", cluster.name.clone()), ("topic", topic.to_owned())]
}

fn partition_labels(cluster: &ClusterReport, partition: &PartitionReport) -> LabelSet {
    let mut labels = topic_labels(cluster, &partition.topic);
    labels.push(("partition", partition.partition.to_string()));
    labels
}

fn number(state: HealthState) -> f64 {
    match state {
        HealthState::Ok => 0.0,
        HealthState::Degraded => 1.0,
        HealthState::Failing => 2.0,
    }
}

fn flag(flag: bool) -> f64 {
    f64::from(u8::from(flag))
}

/// A gauge of a kind of report. A report without the value has no series.
struct ReportGauge<R> {
    name: &'static str,
    help: &'static str,
    value: fn(&R) -> Option<f64>,
}

/// Declares the gauges of a kind of report. What follows a name is the value, read from the report, and the help text.
macro_rules! report_gauges {
    ($table:ident of $report:ty { $($name:literal = $value:expr, $help:literal;)* }) => {
        const $table: &[ReportGauge<$report>] =
            &[$(ReportGauge { name: $name, help: $help, value: $value }),*];
    };
}

report_gauges!(OF_REPLICA of HealthReport {
    "health_state" = |it| Some(number(it.state)), "Health of this replica: 0 ok, 1 degraded, 2 failing";
    "stream_config_read_age_seconds" = |it| it.stream_config.as_ref()?.read_age_seconds,
        "Time since the streams of [stream_config] were read last";
});

report_gauges!(OF_STREAMS of StreamReport {
    "stream_health_state" = |it| Some(number(it.state)), "Health of a stream: 0 ok, 1 degraded, 2 failing";
    "stream_last_event_age_seconds" = |it| it.last_event_age_seconds,
        "Time since the last event of a stream arrived";
    "stream_expect_event_within_seconds" = |it| it.expect_event_within_seconds,
        "Time within which an event of a stream is expected, if `expect_event_within` is set";
});

report_gauges!(OF_CLUSTERS of ClusterReport {
    "kafka_cluster_health_state" = |it| Some(number(it.state)),
        "Health of a cluster: 0 ok, 1 degraded, 2 failing";
    "kafka_cluster_active" = |it| Some(flag(it.active)), "Whether streams are read from a cluster";
    "kafka_metadata_age_seconds" = |it| it.metadata_age_seconds,
        "Time since a broker last sent the metadata of the cluster";
    "kafka_brokers" = |it| Some(it.brokers.len() as f64),
        "Brokers that are in the cluster, or hold replicas of topics that are read";
    "kafka_brokers_reachable" = |it| Some(it.brokers_reachable as f64),
        "Brokers that have answered recently";
    "kafka_bootstrap_addresses" = |it| Some(it.bootstrap.len() as f64), "Addresses in the bootstrap list";
    "kafka_bootstrap_reachable" = |it| Some(it.bootstrap_reachable? as f64),
        "Addresses in the bootstrap list that accept connections";
    "kafka_transaction_patience_seconds" = |it| it.transaction_patience_seconds,
        "Time for which a transaction may be open before its partition is degraded";
});

const TOPIC_FAULT_HELP: &str =
    "Whether the cluster has reported an error for a topic for at least 10 s; `error` names it";

report_gauges!(OF_BROKERS of BrokerReport {
    "kafka_broker_reachable" = |it| Some(flag(it.reachable)), "Whether a broker has answered recently";
    "kafka_broker_connects" = |it| Some(it.connects as f64),
        "Connections made to a broker by the Kafka client that checks its health";
    "kafka_broker_disconnects" = |it| Some(it.disconnects as f64),
        "Connections to a broker lost by the Kafka client that checks its health";
    "kafka_broker_rtt_seconds" = |it| it.rtt_seconds,
        "Response time of a broker, the 99th percentile of about the last second";
});

report_gauges!(OF_PARTITIONS of PartitionReport {
    "kafka_partition_health_state" = |it| Some(number(it.state)),
        "Health of a partition: 0 ok, 1 degraded, 2 failing";
    "kafka_partition_stalled" = |it| Some(flag(it.stalled)),
        "Whether a partition is stalled: its end moves at another broker's leader, but not here";
    "kafka_partition_lag" = |it| it.lag.map(|lag| lag as f64),
        "Offsets between the next one to be read and the end of the log";
    "kafka_partition_last_stable_offset" = |it| it.last_stable_offset.map(|offset| offset as f64),
        "The last stable offset: from there on, an open transaction keeps records from being read";
    "kafka_partition_last_stable_offset_age_seconds" = |it| Some(it.last_stable_offset_age_seconds),
        "Time for which the last stable offset has not moved while below the high watermark";
    "kafka_partition_high_watermark" = |it| it.high_watermark.map(|offset| offset as f64),
        "The end of the log, as reported by the broker that is read";
    "kafka_partition_last_event_age_seconds" = |it| it.last_event_age_seconds,
        "Time since the last event arrived";
    "kafka_partition_last_event_timestamp_seconds" =
        |it| it.last_event_timestamp.map(|milliseconds| milliseconds as f64 / 1000.0),
        "The timestamp of the last event";
    "kafka_partition_last_fetch_age_seconds" = |it| it.last_fetch_age_seconds,
        "Time since the broker that is read last answered";
});

const FAULT_HELP: &str =
    "Whether an error has kept a partition from being read for at least 10 s; `error` names it";
