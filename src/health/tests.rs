use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use super::*;

/// Cells of a cluster `main` of brokers 1 and 2, and a stream `edits` of one topic with two partitions.
struct Scene {
    health: Health,
    cluster: Arc<Cluster>,
    start: Instant,
}

impl Scene {
    fn new(within: Option<u64>) -> Self {
        let (health, start) = (Health::new(), Instant::now());
        let seeds = vec!["b1:9092".to_owned(), "b2:9092".to_owned()];
        let cluster = health.cluster(&"main".into(), seeds, start);
        health.set_streams(vec![Stream {
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

    /// One whose cluster is known and read at second 0.
    fn read(within: Option<u64>) -> Self {
        let scene = Self::new(within);
        scene.alive(0);
        for number in 0..2 {
            scene.partition(number).reading(scene.at(0));
        }
        scene.fetches(0, [10, 10]);
        scene
    }

    fn at(&self, second: u64) -> Instant {
        self.start + Duration::from_secs(second)
    }

    fn partition(&self, number: i32) -> Arc<Partition> {
        self.cluster.partition("edits", number).expect("a partition")
    }

    /// All brokers answer, and broker 1 leads both partitions.
    fn alive(&self, second: u64) {
        self.cluster.described(&"id".into(), self.at(second));
        self.cluster
            .set_leaders(&"edits".into(), &[Some(1), Some(1)], self.at(second));
        self.cluster.set_replicas(BTreeSet::from([1, 2]));
        self.brokers(second, &[(1, "UP"), (2, "UP")]);
        self.cluster.answered(1, self.at(second));
        self.cluster.answered(2, self.at(second));
    }

    fn brokers(&self, second: u64, brokers: &[(i32, &str)]) {
        let connection = |(id, state): &(i32, &str)| Connection {
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

    /// Statistics of a tail that has read all up to these watermarks.
    fn fetches(&self, second: u64, highs: [i64; 2]) {
        for (number, high) in highs.into_iter().enumerate() {
            self.fetch(number as i32, second, high, high);
        }
    }

    fn fetch(&self, number: i32, second: u64, next: i64, high: i64) {
        let fetching = Fetching {
            broker: Some(1),
            heard: true,
            next: Some(next),
            high: Some(high),
            stable: Some(high),
            start: Some(0),
        };
        self.partition(number).fetching(fetching, self.at(second));
    }

    fn report(&self, second: u64) -> Report {
        let report = self.health.report(self.at(second));
        assert_every_reason_is_a_sentence(&report);
        report
    }
}

fn assert_every_reason_is_a_sentence(report: &Report) {
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
    let scene = Scene::new(None);
    scene
        .cluster
        .error("b1:9092/bootstrap: Connect to ipv4#10.0.0.1:9092 failed: Connection refused (after 0ms in state CONNECT)");
    // Which librdkafka has not come to, and the watch over the list has.
    scene
        .cluster
        .tried("b2:9092", Err("connection reset by peer".to_owned()));
    let early = scene.report(1);
    assert_eq!(early.state, State::Degraded);
    assert!(early.reason.contains("starting"), "{}", early.reason);
    let late = scene.report(9);
    assert_eq!(late.state, State::Failing);
    assert!(
        late.reason
            .contains("none of the bootstrap brokers answers: b1:9092: connection refused; b2:9092: connection reset by peer"),
        "{}",
        late.reason
    );
}

#[test]
fn all_is_well_while_everybody_answers_and_a_quiet_partition_is() {
    let scene = Scene::read(None);
    scene.alive(3600);
    scene.fetches(3600, [10, 10]);
    let report = scene.report(3601);
    assert_eq!(report.state, State::Ok, "{report:?}");
    assert_eq!(report.clusters[0].brokers_reachable, 2);
    assert_eq!(report.clusters[0].partitions[1].lag, Some(0));
}

#[test]
fn a_cluster_that_falls_silent_is_failing_and_says_what_its_brokers_said() {
    let scene = Scene::read(None);
    scene.brokers(2, &[(1, "TRY_CONNECT"), (2, "TRY_CONNECT")]);
    scene
        .cluster
        .error("b2:9092/2: Disconnected while requesting ApiVersion (after 3ms in state APIVERSION_QUERY)");
    let report = scene.report(12);
    assert_eq!(report.state, State::Failing);
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
    let scene = Scene::read(None);
    scene.alive(60);
    scene.fetches(60, [10, 10]);
    scene.brokers(61, &[(1, "UP")]);
    let report = scene.report(62);
    assert_eq!(report.state, State::Degraded, "{report:?}");
    assert_eq!(report.clusters[0].brokers_reachable, 1);
    assert!(report.reason.contains("broker 2 (b2:9092)"), "{}", report.reason);
    assert_eq!(report.streams[0].state, State::Ok);
    // Decommissioned: its replicas are placed elsewhere.
    scene.cluster.set_replicas(BTreeSet::from([1]));
    scene.brokers(63, &[(1, "UP")]);
    assert_eq!(scene.report(64).state, State::Ok);
}

#[test]
fn a_bootstrap_list_with_one_live_address_left_is_told_before_the_next_restart() {
    let scene = Scene::read(None);
    scene.cluster.tried("b1:9092", Err("connection refused".into()));
    assert_eq!(scene.report(1).state, State::Ok, "the other was not tried yet");
    scene.cluster.tried("b2:9092", Ok(()));
    let report = scene.report(1);
    assert_eq!(report.state, State::Degraded);
    assert!(
        report.reason.contains("b1:9092: connection refused"),
        "{}",
        report.reason
    );
}

#[test]
fn a_watermark_that_stands_still_while_it_moves_elsewhere_is_a_stall() {
    let scene = Scene::read(None);
    let seen = Elsewhere { via: 2, high: 25 };
    scene.partition(0).seen_elsewhere(seen, scene.at(6));
    for second in [8, 12] {
        scene.alive(second);
        scene.fetches(second, [10, 10]);
    }
    assert_eq!(scene.report(8).state, State::Ok, "our statistics may lag behind");
    let report = scene.report(12);
    assert_eq!(report.state, State::Failing);
    let partition = &report.clusters[0].partitions[0];
    assert!(partition.stalled);
    assert_eq!(partition.stalled_for_seconds, Some(12.0));
    assert!(
        partition.reason.contains("broker 1 (b1:9092)")
            && partition.reason.contains("whom broker 2 (b2:9092) names"),
        "{}",
        partition.reason
    );
    assert_eq!(report.clusters[0].state, State::Degraded, "one of two partitions");
    scene.fetches(13, [25, 10]);
    assert_eq!(scene.report(13).state, State::Ok);
}

#[test]
fn a_partition_that_is_idle_everywhere_is_no_stall() {
    let scene = Scene::read(None);
    scene
        .partition(0)
        .seen_elsewhere(Elsewhere { via: 2, high: 10 }, scene.at(6));
    scene.alive(60);
    scene.fetches(60, [10, 10]);
    assert_eq!(scene.report(61).state, State::Ok);
}

#[test]
fn a_mute_leader_and_a_missing_one_are_failing_after_their_deadlines() {
    let scene = Scene::read(None);
    scene.cluster.described(&"id".into(), scene.at(12));
    scene.cluster.answered(2, scene.at(12));
    let report = scene.report(12);
    assert_eq!(report.state, State::Failing);
    assert!(
        report
            .reason
            .contains("nothing was fetched for 12 s: broker 1 (b1:9092) does not answer"),
        "{}",
        report.reason
    );
    scene.alive(13);
    scene.fetches(13, [10, 10]);
    scene
        .cluster
        .set_leaders(&"edits".into(), &[Some(1), None], scene.at(13));
    scene.cluster.described(&"id".into(), scene.at(19));
    assert_eq!(scene.report(15).state, State::Ok, "an election");
    let report = scene.report(19);
    assert!(
        report.reason.contains("edits-1: no broker leads it"),
        "{}",
        report.reason
    );
}

#[test]
fn records_that_wait_and_are_not_read_are_told() {
    let scene = Scene::read(None);
    for second in [1, 6, 12, 14] {
        scene.alive(second);
        scene.fetch(0, second, 10, 40);
        scene.fetch(1, second, 10, 10);
    }
    let report = scene.report(14);
    assert!(report.reason.contains("30 records wait"), "{}", report.reason);
}

/// As a broker refuses fetches of the partition: it answers, and tells no watermark.
fn refused_fetch() -> Fetching {
    Fetching {
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
    let scene = Scene::read(None);
    let partition = scene.partition(0);
    // librdkafka tells of it once.
    partition.fault(
        Side::Tail,
        "TOPIC_AUTHORIZATION_FAILED",
        "not allowed",
        scene.at(1),
    );
    for second in [3, 5, 7, 9, 11] {
        scene.alive(second);
        partition.fetching(refused_fetch(), scene.at(second));
        scene.fetch(1, second, 10, 10);
    }
    assert_eq!(scene.report(6).state, State::Ok, "as long as an election");
    let report = scene.report(11);
    assert_eq!(report.state, State::Failing);
    let failing = &report.clusters[0].partitions[0];
    assert_eq!(failing.error.as_deref(), Some("TOPIC_AUTHORIZATION_FAILED"));
    assert!(
        failing.reason.contains("TOPIC_AUTHORIZATION_FAILED: not allowed"),
        "{}",
        failing.reason
    );
    assert_eq!(report.clusters[0].state, State::Degraded, "one of two partitions");
    // An idle partition: no record says that it is read again.
    scene.alive(13);
    scene.fetches(13, [10, 10]);
    let report = scene.report(13);
    assert_eq!(report.state, State::Ok, "{report:?}");
    assert_eq!(report.clusters[0].partitions[0].error, None);
}

fn refuse(scene: &Scene, fault: TopicFault, second: u64) {
    let name = match fault {
        TopicFault::Missing => "UNKNOWN_TOPIC_OR_PARTITION",
        _ => "TOPIC_AUTHORIZATION_FAILED",
    };
    let (topic, at) = ("edits".into(), scene.at(second));
    scene.cluster.refuse_topic(&topic, fault, name, at);
}

/// The topic is read, and then no look shows it any more, while every broker answers.
fn refused_later(fault: TopicFault) -> (Scene, Report) {
    let scene = Scene::read(None);
    for second in [1, 4, 7, 10, 13] {
        scene.cluster.described(&"id".into(), scene.at(second));
        scene.brokers(second, &[(1, "UP"), (2, "UP")]);
        scene.cluster.answered(1, scene.at(second));
        scene.cluster.answered(2, scene.at(second));
        refuse(&scene, fault, second);
    }
    let report = scene.report(13);
    (scene, report)
}

#[test]
fn a_deleted_topic_is_told_as_that_and_not_as_a_broker_that_does_not_answer() {
    let (scene, report) = refused_later(TopicFault::Missing);
    assert_eq!(report.state, State::Failing);
    assert!(
        report
            .reason
            .contains("edits-0: the cluster has no such topic, for 12 s: UNKNOWN_TOPIC_OR_PARTITION"),
        "{}",
        report.reason
    );
    assert!(!format!("{report:?}").contains("does not answer"), "{report:?}");
    let news = scene.cluster.topic_news(scene.at(13));
    assert!(matches!(&news[..], [(_, FaultNews::Begun { .. })]), "{news:?}");
    // It is made again.
    scene.alive(14);
    scene.fetches(14, [10, 10]);
    assert_eq!(scene.report(14).state, State::Ok);
    assert_eq!(scene.cluster.topic_news(scene.at(14)).len(), 1);
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
    let scene = Scene::new(None);
    for second in [1, 4, 7, 11] {
        scene.cluster.described(&"id".into(), scene.at(second));
        scene.brokers(second, &[(1, "UP"), (2, "UP")]);
        scene.cluster.answered(1, scene.at(second));
        scene.cluster.answered(2, scene.at(second));
        refuse(&scene, TopicFault::Denied, second);
        let report = scene.report(second);
        assert!(report.reason.contains("topic not allowed to us"), "{report:?}");
        let expected = if second < 10 {
            State::Degraded
        } else {
            State::Failing
        };
        assert_eq!(report.state, expected, "{report:?}");
    }
    let report = scene.report(11);
    assert_eq!(
        report.clusters[0].topics[0].error.as_deref(),
        Some("TOPIC_AUTHORIZATION_FAILED")
    );
}

#[test]
fn one_look_that_does_not_show_a_topic_makes_nothing_failing() {
    let scene = Scene::read(None);
    refuse(&scene, TopicFault::Refused, 3);
    scene.fetches(4, [10, 10]);
    assert_eq!(scene.report(4).state, State::Ok);
}

#[test]
fn a_broker_that_answers_and_sends_us_to_a_dead_address_is_not_called_mute() {
    let scene = Scene::new(None);
    for second in [2, 5, 8, 11] {
        let listed = vec![(1, "10.0.0.1:9092".to_owned())];
        scene
            .cluster
            .introduced("b1:9092/bootstrap", listed, scene.at(second));
        scene.cluster.error("10.0.0.1:9092/1: Connect to ipv4#10.0.0.1:9092 failed: Connection refused (after 0ms in state CONNECT)");
    }
    let report = scene.report(11);
    assert_eq!(report.state, State::Failing);
    assert!(
        report.reason.contains(
            "b1:9092 answers, and says that broker 1 is at 10.0.0.1:9092, which refuses: connection refused"
        ),
        "{}",
        report.reason
    );
    // Nobody asks it again who was sent elsewhere; it is there as long as it takes connections.
    scene.cluster.tried("b1:9092", Ok(()));
    let report = scene.report(60);
    assert!(report.reason.contains("b1:9092 answers"), "{}", report.reason);
    // It has stopped answering since.
    scene
        .cluster
        .error("b1:9092/bootstrap: Connect to ipv4#10.0.0.9:9092 failed: Connection refused (after 0ms in state CONNECT)");
    let report = scene.report(60);
    assert!(
        report.reason.contains("none of the bootstrap brokers answers"),
        "{}",
        report.reason
    );
}

#[test]
fn a_fetch_that_fails_without_a_word_is_told_though_its_broker_answers() {
    let scene = Scene::read(None);
    for second in [1, 3, 5, 7, 9, 11] {
        scene.alive(second);
        scene.partition(0).fetching(refused_fetch(), scene.at(second));
        scene.fetch(1, second, 10, 10);
    }
    assert_eq!(scene.report(9).state, State::Ok);
    let report = scene.report(11);
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
    let scene = Scene::read(None);
    scene.alive(12);
    let report = scene.report(12);
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
    let scene = Scene::read(None);
    for second in [1, 6, 12, 14] {
        scene.alive(second);
        let starved = Fetching {
            high: Some(40),
            stable: Some(40),
            ..refused_fetch()
        };
        scene.partition(0).fetching(starved, scene.at(second));
        scene.fetch(1, second, 10, 10);
    }
    let wait = Duration::from_millis(1200);
    scene.cluster.throttled(1, wait, scene.at(13));
    let report = scene.report(14);
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
    let scene = Scene::read(None);
    scene.alive(12);
    scene.cluster.throttled(1, Duration::from_secs(60), scene.at(3));
    let named = "broker 1 (b1:9092) throttles us, up to 60 s an answer";
    let report = scene.report(12);
    let reason = &report.clusters[0].partitions[0].reason;
    assert!(reason.contains("nothing was fetched for 12 s"), "{reason}");
    assert!(reason.contains(named), "{reason}");

    let scene = Scene::read(None);
    for second in [1, 6, 11] {
        scene.alive(second);
        scene.fetches(second, [10, 10]);
        scene
            .cluster
            .throttled(1, Duration::from_secs(60), scene.at(second));
        let name = "OPERATION_TIMED_OUT";
        scene
            .partition(0)
            .fault(Side::History, name, "", scene.at(second));
    }
    let report = scene.report(12);
    let reason = &report.clusters[0].partitions[0].reason;
    assert!(reason.contains("its history cannot be read"), "{reason}");
    assert!(reason.contains(named), "{reason}");
    // It throttles nobody any more, and something else is wrong.
    scene.alive(40);
    scene.fetches(28, [10, 10]);
    let report = scene.report(41);
    assert!(!report.reason.contains("throttles"), "{}", report.reason);
}

#[test]
fn a_quota_that_lets_no_fetch_be_answered_is_no_split_brain() {
    let scene = Scene::read(None);
    let ahead = Elsewhere { via: 1, high: 50 };
    scene.alive(8);
    scene.partition(0).seen_elsewhere(ahead, scene.at(8));
    scene.alive(14);
    scene.fetches(14, [10, 10]);
    scene.cluster.throttled(1, Duration::from_secs(60), scene.at(12));
    let report = scene.report(14);
    let partition = &report.clusters[0].partitions[0];
    assert_eq!(partition.state, State::Failing, "{partition:?}");
    let reason =
        "40 records wait, and none was read for 14 s: broker 1 (b1:9092) throttles us, up to 60 s an answer";
    assert_eq!(partition.reason, reason);
    assert_eq!((partition.stalled, partition.lag), (false, Some(40)));
}

#[test]
fn a_transaction_that_does_not_end_counts_in_the_lag_and_degrades_after_its_patience() {
    let scene = Scene::read(None);
    scene.cluster.set_transaction_patience(Duration::from_secs(900));
    let open = |high| Fetching {
        next: Some(51),
        high: Some(high),
        stable: Some(51),
        ..refused_fetch()
    };
    for second in [10, 300, 600, 905, 912] {
        scene.alive(second);
        // More is written behind it all the time.
        scene
            .partition(0)
            .fetching(open(100 + second as i64), scene.at(second));
        scene.fetch(1, second, 10, 10);
    }
    scene.partition(0).fetching(open(100), scene.at(912));
    let early = scene.report(909);
    assert_eq!(early.state, State::Ok, "{early:?}");
    let partition = &early.clusters[0].partitions[0];
    assert_eq!(
        (partition.lag, partition.last_stable_offset),
        (Some(49), Some(51))
    );
    assert!(
        (partition.last_stable_offset_age_seconds - 899.0).abs() < 0.1,
        "{partition:?}"
    );
    let report = scene.report(912);
    assert_eq!(report.state, State::Degraded);
    assert!(
        report.reason.contains("a transaction has been open for 15 min")
            && report.reason.contains("stands at 51, and 49 offsets behind it"),
        "{}",
        report.reason
    );
    // It is aborted.
    scene.alive(914);
    let ended = Fetching {
        next: Some(101),
        stable: Some(101),
        ..open(101)
    };
    scene.partition(0).fetching(ended, scene.at(914));
    let report = scene.report(914);
    assert_eq!(report.state, State::Ok, "{report:?}");
    assert_eq!(
        report.clusters[0].partitions[0].last_stable_offset_age_seconds,
        0.0
    );
}

#[test]
fn transactions_that_end_one_after_the_other_are_none_that_hangs() {
    let scene = Scene::read(None);
    scene.cluster.set_transaction_patience(Duration::from_secs(900));
    for second in (10..3000).step_by(10) {
        let stable = second as i64;
        let one = Fetching {
            next: Some(stable),
            high: Some(stable + 5),
            stable: Some(stable),
            ..refused_fetch()
        };
        scene.partition(0).fetching(one, scene.at(second));
        scene.alive(second);
        scene.fetch(1, second, 10, 10);
        assert_eq!(scene.report(second).state, State::Ok);
    }
}

#[test]
fn records_that_come_again_clear_a_fault_and_statistics_of_before_it_do_not() {
    let scene = Scene::read(None);
    let partition = scene.partition(0);
    partition.fault(Side::Tail, "TOPIC_AUTHORIZATION_FAILED", "", scene.at(1));
    // What these tell of was fetched before.
    scene.alive(10);
    scene.fetches(2, [10, 10]);
    assert_eq!(scene.report(10).state, State::Failing);
    partition.arrived(1_790_000_000_000, scene.at(11));
    scene.alive(11);
    assert_eq!(scene.report(11).state, State::Ok);
}

#[test]
fn a_batch_that_cannot_be_taken_apart_is_failing_though_its_leader_tells_watermarks() {
    let scene = Scene::read(None);
    for second in [1, 3, 5, 7, 9, 11] {
        scene.alive(second);
        scene
            .partition(0)
            .fault(Side::Tail, "BAD_MESSAGE", "CRC32C", scene.at(second));
        scene.fetch(0, second, 10, 40);
        scene.fetch(1, second, 10, 10);
    }
    let report = scene.report(11);
    assert!(report.reason.contains("BAD_MESSAGE: CRC32C"), "{}", report.reason);
}

#[test]
fn history_that_is_refused_is_failing_while_the_tail_reads() {
    let scene = Scene::read(None);
    for second in [1, 5, 10] {
        scene
            .partition(1)
            .fault(Side::History, "TOPIC_AUTHORIZATION_FAILED", "", scene.at(second));
    }
    scene.alive(11);
    scene.fetches(11, [10, 10]);
    let report = scene.report(11);
    assert!(
        report
            .reason
            .contains("its history cannot be read, for 10 s: TOPIC_AUTHORIZATION_FAILED"),
        "{}",
        report.reason
    );
    scene.partition(1).success(Side::History);
    assert_eq!(scene.report(11).state, State::Ok);
}

#[test]
fn only_a_stream_that_expects_events_fails_for_the_lack_of_them() {
    let scene = Scene::read(Some(60));
    for second in [50, 70, 80] {
        scene.alive(second);
        scene.fetches(second, [10, 10]);
    }
    assert_eq!(scene.report(55).state, State::Ok);
    let report = scene.report(70);
    assert_eq!(report.state, State::Failing);
    assert!(
        report
            .reason
            .contains("stream edits: no event for 70 s; one is expected within 60 s"),
        "{}",
        report.reason
    );
    // One partition alone that is quiet is worth a look.
    scene.partition(0).arrived(1_790_000_000_000, scene.at(75));
    let report = scene.report(80);
    assert_eq!(report.state, State::Degraded, "{report:?}");
    assert!(
        report.streams[0].reason.contains("edits-1: quiet for 80 s"),
        "{report:?}"
    );
    assert_eq!(report.clusters[0].partitions[0].last_event_age_seconds, Some(5.0));
}

#[test]
fn a_stream_of_more_partitions_than_an_id_has_room_for_is_degraded_and_says_what_to_do() {
    for (partitions, state) in [(1000, State::Ok), (1001, State::Degraded)] {
        let scene = Scene::new(None);
        scene.alive(0);
        let leaders = vec![Some(1); partitions];
        scene.cluster.set_leaders(&"edits".into(), &leaders, scene.at(0));
        for number in 0..partitions as i32 {
            scene.partition(number).reading(scene.at(0));
            scene.fetch(number, 0, 10, 10);
        }
        let report = scene.report(1);
        let stream = &report.streams[0];
        assert_eq!(stream.state, state, "{}", stream.reason);
        let advises = stream.reason.contains("serve its topics as several streams");
        assert_eq!(advises, state == State::Degraded, "{}", stream.reason);
    }
}

#[test]
fn a_cluster_that_stands_by_fails_no_stream() {
    let scene = Scene::read(None);
    let other = scene
        .health
        .cluster(&"backup".into(), vec!["x:1".into(), "y:1".into()], scene.start);
    other.set_active(false);
    scene.alive(20);
    scene.fetches(20, [10, 10]);
    let report = scene.report(20);
    assert_eq!(report.state, State::Degraded);
    assert!(
        report.reason.starts_with("cluster backup: none of"),
        "{}",
        report.reason
    );
    assert_eq!(report.streams[0].state, State::Ok);
}

#[test]
fn a_topic_that_is_not_there_fails_its_stream() {
    let scene = Scene::new(None);
    scene.cluster.described(&"id".into(), scene.at(1));
    refuse(&scene, TopicFault::Missing, 1);
    let report = scene.report(2);
    assert_eq!(report.state, State::Failing);
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
    cell.reading(start);
    cell.arrived(0, at(1));
    cell.unreadable(100..200);
    cell.unreadable(150..250);
    cell.unreadable(300..301);
    let fetching = |log_start| Fetching {
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
    cell.fetching(fetching(0), at(2));
    let (state, reason) = judged(2);
    assert_eq!(state, State::Degraded);
    assert!(reason.contains("150 to 249, 300 to 300"), "{reason}");
    cell.fetching(fetching(300), at(3));
    assert!(judged(3).1.contains("offsets 300 to 300"));
    cell.fetching(fetching(301), at(4));
    assert_eq!(judged(4).0, State::Ok);
}

#[test]
fn a_thread_that_panicked_degrades_its_cluster_for_ten_minutes() {
    let scene = Scene::read(None);
    scene
        .cluster
        .panicked("kafka-tail", "index out of bounds", scene.at(1));
    let told = scene.cluster.report(scene.at(2));
    assert_eq!(told.state, State::Degraded);
    assert_eq!(
        told.reason,
        "the thread kafka-tail panicked 1.0 s ago and was begun anew; this is a bug of riverhead: index out of bounds"
    );
    scene.alive(601);
    assert_eq!(scene.cluster.report(scene.at(601)).state, State::Ok);
}
