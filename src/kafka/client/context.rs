//! The callbacks of a librdkafka client: logs, errors and statistics.

use std::time::Instant;

use super::{
    config::ClientKind,
    statistics::{ResponseCounts, Statistics},
};
use crate::kafka::{
    faults,
    metrics::{ClientLabels, ErrorLabels},
    shared::ClusterShared,
};
use parking_lot::Mutex;
use rdkafka::{
    ClientContext, config::RDKafkaLogLevel, consumer::ConsumerContext, error::KafkaError,
    types::RDKafkaErrorCode,
};

/// Receives one client's logs, errors and statistics, and reports them to the log, the metrics and health.
pub(in crate::kafka) struct Context {
    shared: ClusterShared,
    kind: ClientKind,
    last: Mutex<LastStatistics>,
    answers: Mutex<ResponseCounts>,
}

/// The values in the last statistics. Several clients share the counters and gauges, so only changes are added.
#[derive(Default)]
struct LastStatistics {
    received: u64,
    connections: i64,
}

impl Context {
    pub(in crate::kafka) fn new(shared: &ClusterShared, kind: ClientKind) -> Self {
        Self {
            shared: shared.clone(),
            kind,
            last: Mutex::default(),
            answers: Mutex::default(),
        }
    }

    /// Counts an error by its name.
    pub(in crate::kafka) fn count_error(&self, code: RDKafkaErrorCode) {
        let labels = ErrorLabels {
            cluster: self.shared.cluster.to_string(),
            client: self.kind.name().to_owned(),
            kind: format!("{code:?}"),
        };
        self.shared.counters.errors.get_or_create(&labels).inc();
    }

    /// Adds what has changed since the last statistics to the metrics.
    fn add_changes(&self, now: &LastStatistics) {
        let mut last = self.last.lock();
        let (counters, labels) = (&self.shared.counters, self.labels());
        let received = now.received.saturating_sub(last.received);
        let opened = now.connections - last.connections;
        counters.received_bytes.get_or_create(&labels).inc_by(received);
        counters.connections.get_or_create(&labels).inc_by(opened);
        last.received += received;
        last.connections = now.connections;
    }

    /// Reports statistics to health. Every client has its own view of brokers and partitions; each fact is taken from the one
    /// client that knows it best.
    fn report(&self, statistics: &Statistics, at: Instant) {
        let health = &self.shared.health;
        for (broker, pause) in statistics.throttled_brokers() {
            health.record_throttle(broker, pause, at);
            if self.kind == ClientKind::Search {
                self.shared.damage.record_throttled();
            }
        }
        match self.kind {
            ClientKind::Tail => {
                for (topic, number, fetching) in statistics.partitions(&mut self.answers.lock()) {
                    if let Some(partition) = health.partition(topic, number) {
                        partition.record_statistics(fetching, at);
                    }
                }
                faults::log_fault_changes(&self.shared.cluster, health, at);
            }
            ClientKind::StallDetector => health.set_brokers(statistics.cluster_brokers(), at),
            ClientKind::History
            | ClientKind::HistoryRun
            | ClientKind::OffsetQueries
            | ClientKind::OneShot
            | ClientKind::Search => {}
        }
    }

