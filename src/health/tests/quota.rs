//! Tests of verdicts while a broker throttles us.

use super::*;

#[test]
fn a_quota_that_starves_us_is_named() {
    let fixture = HealthFixture::read(None);
    for second in [1, 6, 12, 14] {
        fixture.alive(second);
        let starved = FetchStatistics {
            high: Some(40),
            stable: Some(40),
            ..refused_fetch()
        };
        fixture
            .partition(0)
            .record_statistics(starved, fixture.at(second));
        fixture.fetch(1, second, 10, 10);
    }
    let wait = Duration::from_millis(1200);
    fixture.cluster.record_throttle(1, wait, fixture.at(13));
    let report = fixture.report(14);
    assert!(
        report.reason.contains("30 records wait")
            && report
                .reason
                .contains("broker 1 (b1:9092) throttles riverhead, by up to 1.2 s"),
        "{}",
        report.reason
    );
}

#[test]
fn a_quota_is_named_where_nothing_is_fetched_any_more_and_where_history_is_not_read() {
    let fixture = HealthFixture::read(None);
    fixture.alive(12);
    fixture
        .cluster
        .record_throttle(1, Duration::from_secs(60), fixture.at(3));
    let named = "broker 1 (b1:9092) throttles riverhead, by up to 60 s per answer";
    let report = fixture.report(12);
    let reason = &report.clusters[0].partitions[0].reason;
    assert!(reason.contains("nothing was fetched for 12 s"), "{reason}");
    assert!(reason.contains(named), "{reason}");

    let fixture = HealthFixture::read(None);
    for second in [1, 6, 11] {
        fixture.alive(second);
        fixture.fetches(second, [10, 10]);
        fixture
            .cluster
            .record_throttle(1, Duration::from_secs(60), fixture.at(second));
        let name = "OPERATION_TIMED_OUT";
        fixture
            .partition(0)
            .record_fault(FaultSource::History, name, "", fixture.at(second));
    }
    let report = fixture.report(12);
    let reason = &report.clusters[0].partitions[0].reason;
    assert!(reason.contains("its history cannot be read"), "{reason}");
    assert!(reason.contains(named), "{reason}");
    // The broker throttles no more, and something else is wrong.
    fixture.alive(40);
    fixture.fetches(28, [10, 10]);
    let report = fixture.report(41);
    assert!(!report.reason.contains("throttles"), "{}", report.reason);
}

#[test]
fn a_quota_that_lets_no_fetch_be_answered_is_no_split_brain() {
    let fixture = HealthFixture::read(None);
    let ahead = OtherWatermark { via: 1, high: 50 };
    fixture.alive(8);
    fixture.partition(0).seen_elsewhere(ahead, fixture.at(8));
    fixture.alive(14);
    fixture.fetches(14, [10, 10]);
    fixture
        .cluster
        .record_throttle(1, Duration::from_secs(60), fixture.at(12));
    let report = fixture.report(14);
    let partition = &report.clusters[0].partitions[0];
    assert_eq!(partition.state, HealthState::Failing, "{partition:?}");
    let reason = "40 records wait, and none was read for 14 s: broker 1 (b1:9092) throttles riverhead, by up to 60 s \
         per answer";
    assert_eq!(partition.reason, reason);
    assert_eq!((partition.stalled, partition.lag), (false, Some(40)));
}
