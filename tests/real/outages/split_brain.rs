//! Honeycomb, 2017: a broker that believed to lead, a log that ended before the offsets of its readers, and a
//! repair by hand. Here every client continues by itself, and receives a gap.

use std::time::{Duration, Instant};

use riverhead_brokers::{
    Acked, Acks, BrokerFailure, Cluster, Fault, Ledger, NewTopic, ProducerBuilder, Replacement, Truncation,
    eventually, scaled, shared,
};
use riverhead_loadtest::{
    gateway::{Gateway, GatewayPlan},
    numbers::Truth,
    reading::Reading,
};
use serde_json::Value;

use super::crowd::{ReaderGroup, SOON, ask};
use crate::{
    following::{FROM_THE_START, STREAM, follow, id, plan, start, take},
    healthz::until_said,
};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real brokers: ./tests/run"]
async fn a_log_that_ends_before_the_ids_of_its_readers_is_read_on_from_its_new_epoch() {
    elected_uncleanly("split-shorter", Replacement::Shorter).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real brokers: ./tests/run"]
async fn a_log_that_went_on_past_the_ids_of_its_readers_is_read_from_its_new_epoch() {
    elected_uncleanly("split-longer", Replacement::Longer).await;
}

/// The leader freezes while its follower is fenced. The follower, which has fewer records, is elected.
async fn elected_uncleanly(topic: &str, replacement: Replacement) {
    let brokers = shared();
    let cluster = brokers.get();
    let truncation = Truncation::prepare_by(cluster, topic, BrokerFailure::Frozen);
    let other = format!("{topic}-other");
    cluster.create(&NewTopic::with_replicas(&other, &[&[3]]));
    let gateway = start(&plan(&brokers, &[topic, &other]));
    let ids = ids(&gateway, 600).await;
    let mut live = ReaderGroup::new();
    live.join(&gateway, &ask(STREAM, FROM_THE_START), 50).await;
    live.wait_for(600);
    let old = [truncation.kept.clone(), truncation.lost.clone()].concat();

    let began = Instant::now();
    let leaderless = truncation.lose_leader();
    let flow = cluster.producer(&other).rate(50.0).start().run();
    // Clients that reconnect while there is no leader still receive what is in memory.
    let held = come_back(&gateway, &ids).await;
    // The other partitions continue meanwhile, for all clients.
    live.wait_for(600 + 50);
    held.iter().for_each(|(at, crowd)| crowd.wait_for(600 - at + 50));
    named(&gateway, topic, began);

    let mut new = leaderless.elect(replacement);
    new.extend(write(cluster, topic));
    let flowed = flow.finish().numbers_of(0);
    // When a client has all of it, the gateway has passed the old log.
    live.wait_for(600 + new.len() + flowed.len());
    let behind = come_back(&gateway, &ids).await;
    let all = [numbers(&old), numbers(&new)].concat();
    let from = |at: usize| Truth::of_partitions(&[all[at..].to_vec(), flowed.clone()]);
    told(&live.gets(&from(0)).await, Some(600));
    for (at, crowd) in held {
        told(&crowd.gets(&from(at)).await, Some(600));
    }
    for (at, crowd) in behind {
        told(&crowd.gets(&from(600)).await, (at > 100).then_some(at));
    }
}

/// The gateway's tail reads nothing while the log is truncated, and notices it when the log is longer than
/// before.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real brokers: ./tests/run"]
async fn a_log_that_grew_again_before_anybody_looked_is_read_from_its_new_epoch() {
    let brokers = shared();
    let cluster = brokers.get();
    let truncation = Truncation::prepare(cluster, UNSEEN);
    let gateway = start(&plan(&brokers, &[UNSEEN]));
    let mut live = ReaderGroup::new();
    live.join(&gateway, &ask(STREAM, FROM_THE_START), 10).await;
    live.wait_for(600);
    let old = [truncation.kept.clone(), truncation.lost.clone()].concat();
    // The next leader answers only other brokers and producers.
    cluster.proxy(2).set(Fault::Stall);
    let new = truncation.finish(Replacement::Longer);
    cluster.proxy(2).set(Fault::Pass);
    let all = [numbers(&old), numbers(&new)].concat();
    told(&live.gets(&Truth::of_partitions(&[all])).await, Some(600));
}

/// Asserts that `/healthz` names the partition without a leader, and no other.
fn named(gateway: &Gateway, topic: &str, since: Instant) {
    let (said, _) = until_said(gateway, "/streams/0", "failing", &[&format!("{topic}-0: ")]);
    println!("named after {:?}: {}", since.elapsed(), said["reason"]);
    assert!(since.elapsed() < scaled(REPORTED), "{:?}", since.elapsed());
    let partitions = said["clusters"][0]["partitions"].as_array();
    let well = partitions.into_iter().flatten().filter(|it| it["state"] == "ok");
    assert_eq!(well.count(), 1, "{said}");
}

/// Connects clients with ids after the remaining part of the log, and from its end.
async fn come_back(gateway: &Gateway, ids: &[String]) -> Vec<(usize, ReaderGroup)> {
    let mut crowds = Vec::new();
    for at in [600, 350, 100] {
        let mut crowd = ReaderGroup::new();
        let ask = ask(STREAM, "").resume(Some(ids[at - 1].clone()));
        crowd.join(gateway, &ask, 10).await;
        crowds.push((at, crowd));
    }
    crowds
}

/// Returns the id of every event.
async fn ids(gateway: &Gateway, count: usize) -> Vec<String> {
    let mut client = follow(gateway, FROM_THE_START, None).await;
    let messages = take(&mut client, count).await;
    messages.iter().map(|message| id(message).to_owned()).collect()
}

/// Asserts that each client received one gap, from this offset to 100, or none if it lost nothing.
fn told(readings: &[Reading], requested: Option<usize>) {
    for Reading { got, connects, .. } in readings {
        let gaps = got.gaps.iter().map(|gap| gap_of(gap));
        let expected = requested.map(|requested| (requested as i64, 100, "truncated".to_owned()));
        assert_eq!(gaps.collect::<Vec<_>>(), Vec::from_iter(expected));
        assert_eq!(*connects, 1, "no client is cut for it");
    }
}

fn gap_of(data: &str) -> (i64, i64, String) {
    let gap: Value = serde_json::from_str(data).expect("JSON");
    let offset = |key: &str| gap[key].as_i64().unwrap_or_else(|| panic!("no {key} in {gap}"));
    let reason = gap["reason"].as_str().expect("a reason");
    (offset("requested"), offset("resumed"), reason.to_owned())
}

fn write(cluster: &Cluster, topic: &str) -> Vec<Acked> {
    let mut producer = cluster.producer(topic).start();
    producer.send(100);
    producer.finish().partitions.into_values().flatten().collect()
}

fn numbers(records: &[Acked]) -> Vec<u64> {
    records.iter().map(|record| record.n).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real brokers: ./tests/run"]
async fn nothing_that_an_old_leader_takes_behind_a_partition_is_heard_and_all_of_the_new_one_is() {
    let brokers = shared();
    let cluster = brokers.get();
    cluster.create_topic(CUT_OFF, 1);
    let gateway = start(&plan(&brokers, &[CUT_OFF]));
    let mut live = ReaderGroup::new();
    live.join(&gateway, &ask(STREAM, FROM_THE_START), 50).await;
    let mut old_leader = writer(cluster, CUT_OFF, &[1]).acks(Acks::Leader).start();
    old_leader.send(200);
    old_leader.flush();
    live.wait_for(200);

    cut_off(cluster, CUT_OFF);
    old_leader.send(200);
    let taken = old_leader.finish();
    assert_eq!(taken.len(), 400, "acknowledged, to be lost: {:?}", taken.failed);
    let mut new_leader = writer(cluster, CUT_OFF, &[2, 3]).start();
    new_leader.send(300);
    new_leader.flush();
    // Before the network is restored.
    live.wait_for(200 + 300);
    let mut late = ReaderGroup::new();
    late.join(&gateway, &ask(STREAM, FROM_THE_START), 10).await;
    late.wait_for(200 + 300);
    assert_still_cut_off(cluster, CUT_OFF);

    heal(cluster, CUT_OFF);
    new_leader.send(100);
    let log = in_the_log(cluster, &taken, &new_leader.finish());
    let truth = Truth::of_partitions(&[log]);
    for crowd in [live, late] {
        crowd.gets_uncut(&truth).await;
    }
}

/// A history reader keeps using a leader that was cut off for as long as that answers. Its bounds are from
/// the old epoch. The tail, which has read nothing before the new epoch, loses its position as often as it
/// starts there.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real brokers: ./tests/run"]
async fn readers_of_history_that_believe_an_old_leader_do_not_keep_the_tail_from_the_new_one() {
    let brokers = shared();
    let cluster = brokers.get();
    // One partition for each broker: each broker's history reader knows all leaders when the first broker is
    // cut off.
    cluster.create_topic(BELIEVED, 3);
    let mut before = cluster.producer(BELIEVED).partition(0).start();
    before.send(200);
    let before = before.finish();
    let gateway = start(&believing(&brokers, BELIEVED));
    gateway.wait_for_partitions(3, SOON);
    let mut live = ReaderGroup::new();
    live.join(&gateway, &ask(STREAM, FROM_THE_START), 10).await;
    live.wait_for(200);

    cut_off(cluster, BELIEVED);
    let mut new_leader = writer(cluster, BELIEVED, &[2, 3]).start();
    new_leader.send(300);
    new_leader.flush();
    let began = Instant::now();
    // Before the network is restored.
    live.wait_for(200 + 300);
    println!("read on after {:?}", began.elapsed());
    assert_still_cut_off(cluster, BELIEVED);

    heal(cluster, BELIEVED);
    new_leader.send(100);
    let truth = Truth::of(&[before, new_leader.finish()]);
    live.gets_uncut(&truth).await;
}

/// The tail has read records that prove its position, and continues with the new leader, while the history
/// readers keep using the old one. A client that connects late still receives everything that is no longer in
/// a ring.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real brokers: ./tests/run"]
async fn readers_of_history_that_believe_an_old_leader_are_replaced_though_the_tail_goes_on() {
    let brokers = shared();
    let cluster = brokers.get();
    // One partition for each broker, all of them read: each broker's history reader knows all leaders when
    // one broker is cut off.
    cluster.create_topic(BEHIND, 3);
    let mut ledgers = Vec::new();
    for partition in 0..3 {
        let mut before = cluster.producer(BEHIND).partition(partition).start();
        before.send(100);
        ledgers.push(before.finish());
    }
    let gateway = start(&believing(&brokers, BEHIND).set("RIVERHEAD_MEMORY__TAIL", "1MiB"));
    gateway.wait_for_partitions(3, SOON);
    let mut live = ReaderGroup::new();
    live.join(&gateway, &ask(STREAM, FROM_THE_START), 10).await;
    live.wait_for(300);
    let mut proof = cluster.producer(BEHIND).partition(0).start();
    proof.send(10);
    ledgers.push(proof.finish());
    live.wait_for(300 + 10);

    cut_off(cluster, BEHIND);
    let mut new_leader = writer(cluster, BEHIND, &[2, 3]).record_bytes(20_000).start();
    new_leader.send(300);
    ledgers.push(new_leader.finish());
    live.wait_for(310 + 300);
    let mut late = ReaderGroup::new();
    late.join(&gateway, &ask(STREAM, FROM_THE_START), 10).await;
    let began = Instant::now();
    late.wait_for(310 + 300);
    println!("read by the late clients after {:?}", began.elapsed());
    assert_still_cut_off(cluster, BEHIND);

    heal(cluster, BEHIND);
    let truth = Truth::of_partitions(&by_partition(&ledgers));
    for crowd in [live, late] {
        crowd.gets_uncut(&truth).await;
    }
}

/// Returns the numbers of each of three partitions, in the order of their logs.
fn by_partition(ledgers: &[Ledger]) -> Vec<Vec<u64>> {
    let of = |partition| ledgers.iter().flat_map(|it| it.numbers_of(partition)).collect();
    (0..3).map(of).collect()
}

/// Returns a plan of a gateway whose clients never refresh their metadata. Only the tail's client learns of a
/// new leader, through the metadata refreshes. By default each client refreshes every few seconds, but at the
/// broker that it used last, which may always be the one that was cut off.
fn believing(cluster: &Cluster, topic: &str) -> GatewayPlan {
    let bootstrap = cluster.bootstrap_with_dead_first();
    let bootstrap: Vec<_> = bootstrap.split(',').collect();
    // librdkafka keeps metadata for three times this long, and counts the microseconds of that in 32 bits:
    // 715 s at most.
    let never = "librdkafka = { 'topic.metadata.refresh.interval.ms' = '600000' }";
    let clusters = format!("[{{ name = 'main', bootstrap = {bootstrap:?}, {never} }}]");
    plan(cluster, &[topic]).set("RIVERHEAD__CLUSTERS", &clusters)
}

/// Returns a producer that bootstraps from these brokers. It keeps using the leader that they name first,
/// since it never refreshes.
fn writer<'a>(cluster: &'a Cluster, topic: &str, brokers: &[i32]) -> ProducerBuilder<'a> {
    let producer = cluster.producer(topic).partition(0);
    producer
        .bootstrap_from(brokers)
        .property("topic.metadata.refresh.interval.ms", "-1")
}

