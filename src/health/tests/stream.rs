//! Tests of verdicts on streams.

use super::*;

#[test]
fn only_a_stream_that_expects_events_fails_for_the_lack_of_them() {
    let fixture = HealthFixture::read(Some(60));
    for second in [50, 70, 80] {
        fixture.alive(second);
        fixture.fetches(second, [10, 10]);
    }
    assert_eq!(fixture.report(55).state, HealthState::Ok);
    let report = fixture.report(70);
    assert_eq!(report.state, HealthState::Failing);
    assert!(
        report
            .reason
            .contains("stream edits: no event for 70 s; one is expected within 60 s"),
        "{}",
        report.reason
    );
    // One quiet partition alone degrades.
    fixture
        .partition(0)
        .record_arrival(1_790_000_000_000, fixture.at(75));
    let report = fixture.report(80);
    assert_eq!(report.state, HealthState::Degraded, "{report:?}");
    assert!(
        report.streams[0].reason.contains("edits-1: quiet for 80 s"),
        "{report:?}"
    );
    assert_eq!(report.clusters[0].partitions[0].last_event_age_seconds, Some(5.0));
}

#[test]
fn a_stream_of_more_partitions_than_an_id_has_room_for_is_degraded_and_says_what_to_do() {
    for (partitions, state) in [(1000, HealthState::Ok), (1001, HealthState::Degraded)] {
        let fixture = HealthFixture::new(None);
        fixture.alive(0);
        let leaders = vec![Some(1); partitions];
        fixture
            .cluster
            .set_leaders(&"edits".into(), &leaders, fixture.at(0));
        for number in 0..partitions as i32 {
            fixture.partition(number).start_reading(fixture.at(0));
            fixture.fetch(number, 0, 10, 10);
        }
        let report = fixture.report(1);
        let stream = &report.streams[0];
        assert_eq!(stream.state, state, "{}", stream.reason);
        let advises = stream.reason.contains("serve the topics as several streams");
        assert_eq!(advises, state == HealthState::Degraded, "{}", stream.reason);
    }
}

#[test]
fn a_cluster_that_stands_by_fails_no_stream() {
    let fixture = HealthFixture::read(None);
    let other = fixture
        .health
        .cluster(&"backup".into(), vec!["x:1".into(), "y:1".into()], fixture.start);
    other.set_active(false);
    fixture.alive(20);
    fixture.fetches(20, [10, 10]);
    let report = fixture.report(20);
    assert_eq!(report.state, HealthState::Degraded);
    assert!(
        report.reason.starts_with("cluster backup: none of"),
        "{}",
        report.reason
    );
    assert_eq!(report.streams[0].state, HealthState::Ok);
}

#[test]
fn a_topic_that_is_not_there_fails_its_stream() {
    let fixture = HealthFixture::new(None);
    fixture.cluster.record_topology(&"id".into(), fixture.at(1));
    refuse(&fixture, TopicFault::Missing, 1);
    let report = fixture.report(2);
    assert_eq!(report.state, HealthState::Failing);
    assert!(
        report.reason.contains("cluster main has no topic edits"),
        "{}",
        report.reason
    );
}
