//! What `/healthz` says while brokers are broken.

use std::time::{Duration, Instant};

use riverhead_brokers::{Acks, Cluster, Fault, NewTopic, eventually, shared, tolerated};

use crate::{
    following::{plan, start},
    healthz::{health, told_in_time, until_state},
};

#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn a_stopped_broker_shows_among_the_reachable_and_in_the_state() {
    let brokers = shared();
    brokers.create_topic(STOPPED, 3);
    let gateway = start(&plan(&brokers, &[STOPPED]));
    until_state(&gateway, "ok");
    assert_eq!(gateway.metric(REACHABLE).expect("a metric"), 3.0);

    brokers.stop(2);
    let health = eventually(SOON, "two brokers", || {
        let health = health(&gateway);
        match (&health["clusters"][0]["brokers_reachable"], &health["state"]) {
            (count, state) if *count == 2 && *state == "degraded" => Ok(health),
            _ => Err(health.to_string()),
        }
    });
    let reason = health["reason"].as_str().expect("a reason");
    assert!(reason.contains("broker 2"), "{reason}");
    assert_eq!(
        health["streams"][0]["state"], "ok",
        "the others lead its partitions: {health}"
    );
    assert_eq!(gateway.metric(REACHABLE).expect("a metric"), 2.0);

    brokers.start_broker(2);
    until_state(&gateway, "ok");
}

#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn dead_bootstrap_brokers_are_named_within_ten_seconds() {
    let brokers = shared();
    brokers.create_topic(DEAD, 1);
    for broker in brokers.broker_ids() {
        brokers.proxy(broker).set(Fault::Refuse);
    }
    let gateway = start(&plan(&brokers, &[DEAD]));
    let began = Instant::now();
    let early = health(&gateway);
    assert_eq!(early["state"], "degraded", "{early}");
    assert!(early.to_string().contains("starting"), "{early}");
    let late = until_state(&gateway, "failing");
    told_in_time(began.elapsed());
    let reason = late["clusters"][0]["reason"].as_str().expect("a reason");
    assert!(
        reason.starts_with("none of the bootstrap brokers answers: "),
        "{reason}"
    );
    for address in brokers.bootstrap_list() {
        assert!(
            reason.contains(&format!("{address}: connection refused")),
            "{reason}"
        );
    }
    assert!(gateway.admin("/healthz").expect("an answer").contains(" 503 "));
    assert!(gateway.admin("/livez").expect("an answer").contains(" 200 "));
    assert!(gateway.admin("/readyz").expect("an answer").contains(" 200 "));
    assert_eq!(gateway.metric(REACHABLE).expect("a metric"), 0.0);
}

/// The old leader answers its readers without errors and without new records. Only the other brokers know
/// that it leads nothing any more.
#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn a_leader_that_was_cut_off_is_named_and_left_within_thirty_seconds() {
    let brokers = shared();
    let replicas: &[&[i32]] = &[&[1, 2, 3], &[2, 3, 1]];
    brokers.create(&NewTopic::with_replicas(SPLIT, replicas));
    let gateway = start(&plan(&brokers, &[SPLIT]));
    until_state(&gateway, "ok");
    cut_off(&brokers, 1);
    brokers.wait_until_fenced(1);
    let began = Instant::now();
    // The other brokers have elected a leader. What that accepts is not visible on the broker that was cut
    // off.
    let producer = brokers.producer(SPLIT).partition(0).acks(Acks::All);
    let mut producer = producer.bootstrap_from(&[2, 3]).start();
    producer.send(20);
    assert_eq!(producer.finish().failed, []);
    let health = eventually(Duration::from_secs(40), "news", || {
        let health = health(&gateway);
        match &health["clusters"][0]["partitions"][0] {
            partition if partition["next_offset"] == 20 && health["state"] == "degraded" => Ok(health),
            _ => Err(health.to_string()),
        }
    });
    println!("left after {:?}", began.elapsed());
    assert!(
        began.elapsed() < tolerated(Duration::from_secs(30)),
        "{:?}",
        began.elapsed()
    );
    let reason = health["reason"].as_str().expect("a reason");
    assert!(
        reason.contains("broker 1") && reason.contains("do not list it"),
        "{reason}"
    );
}

/// Cuts the broker off from the other brokers and the controller, without its noticing.
fn cut_off(brokers: &Cluster, broker: i32) {
    brokers.inter_broker_proxy(broker).set(Fault::Stall);
    brokers.controller_proxy(broker).set(Fault::Stall);
}

const SOON: Duration = Duration::from_secs(45);

const REACHABLE: &str = "riverhead_kafka_brokers_reachable";

const STOPPED: &str = "health-stopped";
const DEAD: &str = "health-dead";
const SPLIT: &str = "health-split";
