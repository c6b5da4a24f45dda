//! Tests of this crate with real brokers. Like those of riverhead with real brokers, they count as ignored in a plain
//! `cargo test`.
#![allow(clippy::expect_used, reason = "helpers of tests fail as tests do")]
#![allow(
    clippy::print_stdout,
    reason = "the figures of a start are for a person to compare"
)]

use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use riverhead_brokers::{
    Cluster, Fault, LogRecord, NewTopic, RawRecord, Replacement, Truncation, eventually, shared,
};

#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn the_cluster_starts_in_seconds_and_little_memory() {
    let cluster = shared();
    let megabytes = cluster.resident_bytes() / 1_000_000;
    println!("started in {:?}, {megabytes} MB resident", cluster.started_in());
    assert!(
        (100..1_500).contains(&megabytes),
        "four small JVMs: {megabytes} MB"
    );
    assert_eq!(cluster.live_brokers(), Ok(BTreeSet::from([1, 2, 3])));
}

#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn what_is_acknowledged_is_in_the_log_once_and_in_order_and_no_group_comes_to_be() {
    let cluster = shared();
    cluster.create_topic("plain", 3);
    let mut producer = cluster
        .producer("plain")
        .record_bytes(100)
        .key(|n| format!("key-{n}"))
        .start();
    let numbers = producer.send(300);
    let ledger = producer.finish();
    assert_eq!(ledger.numbers(), numbers.collect());
    for partition in 0..3 {
        let records = cluster.records("plain", partition);
        assert_eq!(numbers_in(&records), ledger.numbers_of(partition));
        assert_eq!(records.len(), 100, "round robin");
        assert!(
            records
                .iter()
                .all(|record| record.value.as_ref().is_some_and(|value| value.len() == 100))
        );
        assert_eq!(
            records[0].key,
            Some(format!("key-{}", ledger.numbers_of(partition)[0]))
        );
        assert_eq!(cluster.offsets("plain", partition), 0..100);
    }
    assert_eq!(cluster.consumer_groups(), Vec::<String>::new());
    assert!(!cluster.topics().contains(&"__consumer_offsets".to_owned()));
}

#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn a_producer_under_load_loses_and_repeats_nothing_while_a_broker_is_killed_and_restarted() {
    let cluster = shared();
    cluster.create_topic("killed", 3);
    let running = cluster
        .producer("killed")
        .rate(500.0)
        .through_proxies()
        .start()
        .run();
    eventually(SOON, "a load", || running.acknowledged() > 50);
    cluster.kill(1);
    cluster.wait_until_fenced(1);
    cluster.wait_for("killed", "led without broker 1", |states| {
        states
            .iter()
            .all(|state| state.leader.is_some_and(|leader| leader != 1))
    });
    cluster.start_broker(1);
    cluster.wait_until_in_sync();
    let ledger = running.finish();
    assert_eq!(ledger.failed, []);
    for partition in 0..3 {
        assert_eq!(
            numbers_in(&cluster.records("killed", partition)),
            ledger.numbers_of(partition)
        );
    }
}

#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn a_frozen_broker_is_fenced_and_comes_back() {
    let cluster = shared();
    cluster.create_topic("frozen", 3);
    cluster.freeze(2);
    cluster.wait_until_fenced(2);
    cluster.thaw(2);
    cluster.wait_for_broker(2);
    cluster.wait_for_isr("frozen", 1, &[1, 2, 3]);
}

#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn a_stopped_broker_hands_over_its_partitions_and_gets_them_back_on_request() {
    let cluster = shared();
    cluster.create_topic("stopped", 3);
    cluster.stop(3);
    cluster.wait_for("stopped", "led without broker 3", |states| {
        states
            .iter()
            .all(|state| state.leader.is_some_and(|leader| leader != 3))
    });
    cluster.start_broker(3);
    cluster.wait_for_isr("stopped", 2, &[1, 2, 3]);
    cluster.elect_preferred_leader("stopped", 2);
    cluster.wait_for_leader("stopped", 2, Some(3));
}

#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn a_broker_cut_off_from_the_others_and_the_controller_still_believes_it_leads() {
    let cluster = shared();
    cluster.create_topic("split", 1);
    eventually(SOON, "broker 1 to have heard of the topic", || {
        cluster.describe_by(1, "split")
    });
    cluster.inter_broker_proxy(1).set(Fault::Stall);
    cluster.controller_proxy(1).set(Fault::Stall);
    eventually(SOON, "a new leader, as broker 2 sees it", || {
        let leader = cluster.describe_by(2, "split")?[0].leader;
        if leader.is_some_and(|leader| leader != 1) {
            Ok(())
        } else {
            Err(format!("{leader:?}"))
        }
    });
    assert_eq!(
        cluster.describe_by(1, "split").expect("described")[0].leader,
        Some(1)
    );
}

#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn a_topic_made_again_has_another_id() {
    let cluster = shared();
    cluster.create_topic("again", 1);
    let first = cluster.topic_id("again");
    cluster.delete_topic("again");
    cluster.create_topic("again", 1);
    assert_eq!(first.len(), 22);
    assert_ne!(first, cluster.topic_id("again"));
}

#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn deleted_records_move_the_start_and_added_partitions_get_leaders() {
    let cluster = shared();
    cluster.create_topic("shrunk", 1);
    let mut producer = cluster.producer("shrunk").start();
    producer.send(100);
    producer.flush();
    cluster.delete_records("shrunk", 0, 40);
    assert_eq!(cluster.offsets("shrunk", 0), 40..100);
    cluster.add_partitions("shrunk", 4);
    assert_eq!(cluster.describe("shrunk").expect("described").len(), 4);
}

