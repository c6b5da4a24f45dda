//! Memory with two clusters: what docs/memory.md gives the second one.

use std::{num::NonZeroUsize, time::Duration};

use futures_util::future::join_all;
use riverhead::partition::MemorySettings;
use riverhead_brokers::{Cluster, shared};
use riverhead_loadtest::gateway::GatewayPlan;

use super::fixture::second;
use crate::following::{FROM_THE_START, follow_stream, plan, start, take};

/// Each cluster has a stream of its own, several times as large as all budgets together, that several clients replay at once.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real brokers: ./tests/run"]
async fn a_second_cluster_takes_no_more_memory_than_is_written_for_it() {
    let (a, b) = (shared(), second());
    let gateway = {
        a.create_topic(TOPICS[0], PARTITIONS);
        b.create_topic(TOPICS[1], PARTITIONS);
        start(&two_streams(&a, &b))
    };
    gateway.wait_for_partitions(2 * PARTITIONS, SOON);
    for (cluster, topic) in [(&*a, TOPICS[0]), (&b, TOPICS[1])] {
        let mut producer = cluster.producer(topic).record_bytes(RECORD).start();
        producer.send(RECORDS as u64);
        assert_eq!(producer.finish().len(), RECORDS);
    }
    let streams = ["a", "b"].into_iter().cycle().take(CLIENTS);
    let replays = streams.map(|stream| {
        let gateway = &gateway;
        async move {
            let mut client = follow_stream(gateway, &format!("{stream}{FROM_THE_START}"), None).await;
            take(&mut client, RECORDS).await.len()
        }
    });
    assert_eq!(join_all(replays).await, [RECORDS; CLIENTS]);

    let budget = NonZeroUsize::new(BUDGET).expect("not zero");
    let memory = MemorySettings {
        tail: budget,
        history: budget,
        lanes: budget,
    };
    let bound = memory.resident_bytes(2) + CLIENTS * A_CLIENT;
    let most = gateway.most_resident().expect("its memory") as usize;
    println!("{} of {} MiB", most / MIB, bound / MIB);
    assert!(most <= bound, "{} of {} MiB", most / MIB, bound / MIB);
}

/// A gateway with a stream of each cluster, of the cluster's name.
fn two_streams(a: &Cluster, b: &Cluster) -> GatewayPlan {
    let clusters = [("a", a), ("b", b)].map(|(name, cluster)| {
        let list = cluster.bootstrap_with_dead_first();
        let list: Vec<_> = list.split(',').map(str::to_owned).collect();
        format!("{{ name = '{name}', bootstrap = {list:?} }}")
    });
    let streams = [("a", TOPICS[0]), ("b", TOPICS[1])]
        .map(|(name, topic)| format!("{{ name = '{name}', topics = ['{topic}'], clusters = ['{name}'] }}"));
    let plan = plan(a, &TOPICS)
        .set("RIVERHEAD__CLUSTERS", &format!("[{}]", clusters.join(", ")))
        .set("RIVERHEAD__STREAMS", &format!("[{}]", streams.join(", ")));
    let budget = format!("{}MiB", BUDGET / MIB);
    ["TAIL", "HISTORY", "LANES"].into_iter().fold(plan, |plan, name| {
        plan.set(&format!("RIVERHEAD_MEMORY__{name}"), &budget)
    })
}

const TOPICS: [&str; 2] = ["two-memory-a", "two-memory-b"];
const PARTITIONS: usize = 6;
const RECORDS: usize = 10_000;
const RECORD: usize = 5_000;
const CLIENTS: usize = 8;

const MIB: usize = 1 << 20;

/// Each budget of `[memory]`.
const BUDGET: usize = 16 * MIB;

/// What one client may cost, whose connection is taken over from the HTTP library.
const A_CLIENT: usize = 2 * 1024;

const SOON: Duration = Duration::from_secs(60);
