//! A disk of a broker that fails: its log directory is offline (`KAFKA_STORAGE_ERROR`).

use riverhead_brokers::{Cluster, NewTopic, turn};
use serde_json::Value;

use crate::{
    checked::check,
    following::{plan, start},
    healthz::{until_failing, until_said},
};

#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn an_offline_log_directory_makes_its_partitions_failing_and_no_others() {
    let _turn = turn();
    let cluster = Cluster::builder().brokers(1).combined().spare_directory().start();
    // Each partition is placed in the directory that has fewer.
    cluster.create(&NewTopic::with_replicas(TOPIC, &[&[1], &[1], &[1], &[1]]));
    let plan = plan(&cluster, &[TOPIC]);
    let gateway = start(&plan);
    until_said(&gateway, "/streams/0", "ok", &[]);
    let spare = |partition: &i32| cluster.is_in_spare_directory(1, TOPIC, *partition);
    let (lost, kept): (Vec<i32>, Vec<i32>) = (0..4).partition(spare);
    assert!(!lost.is_empty() && !kept.is_empty(), "{lost:?} and {kept:?}");
    cluster.lose_directory_of(1, TOPIC, lost[0]);
    let lost_place = format!("/clusters/0/partitions/{}", lost[0]);
    let leaderless = |health: &Value| {
        let partition = health.pointer(&lost_place);
        partition.is_some_and(|partition| partition["leader"].is_null())
    };
    let words = ["it has had no leader for", "offline"];
    let said = until_failing(&gateway, leaderless, &lost_place, &words);
    println!("{}", said.pointer(&lost_place).expect("a partition")["reason"]);
    for partition in kept {
        until_said(
            &gateway,
            &format!("/clusters/0/partitions/{partition}"),
            "ok",
            &[],
        );
    }
    let checked = check(&plan);
    println!("{}", checked.text());
    let lost = match lost.len() {
        1 => "1 partition".to_owned(),
        more => format!("{more} partitions"),
    };
    checked.says(
        1,
        &format!("error: cluster main: topic {TOPIC}: {lost} cannot be read: LEADER_NOT_AVAILABLE: "),
    );
}

const TOPIC: &str = "causes-disk";
