//! Tests of the verdicts, by what they are about, on one cluster that is written as `kafka` writes it.

mod cluster;
mod partition;
mod quota;
mod stream;
mod topic;
mod transaction;

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use super::*;

/// The cells of a cluster `main` with brokers 1 and 2, and of a stream `edits` of one topic with two partitions.
struct HealthFixture {
    health: Health,
    cluster: Arc<ClusterHealth>,
    start: Instant,
}

impl HealthFixture {
    fn new(within: Option<u64>) -> Self {
        let (health, start) = (Health::new(), Instant::now());
        let seeds = vec!["b1:9092".to_owned(), "b2:9092".to_owned()];
        let cluster = health.cluster(&"main".into(), seeds, start);
        health.set_streams(vec![ExpectedStream {
            name: "edits".into(),
            topics: vec!["edits".into()],
            expect_event_within: within.map(Duration::from_secs),
        }]);
        Self {
            health,
            cluster,
            start,
        }
    }

    /// Returns a fixture whose cluster is known and read at second 0.
    fn read(within: Option<u64>) -> Self {
        let fixture = Self::new(within);
        fixture.alive(0);
        for number in 0..2 {
            fixture.partition(number).start_reading(fixture.at(0));
        }
        fixture.fetches(0, [10, 10]);
        fixture
    }

    fn at(&self, second: u64) -> Instant {
        self.start + Duration::from_secs(second)
    }

    fn partition(&self, number: i32) -> Arc<PartitionHealth> {
        self.cluster.partition("edits", number).expect("a partition")
    }

    /// Lets all brokers answer, with broker 1 as leader of both partitions.
    fn alive(&self, second: u64) {
        self.cluster.record_topology(&"id".into(), self.at(second));
        self.cluster
            .set_leaders(&"edits".into(), &[Some(1), Some(1)], self.at(second));
        self.cluster.set_replicas(BTreeSet::from([1, 2]));
        self.brokers(second, &[(1, "UP"), (2, "UP")]);
        self.cluster.record_answer(1, self.at(second));
        self.cluster.record_answer(2, self.at(second));
    }

    fn brokers(&self, second: u64, brokers: &[(i32, &str)]) {
        let connection = |(id, state): &(i32, &str)| BrokerConnection {
            id: *id,
            address: format!("b{id}:9092").into(),
            state: (*state).to_owned(),
            connects: 1,
            disconnects: 0,
            rtt: Some(Duration::from_millis(1)),
        };
        let connections = brokers.iter().map(connection).collect();
        self.cluster.set_brokers(connections, self.at(second));
    }

    /// Records the statistics of a tail that has read everything up to these watermarks.
    fn fetches(&self, second: u64, highs: [i64; 2]) {
        for (number, high) in highs.into_iter().enumerate() {
            self.fetch(number as i32, second, high, high);
        }
    }

    fn fetch(&self, number: i32, second: u64, next: i64, high: i64) {
        let fetching = FetchStatistics {
            broker: Some(1),
            heard: true,
            next: Some(next),
            high: Some(high),
            stable: Some(high),
            start: Some(0),
        };
        self.partition(number)
            .record_statistics(fetching, self.at(second));
    }

    fn report(&self, second: u64) -> HealthReport {
        let report = self.health.report(self.at(second));
        assert_every_reason_is_a_sentence(&report);
        report
    }
}

fn assert_every_reason_is_a_sentence(report: &HealthReport) {
    let streams = report.streams.iter().map(|it| &it.reason);
    let clusters = report.clusters.iter().flat_map(|cluster| {
        let brokers = cluster.brokers.iter().map(|it| &it.reason);
        let partitions = cluster.partitions.iter().map(|it| &it.reason);
        brokers.chain(partitions).chain([&cluster.reason])
    });
    for reason in streams.chain(clusters).chain([&report.reason]) {
        assert!(
            reason.len() > 8 && !["unknown", "Unknown"].iter().any(|word| reason.contains(word)),
            "{reason:?}"
        );
    }
}

/// Returns the statistics of a partition whose broker refuses fetches: the broker answers, and tells no watermark.
fn refused_fetch() -> FetchStatistics {
    FetchStatistics {
        broker: Some(1),
        heard: true,
        next: Some(10),
        high: None,
        stable: None,
        start: None,
    }
}

fn refuse(fixture: &HealthFixture, fault: TopicFault, second: u64) {
    let name = match fault {
        TopicFault::Missing => "UNKNOWN_TOPIC_OR_PARTITION",
        _ => "TOPIC_AUTHORIZATION_FAILED",
    };
    let (topic, at) = ("edits".into(), fixture.at(second));
    fixture.cluster.refuse_topic(&topic, fault, name, at);
}
