//! Wikimedia, 2023: brokers starved by a reassignment. Those who are live stay live, and those who replay get there.

use riverhead_brokers::{Cluster, NewTopic, shared};
use riverhead_loadtest::{
    numbers::Truth,
    stopwatch::{Quantiles, Sent},
};

use super::crowd::{Crowd, SOON, WARM_UP, ask, lap, noting};
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
    // So little memory that a replay needs the brokers.
    let gateway = start(&plan(&brokers, &[TOPIC]).set("RIVERHEAD_MEMORY__TAIL", "1MiB"));
    let sent = Sent::new(100_000, 0);
    let (mut live, mut replaying) = (Crowd::timed(&sent), Crowd::new());
    live.join(&gateway, &ask(STREAM, ""), 300).await;
    let flow = noting(cluster.producer(TOPIC), 0, &sent).rate(30.0).start().run();
    live.wait_for(WARM_UP);
    sent.next_lap();
    live.wait_for(WARM_UP + 120);

    let throttle = Throttle::set(cluster);
    move_all(cluster, BALLAST);
    sent.next_lap();
    replaying.join(&gateway, &ask(STREAM, FROM_THE_START), 20).await;
    replaying.wait_for(HISTORY);
    live.wait_for(flow.acknowledged() + 120);
    assert!(cluster.is_reassigning(BALLAST), "it was over before that");
    sent.next_lap();
    drop(throttle);
    // Nor is anything lost when what they read moves itself.
    move_all(cluster, TOPIC);
    live.wait_for(flow.acknowledged() + 60);

    let flow = flow.finish();
    replaying.gets_uncut(&Truth::of(&[history, flow.clone()])).await;
    let readings = live.gets_uncut(&Truth::of(&[flow])).await;
    bounded([1, 2].map(|number| lap(&readings, number)));
}

fn bounded([before, during]: [Quantiles; 2]) {
    println!("before: {before}\nduring: {during}");
    assert!(
        during.p99 < (10.0 * before.p99).max(2_000.0),
        "{during}, before {before}"
    );
    assert!(during.max < SOON.as_secs_f64() * 1_000.0);
}

/// On two brokers each, so that there is somewhere to move it.
fn create(cluster: &Cluster) {
    let on_two = |topic| NewTopic::with_replicas(topic, &[&[1, 2], &[2, 3], &[3, 1]]);
    cluster.create(&on_two(TOPIC));
    let throttled = on_two(BALLAST)
        .config("leader.replication.throttled.replicas", "*")
        .config("follower.replication.throttled.replicas", "*");
    cluster.create(&throttled);
}

/// Every partition begins to move to a broker that has none of it.
fn move_all(cluster: &Cluster, topic: &str) {
    let to = [[3, 1], [1, 2], [2, 3]];
    (0..)
        .zip(to)
        .for_each(|(partition, to)| cluster.begin_reassignment(topic, partition, &to));
}

/// Brokers copy no faster than this, until it is dropped: their settings outlive a test.
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

/// Moves for as long as it is measured.
const BALLAST: &str = "starved-ballast";

/// Records to replay, 1 KB each.
const HISTORY: usize = 6_000;

/// Fifty seconds' worth of copying for each of three brokers; once they may, they copy it in two.
const BALLAST_BYTES: u64 = 45_000_000;
