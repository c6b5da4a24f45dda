//! An address that now belongs to another cluster.

use riverhead_brokers::{Cluster, shared};
use riverhead_loadtest::numbers::Truth;

use super::fixture::second;
use crate::{
    following::{FROM_THE_START, STREAM, plan, signal, start},
    healthz::{until_said, until_state},
    outages::crowd::{ReaderGroup, ask},
};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real brokers: ./tests/run"]
async fn nothing_of_another_cluster_is_served_and_its_id_is_named_until_the_list_is_mended() {
    let (own, other) = (shared(), second());
    [&*own, &other]
        .iter()
        .for_each(|cluster| cluster.create_topic(TOPIC, 2));
    let (ours, _) = (write(&own, 0), write(&other, 1_000));
    let mut good = plan(&own, &[TOPIC]);
    good.cluster_id = Some(own.id().to_owned());
    let mut bad = good.clone();
    bad.bootstrap = other.bootstrap_list();
    let gateway = start(&bad);
    let mut held = ReaderGroup::new();
    held.join(&gateway, &ask(STREAM, FROM_THE_START), 10).await;
    until_said(&gateway, "/clusters/0", "failing", &[own.id(), other.id()]);
    until_said(&gateway, "", "failing", &[other.id()]);

    gateway.reconfigure(&good).expect("a file");
    signal(&gateway, "HUP");
    held.gets_uncut(&ours).await;
    until_state(&gateway, "ok");
}

fn write(cluster: &Cluster, first: u64) -> Truth {
    let mut producer = cluster.producer(TOPIC).numbers_from(first).start();
    producer.send(100);
    Truth::of(&[producer.finish()])
}

const TOPIC: &str = "two-foreign";
