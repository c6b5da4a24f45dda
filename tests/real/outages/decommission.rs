//! EventStreams, 2019: the bootstrap list had one broker left, and that one was decommissioned.

use std::{fs, path::Path, time::Duration};

use riverhead_brokers::{Cluster, Fault, shared, tolerated};
use riverhead_loadtest::{
    gateway::{Gateway, GatewayPlan},
    numbers::Truth,
};

use super::crowd::{ReaderGroup, ask};
use crate::{
    following::{FROM_THE_START, RIVERHEAD, STREAM, signal, start},
    healthz::{until_said, until_state},
};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real brokers: ./tests/run"]
async fn nobody_is_cut_when_the_only_broker_of_the_list_is_drained_stopped_and_forgotten() {
    let brokers = shared();
    let cluster = brokers.get();
    cluster.create_topic(TOPIC, 3);
    let gateway = start(&plan(cluster, TOPIC));
    let mut clients = ReaderGroup::new();
    clients.join(&gateway, &ask(STREAM, FROM_THE_START), 100).await;
    let flow = cluster.producer(TOPIC).rate(50.0).start().run();
    clients.wait_for(50);

    decommission(cluster, TOPIC);
    clients.wait_for(flow.acknowledged() + 50);
    // When the remaining brokers are lost, they are found again without the list.
    [2, 3].iter().for_each(|broker| cluster.proxy(*broker).cut());
    clients.wait_for(flow.acknowledged() + 50);
    // A client that needs the brokers for its position reads everything.
    let mut late = ReaderGroup::new();
    late.join(&gateway, &ask(STREAM, FROM_THE_START), 5).await;
    let truth = Truth::of(&[flow.finish()]);
    for crowd in [clients, late] {
        crowd.gets_uncut(&truth).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real brokers: ./tests/run"]
async fn a_restart_goes_by_what_was_learned_and_without_that_the_cause_is_named_and_mended_at_once() {
    let brokers = shared();
    let cluster = brokers.get();
    cluster.create_topic(FORGOTTEN, 3);
    let mut producer = cluster.producer(FORGOTTEN).start();
    producer.send(100);
    let truth = Truth::of(&[producer.finish()]);
    let state = tempfile::tempdir().expect("a directory");
    let plan = plan(cluster, FORGOTTEN).set("RIVERHEAD_STATE__DIRECTORY", &state.path().to_string_lossy());
    let gateway = start(&plan);
    until_state(&gateway, "degraded");
    reads_all(&gateway, &truth).await;
    drop(gateway);

    decommission(cluster, FORGOTTEN);
    let gateway = start(&plan);
    reads_all(&gateway, &truth).await;
    // The gateway serves, and reports what the next restart would mean without these addresses.
    until_said(
        &gateway,
        "/clusters/0",
        "degraded",
        &["0 of 2 addresses in the bootstrap list"],
    );
    drop(gateway);

    wipe(state.path());
    let gateway = start(&plan);
    let mut held = ReaderGroup::new();
    held.join(&gateway, &ask(STREAM, FROM_THE_START), 5).await;
    named(&gateway, cluster);
    mend(&gateway, plan, cluster);
    held.gets_uncut(&truth).await;
}

/// Returns a plan whose list names a broker that was removed long ago, and one that is about to be.
fn plan(cluster: &Cluster, topic: &str) -> GatewayPlan {
    let bootstrap = vec![
        cluster.dead_address().to_string(),
        cluster.proxy(1).address().to_string(),
    ];
    GatewayPlan::new(RIVERHEAD, bootstrap, STREAM, &[topic]).unlimited()
}

/// Removes broker 1 as an operator does. No server listens at its address any more.
fn decommission(cluster: &Cluster, topic: &str) {
    (0..3).for_each(|partition| cluster.reassign(topic, partition, &[2, 3]));
    cluster.stop(1);
    cluster.unregister_broker(1);
    cluster.proxy(1).set(Fault::Refuse);
}

async fn reads_all(gateway: &Gateway, truth: &Truth) {
    let mut clients = ReaderGroup::new();
    clients.join(gateway, &ask(STREAM, FROM_THE_START), 5).await;
    clients.gets_uncut(truth).await;
}

/// Deletes the learned brokers.
fn wipe(state: &Path) {
    fs::remove_file(state.join("cluster-main.json")).expect("what was learned");
}

/// Asserts that `/healthz` names the addresses that were tried, with their errors.
fn named(gateway: &Gateway, cluster: &Cluster) {
    let refused = [cluster.dead_address(), cluster.proxy(1).address()]
        .map(|address| format!("{address}: connection refused"));
    let words = ["none of the bootstrap brokers answers", &refused[0], &refused[1]];
    let (_, took) = until_said(gateway, "/clusters/0", "failing", &words);
    println!("named after {took:?}");
    assert!(took < tolerated(Duration::from_secs(10)), "{took:?}");
    assert!(gateway.admin("/readyz").expect("an answer").contains(" 200 "));
}

/// Writes a new list, and reloads it.
fn mend(gateway: &Gateway, mut plan: GatewayPlan, cluster: &Cluster) {
    plan.bootstrap.push(cluster.proxy(2).address().to_string());
    gateway.reconfigure(&plan).expect("a file");
    signal(gateway, "HUP");
}

const TOPIC: &str = "decommission";
const FORGOTTEN: &str = "decommission-forgotten";