/// Asserts that broker 1 has not noticed another leader.
fn assert_still_cut_off(cluster: &Cluster, topic: &str) {
    assert_eq!(
        believed_leader(cluster, topic, 1),
        Ok(Some(1)),
        "it was cut off all the time"
    );
}

/// Cuts broker 1 off from the controller and the other brokers, but not from its clients.
fn cut_off(cluster: &Cluster, topic: &str) {
    cluster.inter_broker_proxy(1).set(Fault::Stall);
    cluster.controller_proxy(1).set(Fault::Stall);
    eventually(SOON, "another leader, as broker 2 sees it", || {
        let leader = believed_leader(cluster, topic, 2)?;
        let other = leader.is_some_and(|leader| leader != 1);
        other.then_some(()).ok_or_else(|| format!("{leader:?}"))
    });
}

fn heal(cluster: &Cluster, topic: &str) {
    cluster.controller_proxy(1).set(Fault::Pass);
    cluster.inter_broker_proxy(1).set(Fault::Pass);
    cluster.wait_for_isr(topic, 0, &[1, 2, 3]);
}

fn believed_leader(cluster: &Cluster, topic: &str, by: i32) -> Result<Option<i32>, String> {
    Ok(cluster.describe_by(by, topic)?[0].leader)
}

/// Returns the numbers in the log: the first 200 of the old leader, and all of the new one.
fn in_the_log(cluster: &Cluster, old: &Ledger, new: &Ledger) -> Vec<u64> {
    let records = cluster.records(CUT_OFF, 0);
    let log: Vec<u64> = records.iter().filter_map(|record| record.number()).collect();
    let expected = [&old.numbers_of(0)[..200], &new.numbers_of(0)].concat();
    assert_eq!(
        log, expected,
        "what the old leader accepted while it was cut off is lost"
    );
    log
}

/// A stalled partition is reported within this time.
const REPORTED: Duration = Duration::from_secs(30);

const CUT_OFF: &str = "split-cut-off";

const BELIEVED: &str = "split-believed";

const BEHIND: &str = "split-behind";

const UNSEEN: &str = "split-unseen";
