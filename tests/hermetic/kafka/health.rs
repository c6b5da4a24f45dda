//! The health of a cluster while it is read.

use std::time::Instant;

use riverhead::health::{BrokerReport, HealthReport, HealthState};

use super::{KafkaFixture, ring, until};
use crate::support::brokers::Brokers;

impl KafkaFixture {
    fn report(&self) -> HealthReport {
        self.health.report(Instant::now())
    }

    fn cluster_state(&self) -> HealthState {
        self.report().clusters[0].state
    }
}

/// Starts a topic of three partitions with different leaders, which is read and healthy.
fn fixture() -> KafkaFixture {
    let brokers = Brokers::start(&[("a", 3)]);
    for partition in 0..3 {
        brokers.lead("a", partition, partition);
    }
    let fixture = KafkaFixture::new(brokers, &["a"]);
    for partition in 0..3 {
        let log = fixture.log("a", partition);
        fixture.brokers.write("a", partition, 0..5);
        until(|| log.end().offset == 5);
    }
    until(|| fixture.cluster_state() == HealthState::Ok);
    fixture
}

#[test]
fn a_cluster_that_is_read_tells_of_every_broker_and_partition() {
    let fixture = fixture();
    until(|| {
        let cluster = fixture.report().clusters.remove(0);
        let mut partitions = cluster.partitions.iter();
        cluster.brokers_reachable == 3
            && partitions.all(|it| it.high_watermark == Some(5) && it.lag == Some(0))
    });
    let cluster = fixture.report().clusters.remove(0);
    assert_eq!(cluster.brokers.len(), 3, "{cluster:?}");
    assert!(cluster.cluster_id.is_some() && cluster.metadata_age_seconds.is_some_and(|age| age < 10.0));
    // The unreachable address is the first in the list.
    until(|| fixture.report().clusters[0].bootstrap_reachable == Some(3));
    for (number, partition) in cluster.partitions.iter().enumerate() {
        assert_eq!(partition.leader, Some(number as i32));
        assert_eq!(partition.fetched_from, Some(number as i32));
        assert_eq!(partition.log_start_offset, Some(0));
        assert!(partition.last_event_age_seconds.is_some() && !partition.stalled);
    }
}

#[test]
fn a_mute_broker_is_named_and_so_is_the_partition_that_it_leads() {
    let fixture = fixture();
    fixture.brokers.mute(1);
    until(|| {
        let cluster = fixture.report().clusters.remove(0);
        let failing = |it: &BrokerReport| it.state == HealthState::Failing;
        cluster.brokers.iter().any(failing) && cluster.partitions[1].state == HealthState::Failing
    });
    let cluster = fixture.report().clusters.remove(0);
    assert_eq!(cluster.brokers[1].state, HealthState::Failing, "{cluster:?}");
    assert_eq!(cluster.brokers_reachable, 2, "{cluster:?}");
    assert!(cluster.partitions[1].reason.contains("broker 1"), "{cluster:?}");
    assert_eq!(cluster.partitions[0].state, HealthState::Ok, "{cluster:?}");
    assert_eq!(cluster.state, HealthState::Degraded, "{cluster:?}");
    fixture.brokers.unmute(1);
    until(|| fixture.cluster_state() == HealthState::Ok);
}

#[test]
fn a_log_that_is_not_read_though_it_grows_is_failing() {
    let fixture = fixture();
    fixture.brokers.break_fetches();
    fixture.brokers.write("a", 2, 5..25);
    until(|| fixture.report().clusters[0].partitions[2].state == HealthState::Failing);
    let partition = fixture.report().clusters[0].partitions.remove(2);
    assert_eq!((partition.high_watermark, partition.lag), (Some(25), Some(20)));
    assert!(partition.reason.contains("20 records wait"), "{partition:?}");
    // By then a search for damage has run.
    let long = "20 records wait, and none was read for 20 s";
    until(|| fixture.report().clusters[0].partitions[2].reason == long);
    let log = fixture.log("a", 2);
    assert_eq!(log.end().offset, 5, "nothing is skipped that can be read later");
    fixture.brokers.mend_fetches();
    until(|| log.end().offset == 25);
    assert_eq!(ring(&log, 5).len(), 20);
    until(|| fixture.report().clusters[0].partitions[2].state == HealthState::Ok);
}
