//! Tests of verdicts on clusters and brokers.

use super::*;

#[test]
fn what_cannot_be_determined_is_starting_and_then_failing_with_its_cause() {
    let fixture = HealthFixture::new(None);
    fixture
        .cluster
        .error("b1:9092/bootstrap: Connect to ipv4#10.0.0.1:9092 failed: Connection refused (after 0ms in state CONNECT)");
    // librdkafka has not tried this address, and the check of the bootstrap list has.
    fixture
        .cluster
        .record_attempt("b2:9092", Err("connection reset by peer".to_owned()));
    let early = fixture.report(1);
    assert_eq!(early.state, HealthState::Degraded);
    assert!(early.reason.contains("starting"), "{}", early.reason);
    let late = fixture.report(9);
    assert_eq!(late.state, HealthState::Failing);
    assert!(
        late.reason
            .contains("none of the bootstrap brokers answers: b1:9092: connection refused; b2:9092: connection reset by peer"),
        "{}",
        late.reason
    );
}

#[test]
fn all_is_well_while_everybody_answers_and_a_quiet_partition_is() {
    let fixture = HealthFixture::read(None);
    fixture.alive(3600);
    fixture.fetches(3600, [10, 10]);
    let report = fixture.report(3601);
    assert_eq!(report.state, HealthState::Ok, "{report:?}");
    assert_eq!(report.clusters[0].brokers_reachable, 2);
    assert_eq!(report.clusters[0].partitions[1].lag, Some(0));
}

#[test]
fn a_cluster_that_falls_silent_is_failing_and_says_what_its_brokers_said() {
    let fixture = HealthFixture::read(None);
    fixture.brokers(2, &[(1, "TRY_CONNECT"), (2, "TRY_CONNECT")]);
    fixture
        .cluster
        .error("b2:9092/2: Disconnected while requesting ApiVersion (after 3ms in state APIVERSION_QUERY)");
    let report = fixture.report(12);
    assert_eq!(report.state, HealthState::Failing);
    let cluster = &report.clusters[0];
    assert!(
        cluster
            .reason
            .starts_with("no broker has returned metadata for 12 s"),
        "{}",
        cluster.reason
    );
    assert!(
        cluster.reason.contains("b2:9092: disconnected while"),
        "{}",
        cluster.reason
    );
    assert_eq!(cluster.brokers_reachable, 0);
}

#[test]
fn a_broker_that_holds_replicas_and_left_the_list_degrades_its_cluster() {
    let fixture = HealthFixture::read(None);
    fixture.alive(60);
    fixture.fetches(60, [10, 10]);
    fixture.brokers(61, &[(1, "UP")]);
    let report = fixture.report(62);
    assert_eq!(report.state, HealthState::Degraded, "{report:?}");
    assert_eq!(report.clusters[0].brokers_reachable, 1);
    assert!(report.reason.contains("broker 2 (b2:9092)"), "{}", report.reason);
    assert_eq!(report.streams[0].state, HealthState::Ok);
    // The broker was decommissioned: the replicas are placed elsewhere.
    fixture.cluster.set_replicas(BTreeSet::from([1]));
    fixture.brokers(63, &[(1, "UP")]);
    assert_eq!(fixture.report(64).state, HealthState::Ok);
}

#[test]
fn a_bootstrap_list_with_one_live_address_left_is_told_before_the_next_restart() {
    let fixture = HealthFixture::read(None);
    fixture
        .cluster
        .record_attempt("b1:9092", Err("connection refused".into()));
    assert_eq!(
        fixture.report(1).state,
        HealthState::Ok,
        "the other was not tried yet"
    );
    fixture.cluster.record_attempt("b2:9092", Ok(()));
    let report = fixture.report(1);
    assert_eq!(report.state, HealthState::Degraded);
    assert!(
        report.reason.contains("b1:9092: connection refused"),
        "{}",
        report.reason
    );
}

#[test]
fn a_broker_that_answers_and_sends_us_to_a_dead_address_is_not_called_mute() {
    let fixture = HealthFixture::new(None);
    for second in [2, 5, 8, 11] {
        let listed = vec![(1, "10.0.0.1:9092".to_owned())];
        fixture
            .cluster
            .set_advertised("b1:9092/bootstrap", listed, fixture.at(second));
        fixture.cluster.error("10.0.0.1:9092/1: Connect to ipv4#10.0.0.1:9092 failed: Connection refused (after 0ms in state CONNECT)");
    }
    let report = fixture.report(11);
    assert_eq!(report.state, HealthState::Failing);
    assert!(
        report.reason.contains(
            "b1:9092 answers and advertises broker 1 at 10.0.0.1:9092, which refuses connections: connection \
             refused"
        ),
        "{}",
        report.reason
    );
    // A client that was sent to other addresses asks this broker no more. It counts as long as it takes connections.
    fixture.cluster.record_attempt("b1:9092", Ok(()));
    let report = fixture.report(60);
    assert!(report.reason.contains("b1:9092 answers"), "{}", report.reason);
    // The broker has stopped answering since.
    fixture
        .cluster
        .error("b1:9092/bootstrap: Connect to ipv4#10.0.0.9:9092 failed: Connection refused (after 0ms in state CONNECT)");
    let report = fixture.report(60);
    assert!(
        report.reason.contains("none of the bootstrap brokers answers"),
        "{}",
        report.reason
    );
}

#[test]
fn a_thread_that_panicked_degrades_its_cluster_for_ten_minutes() {
    let fixture = HealthFixture::read(None);
    fixture
        .cluster
        .record_panic("kafka-tail", "index out of bounds", fixture.at(1));
    let told = fixture.cluster.report(fixture.at(2));
    assert_eq!(told.state, HealthState::Degraded);
    assert_eq!(
        told.reason,
        "the thread kafka-tail panicked 1.0 s ago and was restarted; this is a bug in riverhead: index out \
         of bounds"
    );
    fixture.alive(601);
    assert_eq!(fixture.cluster.report(fixture.at(601)).state, HealthState::Ok);
}
