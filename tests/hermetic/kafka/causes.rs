//! Causes of docs/health.md, as mock brokers provoke them: what health says about each, and that it ends.

use std::time::{Duration, Instant};

use riverhead::{
    health::{ClusterReport, ExpectedStream, HealthState, PartitionReport, StreamReport},
    kafka::settings::BrokerAddr,
};

use super::{DEAD, KafkaFixture, until};
use crate::support::brokers::Brokers;

impl KafkaFixture {
    fn cluster_report(&self) -> ClusterReport {
        self.health.report(Instant::now()).clusters.remove(0)
    }

    fn partition_report(&self, number: usize) -> Option<PartitionReport> {
        self.cluster_report().partitions.get(number).cloned()
    }

    fn stream_report(&self) -> StreamReport {
        self.health.report(Instant::now()).streams.remove(0)
    }
}

/// Starts a topic of one partition, which is read.
fn fixture() -> KafkaFixture {
    let fixture = KafkaFixture::new(Brokers::start(&[("a", 1)]), &["a"]);
    let log = fixture.log("a", 0);
    fixture.brokers.write("a", 0, 0..5);
    until(|| log.end().offset == 5);
    fixture
}

#[test]
fn brokers_that_are_all_gone_are_a_cluster_without_metadata() {
    let fixture = fixture();
    until(|| fixture.cluster_report().state == HealthState::Ok);
    let address = fixture.brokers.addresses()[0].clone();
    fixture.brokers.stop();
    until(|| {
        let cluster = fixture.cluster_report();
        let said = cluster.reason.starts_with("no broker has returned metadata for ");
        said && cluster.reason.contains(&format!("{address}: "))
    });
    assert_eq!(fixture.cluster_report().state, HealthState::Failing);
    fixture.brokers.resume();
    until(|| fixture.cluster_report().state == HealthState::Ok);
}

#[test]
fn a_bootstrap_list_of_which_one_address_is_left_is_told_while_all_is_read() {
    let brokers = Brokers::start(&[("a", 1)]);
    let list: Vec<BrokerAddr> = [DEAD, &brokers.addresses()[0]]
        .map(|address| address.parse().expect("an address"))
        .into();
    let fixture = KafkaFixture::with(brokers, &["a"], |settings| settings.bootstrap = list);
    let told = "1 of 2 addresses in the bootstrap list accept connections; a restart may find no broker: 127.0.0.1:1: ";
    until(|| fixture.cluster_report().reason.starts_with(told));
    assert_eq!(fixture.cluster_report().state, HealthState::Degraded);
    fixture.log("a", 0);
}

#[test]
fn a_leader_that_is_mute_from_the_start_on_is_named_and_so_is_what_it_does_not_report() {
    let brokers = Brokers::start(&[("a", 2)]);
    brokers.lead("a", 0, 1);
    brokers.lead("a", 1, 2);
    brokers.mute(1);
    let fixture = KafkaFixture::new(brokers, &["a"]);
    fixture.log("a", 1);
    let told = |partition: &PartitionReport| {
        let reason = &partition.reason;
        reason.contains("its leader, broker 1")
            && reason.contains("has not reported the start and end of the log, for")
    };
    until(|| fixture.partition_report(0).is_some_and(|it| told(&it)));
    let partition = fixture.partition_report(0).expect("a report");
    assert_eq!(partition.state, HealthState::Failing, "{partition:?}");
    fixture.brokers.unmute(1);
    until(|| {
        fixture
            .partition_report(0)
            .is_some_and(|it| it.state == HealthState::Ok)
    });
}

#[test]
fn a_stream_whose_producers_are_silent_fails_if_it_expects_events_and_until_one_comes() {
    let fixture = fixture();
    fixture.health.set_streams(vec![ExpectedStream {
        name: "stream".into(),
        topics: vec!["a".into()],
        expect_event_within: Some(Duration::from_secs(3)),
    }]);
    until(|| fixture.stream_report().state == HealthState::Failing);
    let stream = fixture.stream_report();
    let reason = &stream.reason;
    assert!(
        reason.starts_with("no event for ") && reason.ends_with("; one is expected within 3.0 s"),
        "{reason}"
    );
    fixture.brokers.write("a", 0, 5..6);
    until(|| fixture.stream_report().state == HealthState::Ok);
}
