//! Tests of verdicts on topics that the cluster does not describe, or does not allow us to read.

use super::*;

#[test]
fn a_right_that_was_taken_away_is_failing_within_ten_seconds_until_a_fetch_succeeds() {
    let fixture = HealthFixture::read(None);
    let partition = fixture.partition(0);
    // librdkafka reports the error once.
    partition.record_fault(
        FaultSource::Tail,
        "TOPIC_AUTHORIZATION_FAILED",
        "not allowed",
        fixture.at(1),
    );
    for second in [3, 5, 7, 9, 11] {
        fixture.alive(second);
        partition.record_statistics(refused_fetch(), fixture.at(second));
        fixture.fetch(1, second, 10, 10);
    }
    assert_eq!(fixture.report(6).state, HealthState::Ok, "as long as an election");
    let report = fixture.report(11);
    assert_eq!(report.state, HealthState::Failing);
    let failing = &report.clusters[0].partitions[0];
    assert_eq!(failing.error.as_deref(), Some("TOPIC_AUTHORIZATION_FAILED"));
    assert!(
        failing.reason.contains("TOPIC_AUTHORIZATION_FAILED: not allowed"),
        "{}",
        failing.reason
    );
    assert_eq!(
        report.clusters[0].state,
        HealthState::Degraded,
        "one of two partitions"
    );
    // An idle partition: no record shows that it is read again.
    fixture.alive(13);
    fixture.fetches(13, [10, 10]);
    let report = fixture.report(13);
    assert_eq!(report.state, HealthState::Ok, "{report:?}");
    assert_eq!(report.clusters[0].partitions[0].error, None);
}

/// Lets a topic be read and then be missing from all metadata, while every broker answers.
fn refused_later(fault: TopicFault) -> (HealthFixture, HealthReport) {
    let fixture = HealthFixture::read(None);
    for second in [1, 4, 7, 10, 13] {
        fixture.cluster.record_topology(&"id".into(), fixture.at(second));
        fixture.brokers(second, &[(1, "UP"), (2, "UP")]);
        fixture.cluster.record_answer(1, fixture.at(second));
        fixture.cluster.record_answer(2, fixture.at(second));
        refuse(&fixture, fault, second);
    }
    let report = fixture.report(13);
    (fixture, report)
}

#[test]
fn a_deleted_topic_is_told_as_that_and_not_as_a_broker_that_does_not_answer() {
    let (fixture, report) = refused_later(TopicFault::Missing);
    assert_eq!(report.state, HealthState::Failing);
    assert!(
        report
            .reason
            .contains("edits-0: the cluster has no such topic, for 12 s: UNKNOWN_TOPIC_OR_PARTITION"),
        "{}",
        report.reason
    );
    assert!(!format!("{report:?}").contains("does not answer"), "{report:?}");
    let news = fixture.cluster.topic_fault_events(fixture.at(13));
    assert!(matches!(&news[..], [(_, FaultEvent::Begun { .. })]), "{news:?}");
    // The topic is created again.
    fixture.alive(14);
    fixture.fetches(14, [10, 10]);
    assert_eq!(fixture.report(14).state, HealthState::Ok);
    assert_eq!(fixture.cluster.topic_fault_events(fixture.at(14)).len(), 1);
}

#[test]
fn a_topic_whose_rights_were_all_taken_is_told_as_that() {
    let (_, report) = refused_later(TopicFault::Denied);
    let partition = &report.clusters[0].partitions[1];
    assert_eq!(partition.error.as_deref(), Some("TOPIC_AUTHORIZATION_FAILED"));
    assert_eq!(
        partition.reason,
        "access to the topic is denied, for 12 s: TOPIC_AUTHORIZATION_FAILED"
    );
}

#[test]
fn a_topic_that_was_denied_before_the_start_is_starting_and_then_failing_under_its_name() {
    let fixture = HealthFixture::new(None);
    for second in [1, 4, 7, 11] {
        fixture.cluster.record_topology(&"id".into(), fixture.at(second));
        fixture.brokers(second, &[(1, "UP"), (2, "UP")]);
        fixture.cluster.record_answer(1, fixture.at(second));
        fixture.cluster.record_answer(2, fixture.at(second));
        refuse(&fixture, TopicFault::Denied, second);
        let report = fixture.report(second);
        assert!(
            report.reason.contains("access to the topic is denied"),
            "{report:?}"
        );
        let expected = if second < 10 {
            HealthState::Degraded
        } else {
            HealthState::Failing
        };
        assert_eq!(report.state, expected, "{report:?}");
    }
    let report = fixture.report(11);
    assert_eq!(
        report.clusters[0].topics[0].error.as_deref(),
        Some("TOPIC_AUTHORIZATION_FAILED")
    );
}

#[test]
fn one_look_that_does_not_show_a_topic_makes_nothing_failing() {
    let fixture = HealthFixture::read(None);
    refuse(&fixture, TopicFault::Refused, 3);
    fixture.fetches(4, [10, 10]);
    assert_eq!(fixture.report(4).state, HealthState::Ok);
}
