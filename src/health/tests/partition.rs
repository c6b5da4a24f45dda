//! Tests of verdicts on reading a partition.

use super::*;

#[test]
fn a_watermark_that_stands_still_while_it_moves_elsewhere_is_a_stall() {
    let fixture = HealthFixture::read(None);
    let seen = OtherWatermark { via: 2, high: 25 };
    fixture.partition(0).seen_elsewhere(seen, fixture.at(6));
    for second in [8, 12] {
        fixture.alive(second);
        fixture.fetches(second, [10, 10]);
    }
    assert_eq!(
        fixture.report(8).state,
        HealthState::Ok,
        "our statistics may lag behind"
    );
    let report = fixture.report(12);
    assert_eq!(report.state, HealthState::Failing);
    let partition = &report.clusters[0].partitions[0];
    assert!(partition.stalled);
    assert_eq!(partition.stalled_for_seconds, Some(12.0));
    assert!(
        partition.reason.contains("broker 1 (b1:9092)")
            && partition.reason.contains("leader that broker 2 (b2:9092) names"),
        "{}",
        partition.reason
    );
    assert_eq!(
        report.clusters[0].state,
        HealthState::Degraded,
        "one of two partitions"
    );
    fixture.fetches(13, [25, 10]);
    assert_eq!(fixture.report(13).state, HealthState::Ok);
}

/// The tail stops fetching after such an error, and starts again after growing pauses. Meanwhile librdkafka has no statistics of
/// the partition, so the last watermark stays.
#[test]
fn a_partition_that_the_tail_has_suspended_fails_for_its_error_and_is_no_stall() {
    let fixture = HealthFixture::read(None);
    let partition = fixture.partition(0);
    let seen = OtherWatermark { via: 2, high: 25 };
    partition.record_fault(FaultSource::Tail, "CORRUPT_MESSAGE", "CRC32C", fixture.at(1));
    for second in 2..=11 {
        fixture.alive(second);
        fixture.fetch(1, second, 10, 10);
        partition.seen_elsewhere(seen, fixture.at(second));
        assert_eq!(partition.stalled_at(fixture.at(second)), None, "second {second}");
    }
    assert_eq!(fixture.report(9).state, HealthState::Ok);
    let failing = &fixture.report(11).clusters[0].partitions[0];
    assert_eq!(failing.state, HealthState::Failing);
    assert!(!failing.stalled);
    assert_eq!(failing.error.as_deref(), Some("CORRUPT_MESSAGE"));
    assert!(failing.reason.starts_with("cannot be read"), "{}", failing.reason);
    assert_eq!(failing.lag, Some(15));

    // It is read again, before statistics show it.
    partition.record_arrival(0, fixture.at(12));
    assert_eq!(partition.stalled_at(fixture.at(12)), None);
    // A leader that is cut off after that is found out as ever.
    fixture.fetches(14, [25, 10]);
    partition.seen_elsewhere(OtherWatermark { via: 2, high: 40 }, fixture.at(15));
    assert_eq!(partition.stalled_at(fixture.at(21)), Some(1));
}

#[test]
fn a_partition_that_is_idle_everywhere_is_no_stall() {
    let fixture = HealthFixture::read(None);
    fixture
        .partition(0)
        .seen_elsewhere(OtherWatermark { via: 2, high: 10 }, fixture.at(6));
    fixture.alive(60);
    fixture.fetches(60, [10, 10]);
    assert_eq!(fixture.report(61).state, HealthState::Ok);
}

#[test]
fn a_mute_leader_and_a_missing_one_are_failing_after_their_deadlines() {
    let fixture = HealthFixture::read(None);
    fixture.cluster.record_topology(&"id".into(), fixture.at(12));
    fixture.cluster.record_answer(2, fixture.at(12));
    let report = fixture.report(12);
    assert_eq!(report.state, HealthState::Failing);
    assert!(
        report
            .reason
            .contains("nothing was fetched for 12 s: broker 1 (b1:9092) does not answer"),
        "{}",
        report.reason
    );
    fixture.alive(13);
    fixture.fetches(13, [10, 10]);
    fixture
        .cluster
        .set_leaders(&"edits".into(), &[Some(1), None], fixture.at(13));
    fixture.cluster.record_topology(&"id".into(), fixture.at(19));
    assert_eq!(fixture.report(15).state, HealthState::Ok, "an election");
    let report = fixture.report(19);
    assert!(
        report.reason.contains("edits-1: it has had no leader for"),
        "{}",
        report.reason
    );
}

#[test]
fn records_that_wait_and_are_not_read_are_told() {
    let fixture = HealthFixture::read(None);
    for second in [1, 6, 12, 14] {
        fixture.alive(second);
        fixture.fetch(0, second, 10, 40);
        fixture.fetch(1, second, 10, 10);
    }
    let report = fixture.report(14);
    assert!(report.reason.contains("30 records wait"), "{}", report.reason);
}

