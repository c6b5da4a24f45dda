//! A disk of a broker that fails: its log directory is offline (`KAFKA_STORAGE_ERROR`).

use std::time::Duration;

use riverhead_brokers::{Cluster, NewTopic, tolerated, turn};

use crate::{
    following::{plan, start},
    healthz::until_said,
};

#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn an_offline_log_directory_makes_its_partitions_failing_and_no_others() {
    let _turn = turn();
    let cluster = Cluster::builder().brokers(1).combined().spare_directory().start();
    // Each partition is placed in the directory that has fewer.
    cluster.create(&NewTopic::with_replicas(TOPIC, &[&[1], &[1], &[1], &[1]]));
    let gateway = start(&plan(&cluster, &[TOPIC]));
    until_said(&gateway, "/streams/0", "ok", &[]);
    let spare = |partition: &i32| cluster.is_in_spare_directory(1, TOPIC, *partition);
    let (lost, kept): (Vec<i32>, Vec<i32>) = (0..4).partition(spare);
    assert!(!lost.is_empty() && !kept.is_empty(), "{lost:?} and {kept:?}");
    cluster.lose_directory_of(1, TOPIC, lost[0]);
    let lost_place = format!("/clusters/0/partitions/{}", lost[0]);
    let (said, took) = until_said(
        &gateway,
        &lost_place,
        "failing",
        &["it has had no leader for", "offline"],
    );
    println!("{}", said.pointer(&lost_place).expect("a partition")["reason"]);
    assert!(took < tolerated(Duration::from_secs(15)), "{took:?}");
    for partition in kept {
        until_said(
            &gateway,
            &format!("/clusters/0/partitions/{partition}"),
            "ok",
            &[],
        );
    }
}

const TOPIC: &str = "causes-disk";
