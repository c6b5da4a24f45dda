//! What brokers see of riverhead: few connections, no group, and no topic that is not in the catalog.

use std::time::Duration;

use futures_util::future::join_all;
use riverhead_brokers::{Cluster, eventually, shared, turn};
use riverhead_loadtest::{
    client::{Ask, Client},
    gateway::Gateway,
};

use crate::{
    following::{FROM_THE_START, follow, heartbeats, id, next, number_of, numbers, plan, start, take},
    watch::PeakMonitor,
};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real brokers: ./tests/run"]
async fn two_hundred_resumes_leave_no_group_and_few_connections() {
    let brokers = shared();
    let topics = ["quiet-a", "quiet-b"];
    topics.iter().for_each(|topic| brokers.create_topic(topic, 3));
    let mut producers = topics.map(|topic| brokers.producer(topic).record_bytes(500).start());
    producers.iter_mut().for_each(|producer| {
        producer.send(3_000);
        producer.flush();
    });
    // The memory is so small that most clients that resume need the brokers.
    let plan = plan(&brokers, &topics).set("RIVERHEAD_MEMORY__TAIL", "1MiB");
    let first = start(&plan);
    let ids = ids(&first, 6_000).await;
    drop(first);

    eventually(SOON, "the connections of the first gateway gone", || {
        let open = brokers.client_counts().open;
        if open == 0 { Ok(()) } else { Err(open) }
    });
    let cluster = brokers.get();
    let watch = PeakMonitor::start(move || cluster.client_counts().open);
    let gateway = start(&plan);
    let resumes = (0..200).map(|place| resume(&gateway, &ids, place * 30));
    let clients = join_all(resumes).await;
    let written: Vec<u64> = producers
        .iter_mut()
        .flat_map(|producer| producer.send(1))
        .collect();
    // All of them are live at once, and none received anything twice before.
    let ends = clients.into_iter().map(|mut client| async move {
        let mut last = numbers(&take(&mut client, 2).await);
        last.sort_unstable();
        last
    });
    let ends = join_all(ends).await;
    assert!(ends.iter().all(|last| *last == written), "{ends:?}");

    let pages = gateway.metric("riverhead_kafka_history_pages_total");
    assert!(pages.is_ok_and(|pages| pages > 0.0), "the brokers were not asked");
    // The tail, the stall detector and its one-shot client, the client for offset queries, and a history
    // reader for each broker.
    let most = (brokers.broker_ids().len() as u64 + 1) * (4 + brokers.broker_ids().len() as u64);
    let seen = watch.finish();
    assert!((1..=most).contains(&seen), "{seen} connections, {most} at most");
    assert_eq!(brokers.consumer_groups(), Vec::<String>::new());
    assert!(
        !brokers.topics().contains(&"__consumer_offsets".to_owned()),
        "{:?}",
        brokers.topics()
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real brokers: ./tests/run"]
async fn a_client_cut_before_its_first_event_goes_on_where_its_checkpoint_says() {
    let (brokers, topic) = (shared(), "quiet-checkpoint");
    brokers.create_topic(topic, 3);
    let gateway = start(&plan(&brokers, &[topic]));
    gateway.wait_for_partitions(3, SOON);
    let mut client = follow(&gateway, "?checkpoint=1s", None).await;
    let told = next(&mut client).await;
    assert_eq!((&*told.event, &*told.data), ("checkpoint", r#"{"skipped":0}"#));
    drop(client);

    let mut producer = brokers.producer(topic).start();
    producer.send(30);
    let ledger = producer.finish();
    let mut written: Vec<_> = (0..3)
        .flat_map(|partition| ledger.numbers_of(partition))
        .collect();
    written.sort_unstable();
    let mut client = follow(&gateway, "", Some(id(&told))).await;
    let mut heard = numbers(&take(&mut client, written.len()).await);
    heard.sort_unstable();
    assert_eq!(heard, written);
}

/// If a partition stayed started after a replay, it would be fetched a second time, by a reader that no
/// client waits for.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real brokers: ./tests/run"]
async fn what_is_live_is_fetched_once_when_a_replay_has_caught_up() {
    let brokers = shared();
    brokers.create_topic("quiet-end", 3);
    let mut producer = brokers.producer("quiet-end").record_bytes(RECORD).start();
    producer.send(3_000);
    producer.flush();
    let gateway = start(&plan(&brokers, &["quiet-end"]));
    gateway.wait_for_partitions(3, SOON);
    // The last page of history ends after the start of the tail, not at the end of the log.
    producer.send(600);
    producer.flush();
    let mut client = follow(&gateway, FROM_THE_START, None).await;
    take(&mut client, 3_600).await;

    let before = brokers.client_counts().to_client;
    for _ in 0..LIVE / 10 {
        producer.send(10);
        take(&mut client, 10).await;
    }
    let fetched = brokers.client_counts().to_client - before;
    let most = (LIVE * RECORD * 3 / 2) as u64;
    assert!(fetched <= most, "{fetched} bytes fetched, {most} at most");
}

/// Bytes of a record: much more than the overhead of a fetch.
const RECORD: usize = 2_000;

/// Records that are written while the client is live.
const LIVE: usize = 300;

/// Returns the id of every event.
async fn ids(gateway: &Gateway, count: usize) -> Vec<String> {
    let mut client = follow(gateway, FROM_THE_START, None).await;
    let messages = take(&mut client, count).await;
    messages.iter().map(|message| id(message).to_owned()).collect()
}

/// Resumes after an event, and reads everything that is left.
async fn resume(gateway: &Gateway, ids: &[String], place: usize) -> Client {
    let mut client = follow(gateway, "", Some(&ids[place])).await;
    take(&mut client, ids.len() - place - 1).await;
    client
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real brokers: ./tests/run"]
async fn only_topics_of_the_catalog_are_asked_for_and_none_is_made() {
    let _turn = turn();
    // Here a wrong request would be enough to create the topic.
    let brokers = Cluster::builder()
        .brokers(1)
        .combined()
        .property("auto.create.topics.enable", "true")
        .start();
    brokers.create_topic("quiet-private", 1);
    let mut private = brokers.producer("quiet-private").start();
    private.send(10);
    private.flush();
    let gateway = start(&plan(&brokers, &[LATER]).set("RIVERHEAD_HTTP__HEARTBEAT", "500ms"));
    for stranger in [
        "quiet-private",
        "quiet-invented",
        "quiet-later.",
        "__consumer_offsets",
    ] {
        let ask = Ask::new(format!("/v2/stream/{stranger}?since=1"));
        let client = Client::connect(gateway.http, &ask).await.expect("a response");
        assert_eq!(client.status, 400, "{stranger}: {}", client.head);
    }
    let foreign = r#"[{"topic":"quiet-private","partition":0,"offset":0}]"#;
    let ask = Ask::new("/v2/stream/stream").resume(Some(foreign.into()));
    let client = Client::connect(gateway.http, &ask).await.expect("a response");
    assert_eq!(client.status, 404, "{}", client.head);

    let mut held = follow(&gateway, "", None).await;
    let mut since = follow(&gateway, FROM_THE_START, None).await;
    // Longer than the time until the topic is looked up again.
    heartbeats(&mut held, 10).await;
    assert_eq!(brokers.topics(), ["quiet-private"], "no topic was created");

    brokers.create_topic(LATER, 2);
    let mut producer = brokers.producer(LATER).start();
    producer.send(100);
    let mut written: Vec<_> = producer.finish().numbers().into_iter().collect();
    written.sort_unstable();
    for client in [&mut held, &mut since] {
        let mut got = numbers(&take(client, 100).await);
        got.sort_unstable();
        assert_eq!(got, written, "from its start, and once");
    }
    assert_eq!(brokers.topics(), ["quiet-later", "quiet-private"]);
    assert_eq!(brokers.consumer_groups(), Vec::<String>::new());
    let last = written.last().expect("some");
    let mut new = follow(&gateway, FROM_THE_START, None).await;
    while number_of(&next(&mut new).await) != *last {}
}

const SOON: Duration = Duration::from_secs(60);

const LATER: &str = "quiet-later";
