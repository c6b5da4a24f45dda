//! Wikimedia, 2023: the metadata of consumer groups, one for each client that ever connected, grew too large
//! for its brokers.

use futures_util::future::join_all;
use riverhead_brokers::shared;
use riverhead_loadtest::gateway::Gateway;

use crate::{
    following::{FROM_THE_START, follow, id, next, plan, start, take},
    healthz::until_state,
};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real brokers: ./tests/run"]
async fn a_thousand_clients_that_come_and_go_leave_no_group_behind() {
    let brokers = shared();
    brokers.create_topic(TOPIC, 3);
    let mut producer = brokers.producer(TOPIC).record_bytes(500).start();
    producer.send(6_000);
    producer.flush();
    // The memory is so small that most of them need the brokers.
    let gateway = start(&plan(&brokers, &[TOPIC]).set("RIVERHEAD_MEMORY__TAIL", "1MiB"));
    let mut first = follow(&gateway, FROM_THE_START, None).await;
    let messages = take(&mut first, 6_000).await;
    for wave in 0..10 {
        let visits = (0..100).map(|place| visit(&gateway, place, id(&messages[wave * 300 + place])));
        join_all(visits).await;
    }
    let pages = gateway.metric("riverhead_kafka_history_pages_total");
    assert!(pages.is_ok_and(|pages| pages > 0.0), "the brokers were not asked");
    until_state(&gateway, "ok");
    assert_eq!(brokers.consumer_groups(), Vec::<String>::new());
    let topics = brokers.topics();
    assert!(!topics.contains(&"__consumer_offsets".to_owned()), "{topics:?}");
}

/// Connects in one of the three ways, reads an event if there is one, and leaves.
async fn visit(gateway: &Gateway, place: usize, last_id: &str) {
    match place % 3 {
        0 => drop(follow(gateway, "", None).await),
        1 => drop(next(&mut follow(gateway, FROM_THE_START, None).await).await),
        _ => drop(next(&mut follow(gateway, "", Some(last_id)).await).await),
    }
}

const TOPIC: &str = "groups";
