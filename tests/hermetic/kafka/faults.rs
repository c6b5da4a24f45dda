//! Errors that fetches get again and again: told under the error's own name, and nothing is lost by them.

use std::time::{Duration, Instant};

use rdkafka::types::RDKafkaRespErr;
use riverhead::{
    health::{HealthState, PartitionReport},
    position::Offset,
};

use super::{KafkaFixture, client, offsets, replay, ring, until};
use crate::support::brokers::Brokers;

impl KafkaFixture {
    /// What is said of the only partition of the topic `a`.
    fn partition(&self) -> PartitionReport {
        self.health.report(Instant::now()).clusters[0]
            .partitions
            .remove(0)
    }

    fn until_well(&self) {
        until(|| self.partition().state == HealthState::Ok);
    }
}

/// A partition that is read up to its end.
fn well() -> KafkaFixture {
    let fixture = KafkaFixture::new(Brokers::start(&[("a", 1)]), &["a"]);
    let log = fixture.log("a", 0);
    fixture.brokers.write("a", 0, 0..5);
    until(|| log.end().offset == 5);
    fixture.until_well();
    fixture
}

/// Asserts that a fault was told within the 10 s of attempts after which it counts, and 10 s for a machine with other work.
fn told_in_time(name: &str, took: Duration) {
    println!("{name}: told after {took:?}");
    assert!(took <= Duration::from_secs(20), "{name}: told after {took:?}");
}

/// All fetches get `error` while records come, for so long that it persists. Then they are answered again.
fn meets(error: RDKafkaRespErr, name: &str) {
    let fixture = well();
    let log = fixture.log("a", 0);
    fixture.brokers.fail_fetches(error);
    fixture.brokers.write("a", 0, 5..25);
    let begun = Instant::now();
    until(|| fixture.partition().error.is_some());
    told_in_time(name, begun.elapsed());
    let told = fixture.partition();
    assert_eq!(told.state, HealthState::Failing, "{told:?}");
    assert_eq!(told.error.as_deref(), Some(name), "{told:?}");
    assert!(told.reason.contains(name) && !told.stalled, "{told:?}");
    assert_eq!(log.end().offset, 5, "nothing is skipped that can be read later");

    fixture.brokers.mend_fetches();
    until(|| log.end().offset == 25);
    assert!(!log.is_replaced(), "the same log goes on");
    assert_eq!(offsets(&ring(&log, 0)), (0..25).collect::<Vec<Offset>>());
    fixture.until_well();
    let well = fixture.partition();
    assert_eq!(well.error, None, "{well:?}");
}

/// librdkafka tells of it once.
#[test]
fn a_right_that_is_taken_away_is_failing_under_its_name_until_it_is_back() {
    meets(
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
        "TOPIC_AUTHORIZATION_FAILED",
    );
}

/// librdkafka tells of it each time.
#[test]
fn an_error_that_is_told_each_time_is_failing_under_its_name() {
    meets(
        RDKafkaRespErr::RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED,
        "CLUSTER_AUTHORIZATION_FAILED",
    );
}

/// Damage is searched for, and since no fetch is answered at all, none is found.
#[test]
fn an_error_like_damage_that_all_fetches_get_skips_nothing() {
    meets(RDKafkaRespErr::RD_KAFKA_RESP_ERR_INVALID_MSG, "CORRUPT_MESSAGE");
}

#[test]
fn a_leader_that_refuses_to_say_where_a_log_ends_is_failing_under_the_name_of_the_error() {
    let brokers = Brokers::start(&[("a", 1)]);
    brokers.write("a", 0, 0..5);
    brokers.fail_offsets(RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
    let fixture = KafkaFixture::new(brokers, &["a"]);
    let told = || {
        let mut report = fixture.health.report(Instant::now());
        report.clusters.pop()?.partitions.pop()
    };
    until(|| told().is_some_and(|partition| partition.error.is_some()));
    let told = fixture.partition();
    assert_eq!(told.state, HealthState::Failing, "{told:?}");
    assert_eq!(
        told.error.as_deref(),
        Some("TOPIC_AUTHORIZATION_FAILED"),
        "{told:?}"
    );
    fixture.brokers.mend_offsets();
    assert_eq!(fixture.log("a", 0).end().offset, 5, "it was there when we came");
    fixture.until_well();
}

/// The tail is at its end and misses nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_replay_that_is_refused_is_failing_until_a_page_is_read() {
    let brokers = Brokers::start(&[("a", 1)]);
    brokers.write("a", 0, 0..3000);
    let fixture = KafkaFixture::new(brokers, &["a"]);
    let (log, history) = (fixture.log("a", 0), fixture.history());
    fixture.until_well();
    // Before anything is fetched ahead.
    fixture.brokers.deny_fetches();
    let begun = Instant::now();
    while fixture.partition().error.is_none() {
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "{:?}",
            fixture.partition()
        );
        assert!(history.page(&log, 2048, client()).await.is_err());
        // Whoever waits for it asks again after a pause.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    told_in_time("history", begun.elapsed());
    let told = fixture.partition();
    assert_eq!(told.state, HealthState::Failing, "{told:?}");
    assert_eq!(
        told.error.as_deref(),
        Some("TOPIC_AUTHORIZATION_FAILED"),
        "{told:?}"
    );
    assert!(told.reason.contains("history"), "{told:?}");

    fixture.brokers.mend_fetches();
    let begun = Instant::now();
    while history.page(&log, 2048, client()).await.is_err() {
        assert!(begun.elapsed() < Duration::from_secs(30), "it is read again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let all = replay(&*history, &log, 0, 3000).await;
    assert_eq!(offsets(&all), (0..3000).collect::<Vec<Offset>>());
    fixture.until_well();
}
