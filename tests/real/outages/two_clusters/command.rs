//! Clusters with different numbers of partitions, and moves between them by command.

use riverhead_brokers::Cluster;
use riverhead_loadtest::numbers::Truth;
use serde_json::{Value, json};

use super::fixture::TwoClusters;
use crate::{
    following::{FROM_THE_START, STREAM},
    healthz::until_said,
    outages::crowd::{ReaderGroup, ask},
};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real brokers: ./tests/run"]
async fn partitions_that_the_other_cluster_lacks_end_with_a_gap_and_go_on_on_the_way_back() {
    let two = TwoClusters::start("two-shapes", [3, 2]);
    write(&two, &two.a, 0..3, 0..100);
    write(&two, &two.b, 0..2, 0..100);
    let mut clients = ReaderGroup::once();
    clients.join(&two.gateway, &ask(STREAM, FROM_THE_START), 10).await;
    clients.wait_for(300);
    until_said(&two.gateway, "", "ok", &[]);

    let moved = two.command("b");
    assert_eq!(moved, json!({"streams": [STREAM], "from": "a", "to": "b"}));
    two.until_moved(&[]);
    write(&two, &two.b, 0..2, 100..200);
    clients.wait_for(500);

    write(&two, &two.a, 0..3, 100..300);
    two.command("a");
    let partitions = (0..3).map(|partition| (0..300).map(|n| number(partition, n)).collect());
    let truth = Truth::of_partitions(&partitions.collect::<Vec<Vec<_>>>());
    for reading in clients.gets(&truth).await {
        assert_eq!(reading.connects, 1);
        let mut gaps: Vec<_> = reading.got.gaps.iter().map(|gap| reason(gap)).collect();
        gaps.sort();
        // If the other cluster had nothing, the position is still one of the first cluster: exact, and
        // without a gap on the way back.
        let [first, second] = [0, 1].map(|partition| (partition, "failover".to_owned()));
        let gone = (2, "partition_gone".to_owned());
        let expected = [first.clone(), first, second.clone(), second, gone];
        assert_eq!(gaps, expected);
    }
}

/// Writes these of each partition's records.
fn write(
    two: &TwoClusters,
    cluster: &Cluster,
    partitions: std::ops::Range<i32>,
    records: std::ops::Range<u64>,
) {
    for partition in partitions {
        let first = number(partition, records.start);
        let mut producer = two
            .writer(cluster)
            .partition(partition)
            .numbers_from(first)
            .start();
        producer.send(records.end - records.start);
        assert_eq!(producer.finish().failed, Vec::new());
    }
}

fn number(partition: i32, n: u64) -> u64 {
    1_000 * (partition as u64 + 1) + n
}

fn reason(gap: &str) -> (i64, String) {
    let gap: Value = serde_json::from_str(gap).expect("JSON");
    let reason = gap["reason"].as_str().expect("a reason");
    assert_eq!(gap["resumed"].is_null(), reason == "partition_gone", "{gap}");
    (gap["partition"].as_i64().expect("a partition"), reason.to_owned())
}
