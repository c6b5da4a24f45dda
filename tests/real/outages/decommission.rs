//! EventStreams, 2019: the bootstrap list had one broker left, and that one was decommissioned.

use riverhead_brokers::{Cluster, shared};
use riverhead_loadtest::{
    gateway::{Gateway, Plan},
    numbers::Truth,
};

use super::crowd::{Crowd, ask};
use crate::following::{FROM_THE_START, RIVERHEAD, STREAM, start};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real brokers: ./tests/run"]
async fn nobody_is_cut_when_the_only_broker_of_the_list_is_drained_stopped_and_forgotten() {
    let brokers = shared();
    let cluster = brokers.get();
    cluster.create_topic(TOPIC, 3);
    let gateway = gateway(cluster);
    let mut clients = Crowd::new();
    clients.join(&gateway, &ask(STREAM, FROM_THE_START), 100).await;
    let flow = cluster.producer(TOPIC).rate(50.0).start().run();
    clients.wait_for(50);

    (0..3).for_each(|partition| cluster.reassign(TOPIC, partition, &[2, 3]));
    cluster.stop(1);
    cluster.unregister_broker(1);
    clients.wait_for(flow.acknowledged() + 50);
    // Whoever loses the brokers that are left finds them again, without the list.
    [2, 3].iter().for_each(|broker| cluster.proxy(*broker).cut());
    clients.wait_for(flow.acknowledged() + 50);
    // And one who needs the brokers for it reads all there is.
    let mut late = Crowd::new();
    late.join(&gateway, &ask(STREAM, FROM_THE_START), 5).await;
    let truth = Truth::of(&[flow.finish()]);
    for crowd in [clients, late] {
        crowd.gets_uncut(&truth).await;
    }
}

/// Its list names a broker that was taken away long ago, and one that is about to be.
fn gateway(cluster: &Cluster) -> Gateway {
    let bootstrap = vec![
        cluster.dead_address().to_string(),
        cluster.proxy(1).address().to_string(),
    ];
    start(&Plan::new(RIVERHEAD, bootstrap, STREAM, &[TOPIC]).unlimited())
}

const TOPIC: &str = "decommission";
