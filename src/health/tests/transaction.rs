//! Tests of verdicts on open transactions.

use super::*;

#[test]
fn a_transaction_that_does_not_end_counts_in_the_lag_and_degrades_after_its_patience() {
    let fixture = HealthFixture::read(None);
    fixture.cluster.set_transaction_patience(Duration::from_secs(900));
    let open = |high| FetchStatistics {
        next: Some(51),
        high: Some(high),
        stable: Some(51),
        ..refused_fetch()
    };
    for second in [10, 300, 600, 905, 912] {
        fixture.alive(second);
        // Producers write behind the open transaction all the time.
        fixture
            .partition(0)
            .record_statistics(open(100 + second as i64), fixture.at(second));
        fixture.fetch(1, second, 10, 10);
    }
    fixture.partition(0).record_statistics(open(100), fixture.at(912));
    let early = fixture.report(909);
    assert_eq!(early.state, HealthState::Ok, "{early:?}");
    let partition = &early.clusters[0].partitions[0];
    assert_eq!(
        (partition.lag, partition.last_stable_offset),
        (Some(49), Some(51))
    );
    assert!(
        (partition.last_stable_offset_age_seconds - 899.0).abs() < 0.1,
        "{partition:?}"
    );
    let report = fixture.report(912);
    assert_eq!(report.state, HealthState::Degraded);
    assert!(
        report.reason.contains("a transaction has been open for 15 min")
            && report.reason.contains("stays at 51, and 49 offsets after it"),
        "{}",
        report.reason
    );
    // The transaction is aborted.
    fixture.alive(914);
    let ended = FetchStatistics {
        next: Some(101),
        stable: Some(101),
        ..open(101)
    };
    fixture.partition(0).record_statistics(ended, fixture.at(914));
    let report = fixture.report(914);
    assert_eq!(report.state, HealthState::Ok, "{report:?}");
    assert_eq!(
        report.clusters[0].partitions[0].last_stable_offset_age_seconds,
        0.0
    );
}

#[test]
fn transactions_that_end_one_after_the_other_are_none_that_hangs() {
    let fixture = HealthFixture::read(None);
    fixture.cluster.set_transaction_patience(Duration::from_secs(900));
    for second in (10..3000).step_by(10) {
        let stable = second as i64;
        let one = FetchStatistics {
            next: Some(stable),
            high: Some(stable + 5),
            stable: Some(stable),
            ..refused_fetch()
        };
        fixture.partition(0).record_statistics(one, fixture.at(second));
        fixture.alive(second);
        fixture.fetch(1, second, 10, 10);
        assert_eq!(fixture.report(second).state, HealthState::Ok);
    }
}
