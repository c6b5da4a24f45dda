//! Wikimedia, 2023: brokers starved by a reassignment. Live clients stay live, and replays finish.

use std::time::Instant;

use riverhead_brokers::{Cluster, NewTopic, shared, slack};
use riverhead_loadtest::{
    gateway::Gateway,
    numbers::Truth,
    stopwatch::{Quantiles, Sent},
};

use super::crowd::{ReaderGroup, SOON, WARM_UP, ask, lap, noting};
use crate::following::{FROM_THE_START, STREAM, plan, start};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real brokers: ./tests/run"]
async fn three_hundred_live_and_twenty_replaying_clients_outlast_a_throttled_reassignment() {
    let brokers = shared();
    let cluster = brokers.get();
    create(cluster);
    let mut history = cluster
        .producer(TOPIC)
        .record_bytes(1_000)
        .numbers_from(100_000)
        .start();
    history.send(HISTORY as u64);
    let mut ballast = cluster.producer(BALLAST).record_bytes(10_000).start();
    ballast.send(BALLAST_BYTES / 10_000);
    let (history, _) = (history.finish(), ballast.finish());
    // The memory is so small that a replay needs the brokers, and the history rate is so low that it takes a
    // while.
    let mut plan = plan(&brokers, &[TOPIC]).set("RIVERHEAD_MEMORY__TAIL", "1MiB");
    plan.history_rate = Some(HISTORY_RATE);
    let gateway = start(&plan);
    let sent = Sent::new(100_000, 0);
    let (mut live, mut replaying) = (ReaderGroup::timed(&sent), ReaderGroup::new());
    live.join(&gateway, &ask(STREAM, ""), 300).await;
    let flow = noting(cluster.producer(TOPIC), 0, &sent).rate(30.0).start().run();
    live.wait_for(WARM_UP);
    sent.next_lap();
    live.wait_for(WARM_UP + 120);

    let throttle = Throttle::set(cluster);
    move_all(cluster, BALLAST);
    sent.next_lap();
    let (began, asked_before) = (Instant::now(), asked_of_brokers(&gateway));
    replaying.join(&gateway, &ask(STREAM, FROM_THE_START), 20).await;
    replaying.wait_for(HISTORY);
    let (replay, asked) = (began.elapsed(), asked_of_brokers(&gateway) - asked_before);
    live.wait_for(flow.acknowledged() + 120);
    assert!(cluster.is_reassigning(BALLAST), "it was over before that");
    sent.next_lap();
    drop(throttle);
    // Nothing is lost either when the partitions that are read move.
    move_all(cluster, TOPIC);
    live.wait_for(flow.acknowledged() + 60);

    let flow = flow.finish();
    replaying.gets_uncut(&Truth::of(&[history, flow.clone()])).await;
    let readings = live.gets_uncut(&Truth::of(&[flow])).await;
    bounded([1, 2].map(|number| lap(&readings, number)));
    println!("the replays took {replay:?}, and {asked} bytes from the brokers");
    // Twenty clients that replay the same load the busy brokers no more than one does.
    assert!(asked < 2.0 * HISTORY_BYTES, "{asked}");
}

/// Returns the bytes that were read for replays so far.
fn asked_of_brokers(gateway: &Gateway) -> f64 {
    let bytes = gateway.metric("riverhead_kafka_history_page_bytes_total");
    bytes.expect("a metric")
}

fn bounded([before, during]: [Quantiles; 2]) {
    println!("before: {before}\nduring: {during}");
    // The median is more reliable than the last values, on a machine with other work.
    assert!(
        during.p50 < (5.0 * before.p50).max(500.0 * slack()),
        "{during}, before {before}"
    );
    assert!(
        during.p99 < (10.0 * before.p99).max(2_000.0 * slack()),
        "{during}, before {before}"
    );
    assert!(during.max < SOON.as_secs_f64() * 1_000.0);
}

/// Creates a topic on two brokers, so that it can be moved to the third one.
fn create(cluster: &Cluster) {
    let on_two = |topic| NewTopic::with_replicas(topic, &[&[1, 2], &[2, 3], &[3, 1]]);
    cluster.create(&on_two(TOPIC));
    let throttled = on_two(BALLAST)
        .config("leader.replication.throttled.replicas", "*")
        .config("follower.replication.throttled.replicas", "*");
    cluster.create(&throttled);
}

/// Starts to move every partition to a broker that has none of it.
fn move_all(cluster: &Cluster, topic: &str) {
    let to = [[3, 1], [1, 2], [2, 3]];
    (0..)
        .zip(to)
        .for_each(|(partition, to)| cluster.begin_reassignment(topic, partition, &to));
}

/// Limits how fast brokers copy, until it is dropped: the settings of brokers outlive a test.
struct Throttle<'a>(&'a Cluster);

impl<'a> Throttle<'a> {
    fn set(cluster: &'a Cluster) -> Self {
        alter(cluster, Some("300000"));
        Self(cluster)
    }
}

impl Drop for Throttle<'_> {
    fn drop(&mut self) {
        alter(self.0, None);
    }
}

fn alter(cluster: &Cluster, bytes_per_second: Option<&str>) {
    let rates = ["leader", "follower"].map(|side| format!("{side}.replication.throttled.rate"));
    let changes = rates.each_ref().map(|rate| (rate.as_str(), bytes_per_second));
    for broker in cluster.broker_ids() {
        cluster.alter_broker_config(broker, &changes);
    }
}

const TOPIC: &str = "starved";

/// A topic that moves for as long as the measurement lasts.
const BALLAST: &str = "starved-ballast";

/// Records to replay, 1 KB each.
const HISTORY: usize = 6_000;

/// The same, in bytes.
const HISTORY_BYTES: f64 = 1_000.0 * HISTORY as f64;

/// Bytes per second. A replay takes ten seconds, many times as long as an event may take, and an event must
/// not wait for it.
const HISTORY_RATE: u64 = 256 << 10;

/// Fifty seconds of copying for each of three brokers. Without the limit they copy it in two.
const BALLAST_BYTES: u64 = 45_000_000;
