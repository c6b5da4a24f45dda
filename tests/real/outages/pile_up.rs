//! MediaWiki, 2016: connections to a rebooted broker piled up in SYN_SENT and took the HTTP tier down.

use std::time::Duration;

use riverhead_brokers::{Fault, NewTopic, SharedCluster, shared, slack, tolerated};
use riverhead_loadtest::{
    gateway::Gateway,
    numbers::Truth,
    stopwatch::{Quantiles, Sent},
};

use super::crowd::{ReaderGroup, SOON, WARM_UP, ask, lap, noting, quantile};
use crate::{
    following::{FROM_THE_START, STREAM, plan, start},
    healthz::{until_said, until_state},
    watch::PeakMonitor,
};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real brokers: ./tests/run"]
async fn a_black_holed_broker_holds_up_no_new_client_and_no_partition_of_others() {
    let brokers = shared();
    let gateway = two_streams(&brokers);
    let sent = Sent::new(10_000, 0);
    let (mut old, mut elsewhere) = (ReaderGroup::new(), ReaderGroup::timed(&sent));
    old.join(&gateway, &ask(STREAM, FROM_THE_START), 20).await;
    elsewhere
        .join(&gateway, &ask(ELSEWHERE, FROM_THE_START), 20)
        .await;
    let fast = noting(brokers.producer(ELSEWHERE), 0, &sent)
        .rate(40.0)
        .start()
        .run();
    let held = brokers
        .producer(HELD)
        .numbers_from(20_000)
        .rate(4.0)
        .start()
        .run();
    elsewhere.wait_for(WARM_UP);
    sent.next_lap();
    elsewhere.wait_for(WARM_UP + 120);

    let hole = brokers.get().proxy(LEADER);
    let watch = PeakMonitor::start(move || hole.unanswered());
    hole.set(Fault::Blackhole);
    // A reboot: clients reconnect, and their packets are dropped.
    hole.cut();
    sent.next_lap();
    let mut new = ReaderGroup::new();
    let took = new.join(&gateway, &ask(STREAM, FROM_THE_START), 500).await;
    let now = fast.acknowledged();
    elsewhere.wait_for(now + 120);
    new.wait_for(now + 120);
    named(&gateway, &hole.address().to_string());
    let unanswered = watch.finish();

    hole.set(Fault::Pass);
    sent.next_lap();
    elsewhere.wait_for(fast.acknowledged() + 120);
    until_state(&gateway, "ok");
    let ledgers = [fast.finish(), held.finish()];
    for crowd in [old, new] {
        crowd.gets_uncut(&Truth::of(&ledgers)).await;
    }
    let readings = elsewhere.gets_uncut(&Truth::of(&ledgers[..1])).await;
    println!("unanswered connection requests: {unanswered} at most");
    assert!((1..=MOST).contains(&unanswered), "{unanswered} at once");
    let ok = quantile(took, 0.99);
    println!("p99 until `:ok` of 500 new clients: {ok:?}");
    assert!(ok < tolerated(Duration::from_secs(1)), "{ok:?}");
    flows([1, 2, 3].map(|number| lap(&readings, number)));
}

/// Starts a gateway with one stream that has a partition on the unreachable broker, and one stream without.
fn two_streams(brokers: &SharedCluster) -> Gateway {
    brokers.create_topic(ELSEWHERE, 2);
    brokers.create(&NewTopic::with_replicas(HELD, &[&[LEADER, 1, 2]]));
    let mut plan = plan(brokers, &[ELSEWHERE, HELD]);
    plan.streams.push((ELSEWHERE.into(), vec![ELSEWHERE.into()]));
    start(&plan)
}

/// Asserts that `/healthz` names the broker and its error, and that streams on other brokers are healthy.
fn named(gateway: &Gateway, address: &str) {
    let name = format!("broker {LEADER} ({address})");
    let (said, took) = until_said(gateway, "/clusters/0", "degraded", &[&name, "not answered"]);
    println!("named after {took:?}: {}", said["clusters"][0]["reason"]);
    assert_eq!(said["streams"][1]["state"], "ok", "{said}");
}

/// Compares the same number of clients after as during the outage, with almost none before.
fn flows([before, during, after]: [Quantiles; 3]) {
    println!("before: {before}\nduring: {during}\nafter:  {after}");
    let usual = before.p99.max(after.p99);
    assert!(
        during.p99 < (10.0 * usual).max(1_000.0 * slack()),
        "{during}, usually {usual}"
    );
    assert!(during.max < SOON.as_secs_f64() * 1_000.0);
}

/// The broker whose packets are dropped.
const LEADER: i32 = 3;

/// The tail, a history reader for each broker, the client for offset queries, and health's two clients may
/// each be connecting: once to the bootstrap address, once to the broker by its id.
const MOST: u64 = (1 + 3 + 1 + 2) * 2;

const ELSEWHERE: &str = "pile-up-elsewhere";
const HELD: &str = "pile-up-held";
