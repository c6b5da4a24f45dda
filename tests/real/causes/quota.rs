//! A quota so small that nothing is read any more: `consumer_byte_rate` of riverhead's clients.

use std::time::Duration;

use riverhead_brokers::{Cluster, NewTopic, eventually, shared};
use riverhead_loadtest::gateway::Gateway;

use crate::{
    checked::check,
    following::{FROM_THE_START, follow, numbers, plan, start, take},
    healthz::{until_failing, until_said},
};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real brokers: ./tests/run"]
async fn a_quota_that_starves_the_tail_is_named_until_it_is_lifted() {
    let brokers = shared();
    brokers.create(&NewTopic::with_replicas(TAIL, &[&[1]]));
    let plan = plan(&brokers, &[TAIL]);
    let gateway = start(&plan);
    until_said(&gateway, "/streams/0", "ok", &[]);
    let limit = Limit::set(&brokers, "riverhead-tail");
    let mut producer = brokers.producer(TAIL).record_bytes(10_000).start();
    producer.send(50);
    let written = producer.finish();
    let words = ["broker 1", "throttles riverhead"];
    let said = until_failing(&gateway, |_| true, PARTITION, &words);
    println!("{}", said.pointer(PARTITION).expect("a partition")["reason"]);
    let partition = said.pointer(PARTITION).expect("a partition");
    assert_eq!(
        (&partition["stalled"], &partition["lag"]),
        (&false.into(), &50.into())
    );
    assert!(!gateway.log().contains("cut off"), "nobody is: {}", gateway.log());
    let checked = check(&plan);
    println!("{}", checked.text());
    checked.says(
        1,
        "cannot be read: nothing arrived within 5 s: broker 1 throttles riverhead",
    );
    drop(limit);
    let mut client = follow(&gateway, FROM_THE_START, None).await;
    assert_eq!(numbers(&take(&mut client, 50).await), written.numbers_of(0));
    until_said(&gateway, PARTITION, "ok", &[]);
}

/// The small batches around it are read and the large one never is, which looks like a damaged batch.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real brokers: ./tests/run"]
async fn what_a_quota_holds_back_is_not_taken_for_damage() {
    let brokers = shared();
    brokers.create(&NewTopic::with_replicas(LARGE, &[&[1]]));
    let written = [(200, 20), (200_000, 1), (200, 20)].map(|(bytes, count)| {
        let producer = brokers.producer(LARGE).record_bytes(bytes);
        let mut producer = producer.property("linger.ms", "0").start();
        for _ in 0..count {
            producer.send(1);
            producer.flush();
        }
        producer.finish().numbers_of(0)
    });
    let clients = ["riverhead-history", "riverhead-search"];
    // Over the eleven seconds that brokers consider, the large batch is slightly above the quota, and the
    // others are not.
    let limits = clients.map(|client| Limit::to(&brokers, client, 17_500.0));
    let gateway = start(&plan(&brokers, &[LARGE]));
    until_said(&gateway, "/streams/0", "ok", &[]);
    let mut client = follow(&gateway, FROM_THE_START, None).await;
    let mut heard = numbers(&take(&mut client, 20).await);
    until_said(
        &gateway,
        PARTITION,
        "failing",
        &["its history", "broker 1", "throttles riverhead"],
    );
    // By then a search for damage has run.
    eventually(SOON, "a search", || {
        let received = received_by(&gateway, "search");
        (received > 0.0).then_some(()).ok_or_else(|| received.to_string())
    });
    drop(limits);
    heard.extend(numbers(&take(&mut client, 21).await));
    assert_eq!(heard, written.concat());
    let skipped = gateway.metric("riverhead_kafka_unreadable_offsets_total");
    assert_eq!(skipped.expect("a metric"), 0.0);
    until_said(&gateway, PARTITION, "ok", &[]);
}

/// Returns the bytes that one of the gateway's clients has received.
fn received_by(gateway: &Gateway, client: &str) -> f64 {
    let text = gateway.admin("/metrics").expect("metrics");
    let label = format!("client=\"{client}\"");
    let line = text
        .lines()
        .find(|line| line.starts_with("riverhead_kafka_received_bytes_total") && line.contains(&label));
    let value = line.and_then(|line| line.rsplit_once(' ')?.1.parse().ok());
    value.unwrap_or_default()
}

/// A limit on what a client may fetch. It is removed when this value is dropped, because other tests share
/// the brokers.
struct Limit<'a>(&'a Cluster, &'static str);

impl<'a> Limit<'a> {
    fn set(brokers: &'a Cluster, client: &'static str) -> Self {
        Self::to(brokers, client, 1.0)
    }

    fn to(brokers: &'a Cluster, client: &'static str, rate: f64) -> Self {
        brokers.limit_fetches(client, Some(rate));
        Self(brokers, client)
    }
}

impl Drop for Limit<'_> {
    fn drop(&mut self) {
        self.0.limit_fetches(self.1, None);
    }
}

const PARTITION: &str = "/clusters/0/partitions/0";
const SOON: Duration = Duration::from_secs(30);
const LARGE: &str = "causes-quota-large";
const TAIL: &str = "causes-quota-tail";