#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn aborted_records_are_in_the_log_and_not_among_the_committed() {
    let cluster = shared();
    cluster.create_topic("transactions", 1);
    let mut producer = cluster.producer("transactions").transactional().start();
    for commit in [true, false, true] {
        producer.begin();
        producer.send(5);
        if commit {
            producer.commit()
        } else {
            producer.abort()
        }
    }
    let ledger = producer.finish();
    assert_eq!((ledger.len(), ledger.aborted.len()), (10, 5));
    let records = cluster.records("transactions", 0);
    assert_eq!(numbers_in(&records), ledger.numbers_of(0));
    let offsets: Vec<i64> = records.iter().map(|record| record.offset).collect();
    assert_eq!(
        offsets,
        [0, 1, 2, 3, 4, 12, 13, 14, 15, 16],
        "a marker, five aborted, a marker"
    );
    assert_eq!(cluster.offsets("transactions", 0), 0..18);
}

#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn a_truncated_log_ends_early_or_goes_on_with_other_records() {
    let cluster = shared();
    for replacement in [Replacement::Shorter, Replacement::Longer] {
        let topic = format!("truncated-{replacement:?}");
        let truncation = Truncation::prepare(&cluster, &topic);
        assert_eq!(cluster.offsets(&topic, 0).end, 600);
        let kept = truncation.kept.clone();
        assert!(truncation.lost.iter().map(|acked| acked.offset).eq(100..600));
        let rewritten = truncation.finish(replacement);
        let expected: Vec<u64> = kept.iter().chain(&rewritten).map(|acked| acked.n).collect();
        assert_eq!(numbers_in(&cluster.records(&topic, 0)), expected);
    }
}

#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn a_partition_moves_and_a_property_changes_alone() {
    let cluster = shared();
    cluster.create(&NewTopic::with_replicas("moved", &[&[1]]).config("retention.ms", "1234567"));
    cluster.reassign("moved", 0, &[2, 3]);
    cluster.wait_for_isr("moved", 0, &[2, 3]);
    cluster.alter_topic_config("moved", &[("segment.bytes", Some("1048576"))]);
    let property = |key| cluster.topic_config("moved", key);
    eventually(SOON, "the new property", || {
        property("segment.bytes") == "1048576"
    });
    assert_eq!(property("retention.ms"), "1234567", "left as it was");
    cluster.alter_topic_config("moved", &[("retention.ms", None)]);
    eventually(SOON, "the default", || property("retention.ms") == "604800000");
}

#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn a_raw_record_is_written_as_it_is_and_counts_are_taken_at_the_proxies_only() {
    let cluster = shared();
    cluster.create_topic("raw", 1);
    let before = cluster.client_counts();
    let mut producer = cluster.producer("raw").start();
    // Retention would delete anything older than a week at once.
    let yesterday = now_ms() - 86_400_000;
    let tombstone = RawRecord {
        key: Some(b"gone"),
        timestamp: Some(yesterday),
        ..RawRecord::default()
    };
    assert_eq!(producer.send_raw(&tombstone), 0);
    assert_eq!(
        producer.send_raw(&RawRecord {
            value: Some(b"not json"),
            ..RawRecord::default()
        }),
        1
    );
    let records = cluster.records("raw", 0);
    assert_eq!(
        (records[0].key.as_deref(), &records[0].value, records[0].timestamp),
        (Some("gone"), &None, yesterday)
    );
    assert_eq!(records[1].number(), None);
    assert_eq!(cluster.client_counts(), before, "the producer bypasses proxies");
    let mut proxied = cluster.producer("raw").through_proxies().start();
    proxied.send(10);
    proxied.flush();
    let after = cluster.client_counts();
    assert!(
        after.to_broker > before.to_broker + 2_000 && after.accepted > before.accepted,
        "{after:?}"
    );
}

#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn a_dead_broker_first_in_the_list_and_one_black_hole_do_not_stop_a_producer() {
    let cluster = shared();
    cluster.create_topic("dead-first", 1);
    cluster.proxy(3).set(Fault::Blackhole);
    let bootstrap = cluster.bootstrap_with_dead_first();
    assert!(bootstrap.starts_with(&cluster.dead_address().to_string()));
    let mut producer = cluster
        .producer("dead-first")
        .property("bootstrap.servers", &bootstrap)
        .start();
    producer.send(10);
    assert_eq!(producer.finish().len(), 10);
}

#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn an_unclean_election_gives_a_partition_to_whoever_lives() {
    let cluster = shared();
    cluster.create(&NewTopic::with_replicas("unclean", &[&[1, 2]]).config("min.insync.replicas", "1"));
    cluster.kill(2);
    cluster.wait_for_isr("unclean", 0, &[1]);
    cluster.kill(1);
    cluster.wait_for_leader("unclean", 0, None);
    cluster.start_broker(2);
    cluster.elect_unclean_leader("unclean", 0);
    assert_eq!(cluster.leader("unclean", 0), 2);
}

#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn a_combined_cluster_starts_and_a_broker_can_leave_it() {
    let cluster = Cluster::builder().combined().brokers(2).start();
    cluster.create(&NewTopic::with_replicas("stays", &[&[2]]));
    cluster.reassign("stays", 0, &[1]);
    cluster.stop(2);
    cluster.unregister_broker(2);
    assert_eq!(cluster.leader("stays", 0), 1);
    assert_eq!(cluster.live_brokers(), Ok(BTreeSet::from([1])));
}

fn now_ms() -> i64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a clock that is set");
    now.as_millis() as i64
}

fn numbers_in(records: &[LogRecord]) -> Vec<u64> {
    records.iter().filter_map(LogRecord::number).collect()
}

const SOON: Duration = Duration::from_secs(30);