    fn labels(&self) -> ClientLabels {
        ClientLabels {
            cluster: self.shared.cluster.to_string(),
            client: self.kind.name().to_owned(),
        }
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        let open = self.last.lock().connections;
        let connections = &self.shared.counters.connections;
        connections.get_or_create(&self.labels()).dec_by(open);
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        use RDKafkaLogLevel as Level;
        let (cluster, client) = (&*self.shared.cluster, self.kind.name());
        // An unreachable broker is ordinary to a client that knows the others.
        let level = if facility == "FAIL" { Level::Warning } else { level };
        match level {
            Level::Emerg | Level::Alert | Level::Critical | Level::Error => {
                tracing::error!(target: "librdkafka", cluster, client, facility, "{message}");
            }
            Level::Warning => {
                tracing::warn!(target: "librdkafka", cluster, client, facility, "{message}");
            }
            Level::Notice | Level::Info => {
                tracing::info!(target: "librdkafka", cluster, client, facility, "{message}");
            }
            Level::Debug => {
                tracing::debug!(target: "librdkafka", cluster, client, facility, "{message}");
            }
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
        self.count_error(code);
        self.shared.health.error(reason);
        tracing::debug!(target: "librdkafka", cluster = &*self.shared.cluster, client = self.kind.name(), "{code:?}: {reason}");
    }

    fn stats_raw(&self, statistics: &[u8]) {
        // librdkafka is reported to send malformed statistics at times. The last good ones then remain.
        let Ok(statistics) = serde_json::from_slice::<Statistics>(statistics) else {
            return;
        };
        self.report(&statistics, Instant::now());
        self.add_changes(&LastStatistics {
            received: statistics.rx_bytes,
            connections: statistics.connections() as i64,
        });
    }
}

impl ConsumerContext for Context {}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        health::Health,
        kafka::{settings::ClusterSettings, shared::ClusterOptions},
        partition::LogDirectory,
    };

    /// Returns a topic of one partition that is read since `start`, and the tail's statistics of it.
    fn read_partition(start: Instant) -> (Health, Context) {
        let health = Health::new();
        let options = ClusterOptions {
            health: health.clone(),
            ..ClusterOptions::default()
        };
        let settings = ClusterSettings::new("main", Vec::new());
        let shared = ClusterShared::new(&settings, LogDirectory::new(), &options);
        shared.health.set_leaders(&"t".into(), &[Some(1)], start);
        let cell = shared.health.partition("t", 0).expect("a cell");
        cell.start_reading(start);
        (health, Context::new(&shared, ClientKind::Tail))
    }

    /// Lets the broker answer everybody each 2 s, and the tail as `answers` says, with this high watermark. Returns what health
    /// says of the partition after 12 s.
    fn said_after(answers: bool, high: i64) -> String {
        let start = Instant::now();
        let (health, context) = read_partition(start);
        for second in [0, 2, 4, 6, 8, 10, 12] {
            let at = start + Duration::from_secs(second);
            let rx = if answers { second + 1 } else { 1 };
            let text = format!(
                r#"{{"rx_bytes":1,"brokers":{{"b1:9092/1":{{"nodeid":1,"nodename":"b1:9092","state":"UP","rx":{rx}}}}},
                  "topics":{{"t":{{"partitions":{{"0":{{"broker":1,"fetch_state":"active","next_offset":7,"lo_offset":{high},"hi_offset":{high},"ls_offset":{high}}}}}}}}}}}"#
            );
            let statistics: Statistics = serde_json::from_str(&text).expect("statistics");
            let cluster = &context.shared.health;
            cluster.set_brokers(statistics.cluster_brokers(), at);
            cluster.record_answer(1, at);
            context.report(&statistics, at);
        }
        let report = health.report(start + Duration::from_secs(12));
        report.clusters[0].partitions[0].reason.clone()
    }

    /// With the error of a refused fetch, brokers send the high watermark -1.
    #[test]
    fn a_broker_that_refuses_each_fetch_without_an_error_for_us_is_told_and_so_is_one_that_answers_none() {
        assert_eq!(
            said_after(true, -1),
            "broker 1 (b1:9092) answers, and has refused each fetch for 12 s"
        );
        assert_eq!(
            said_after(false, 7),
            "nothing was fetched for 12 s, although broker 1 (b1:9092) answers other requests"
        );
        assert_eq!(said_after(true, 7), "read; no event has come yet");
    }

    #[test]
    fn statistics_add_up_and_rubbish_changes_nothing() {
        let shared = ClusterShared::for_test();
        let (context, counters) = (Context::new(&shared, ClientKind::Tail), shared.counters);
        let labels = context.labels();
        context.stats_raw(br#"{"rx_bytes":10,"brokers":{"a":{"state":"UP"},"b":{"state":"INIT"}}}"#);
        context.stats_raw(br#"{"rx_bytes":30,"brok"#);
        context.stats_raw(br#"{"rx_bytes":25,"brokers":{"a":{"state":"UP"},"b":{"state":"UP"}}}"#);
        assert_eq!(counters.received_bytes.get_or_create(&labels).get(), 25);
        assert_eq!(counters.connections.get_or_create(&labels).get(), 2);
        drop(context);
        assert_eq!(counters.connections.get_or_create(&labels).get(), 0);
    }
}
