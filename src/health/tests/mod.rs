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
            .starts_with("no broker has told the topology for 12 s"),
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
            && partition.reason.contains("whom broker 2 (b2:9092) names"),
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
        report.reason.contains("edits-1: no broker leads it"),
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

fn refuse(fixture: &HealthFixture, fault: TopicFault, second: u64) {
    let name = match fault {
        TopicFault::Missing => "UNKNOWN_TOPIC_OR_PARTITION",
        _ => "TOPIC_AUTHORIZATION_FAILED",
    };
    let (topic, at) = ("edits".into(), fixture.at(second));
    fixture.cluster.refuse_topic(&topic, fault, name, at);
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
        "topic not allowed to us, for 12 s: TOPIC_AUTHORIZATION_FAILED"
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
        assert!(report.reason.contains("topic not allowed to us"), "{report:?}");
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
            "b1:9092 answers, and says that broker 1 is at 10.0.0.1:9092, which refuses: connection refused"
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
                .contains("broker 1 (b1:9092) throttles us, up to 1.2 s"),
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
    let named = "broker 1 (b1:9092) throttles us, up to 60 s an answer";
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
    let reason =
        "40 records wait, and none was read for 14 s: broker 1 (b1:9092) throttles us, up to 60 s an answer";
    assert_eq!(partition.reason, reason);
    assert_eq!((partition.stalled, partition.lag), (false, Some(40)));
}

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
            && report.reason.contains("stands at 51, and 49 offsets behind it"),
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
        let advises = stream.reason.contains("serve its topics as several streams");
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
        "the thread kafka-tail panicked 1.0 s ago and was begun anew; this is a bug of riverhead: index out of bounds"
    );
    fixture.alive(601);
    assert_eq!(fixture.cluster.report(fixture.at(601)).state, HealthState::Ok);
}