#[test]
fn a_fetch_that_fails_without_a_word_is_told_though_its_broker_answers() {
    let fixture = HealthFixture::read(None);
    for second in [1, 3, 5, 7, 9, 11] {
        fixture.alive(second);
        fixture
            .partition(0)
            .record_statistics(refused_fetch(), fixture.at(second));
        fixture.fetch(1, second, 10, 10);
    }
    assert_eq!(fixture.report(9).state, HealthState::Ok);
    let report = fixture.report(11);
    assert!(
        report
            .reason
            .contains("broker 1 (b1:9092) answers, and has refused each fetch for 10 s"),
        "{}",
        report.reason
    );
}

#[test]
fn a_leader_that_answers_all_but_fetches_is_not_said_to_be_mute() {
    let fixture = HealthFixture::read(None);
    fixture.alive(12);
    let report = fixture.report(12);
    assert!(
        report
            .reason
            .contains("nothing was fetched for 12 s, although broker 1 (b1:9092) answers"),
        "{}",
        report.reason
    );
}

#[test]
fn records_that_come_again_clear_a_fault_and_statistics_of_before_it_do_not() {
    let fixture = HealthFixture::read(None);
    let partition = fixture.partition(0);
    partition.record_fault(FaultSource::Tail, "TOPIC_AUTHORIZATION_FAILED", "", fixture.at(1));
    // These statistics are about fetches from before the fault.
    fixture.alive(10);
    fixture.fetches(2, [10, 10]);
    assert_eq!(fixture.report(10).state, HealthState::Failing);
    partition.record_arrival(1_790_000_000_000, fixture.at(11));
    fixture.alive(11);
    assert_eq!(fixture.report(11).state, HealthState::Ok);
}

#[test]
fn a_batch_that_cannot_be_taken_apart_is_failing_though_its_leader_tells_watermarks() {
    let fixture = HealthFixture::read(None);
    for second in [1, 3, 5, 7, 9, 11] {
        fixture.alive(second);
        fixture
            .partition(0)
            .record_fault(FaultSource::Tail, "BAD_MESSAGE", "CRC32C", fixture.at(second));
        fixture.fetch(0, second, 10, 40);
        fixture.fetch(1, second, 10, 10);
    }
    let report = fixture.report(11);
    assert!(report.reason.contains("BAD_MESSAGE: CRC32C"), "{}", report.reason);
}

#[test]
fn history_that_is_refused_is_failing_while_the_tail_reads() {
    let fixture = HealthFixture::read(None);
    for second in [1, 5, 10] {
        fixture.partition(1).record_fault(
            FaultSource::History,
            "TOPIC_AUTHORIZATION_FAILED",
            "",
            fixture.at(second),
        );
    }
    fixture.alive(11);
    fixture.fetches(11, [10, 10]);
    let report = fixture.report(11);
    assert!(
        report
            .reason
            .contains("its history cannot be read, for 10 s: TOPIC_AUTHORIZATION_FAILED"),
        "{}",
        report.reason
    );
    fixture.partition(1).record_success(FaultSource::History);
    assert_eq!(fixture.report(11).state, HealthState::Ok);
}

#[test]
fn offsets_that_cannot_be_read_degrade_their_partition_until_retention_has_passed_them() {
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let health = Health::new();
    let cluster = health.cluster(&"main".into(), Vec::new(), start);
    cluster.set_leaders(&"edits".into(), &[Some(1)], start);
    let cell = cluster.partition("edits", 0).expect("a cell");
    cell.start_reading(start);
    cell.record_arrival(0, at(1));
    cell.record_unreadable(100..200);
    cell.record_unreadable(150..250);
    cell.record_unreadable(300..301);
    let fetching = |log_start| FetchStatistics {
        broker: Some(1),
        heard: true,
        next: Some(1000),
        high: Some(1000),
        stable: Some(1000),
        start: Some(log_start),
    };
    let judged = |seconds| {
        let report = health.report(at(seconds));
        let partition = &report.clusters[0].partitions[0];
        (partition.state, partition.reason.clone())
    };
    cell.record_statistics(fetching(0), at(2));
    let (state, reason) = judged(2);
    assert_eq!(state, HealthState::Degraded);
    assert!(reason.contains("150 to 249, 300 to 300"), "{reason}");
    cell.record_statistics(fetching(300), at(3));
    assert!(judged(3).1.contains("offsets 300 to 300"));
    cell.record_statistics(fetching(301), at(4));
    assert_eq!(judged(4).0, HealthState::Ok);
}
