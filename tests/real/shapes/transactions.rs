//! Transactions: committed records arrive once. Markers and aborted records leave no trace except their
//! offsets.

use std::time::Duration;

use riverhead::sse::SseMessage;
use riverhead_brokers::{Acked, Cluster, NewTopic, Producer, RawRecord, shared};
use riverhead_loadtest::{client::Client, gateway::Gateway};

use crate::following::{FROM_THE_START, entry, follow, id, next, number_of, numbers, plan, start, take};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real brokers: ./tests/run"]
async fn committed_records_come_once_wherever_a_client_was_cut() {
    let brokers = shared();
    brokers.create_topic(TOPIC, 1);
    brokers.create_topic(BESIDE, 1);
    let plan = plan(&brokers, &[TOPIC, BESIDE]);
    let gateway = start(&plan);
    let mut live = follow(&gateway, FROM_THE_START, None).await;

    let mut producer = producer(&brokers, TOPIC);
    rounds(&mut producer);
    let mut seen = take(&mut live, producer.ledger().len()).await;
    seen.extend(held_back(&brokers, &gateway, &mut producer, &mut live, id(&seen[7])).await);

    let truth = producer.ledger().partitions[&0].clone();
    assert_eq!(
        numbers(&seen),
        truth.iter().map(|acked| acked.n).collect::<Vec<_>>()
    );
    ids_name_the_last_record(&seen, &truth);
    // Another gateway has nothing of it in memory, so it reads the same from history.
    for gateway in [&gateway, &start(&plan)] {
        cut_behind_each(&brokers, gateway, &seen).await;
        step_by_step(gateway, &seen).await;
    }
}

/// A log's end that may be read stands before a transaction that is open, and a later leader tells of it. What comes behind it was
/// written under the leader before.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real brokers: ./tests/run"]
async fn an_open_transaction_of_an_earlier_leader_replaces_no_log() {
    let brokers = shared();
    brokers.create(&NewTopic::with_replicas(EARLIER, &[&[1, 2, 3]]));
    let mut producer = producer(&brokers, EARLIER);
    producer.begin();
    producer.send(5);
    producer.flush();
    brokers.restart(1);
    let gateway = start(&plan(&brokers, &[EARLIER]));
    gateway.wait_for_partitions(1, SOON);
    let mut live = follow(&gateway, "?checkpoint=1s", None).await;
    assert_eq!(next(&mut live).await.event, "checkpoint", "it has a place");
    producer.commit();
    let seen = take(&mut live, 5).await;
    assert_eq!(numbers(&seen), producer.ledger().numbers_of(0));
    let replaced = gateway.metric("riverhead_kafka_log_replacements_total");
    assert_eq!(replaced.expect("metrics"), 0.0, "{}", gateway.log());
}

fn producer(brokers: &Cluster, topic: &str) -> Producer {
    brokers
        .producer(topic)
        .transactional()
        .property("message.timeout.ms", "30000")
        .start()
}

/// Commits and aborts in turn, with several lengths.
fn rounds(producer: &mut Producer) {
    for (records, commit) in [
        (3, true),
        (2, false),
        (4, true),
        (5, false),
        (1, false),
        (1, true),
        (4, true),
    ] {
        producer.begin();
        producer.send(records);
        producer.flush();
        if commit {
            producer.commit();
        } else {
            producer.abort();
        }
    }
}

/// Opens a transaction. Asserts that its records arrive when it is committed, and not before, for a live
/// client and for one that resumed meanwhile. Returns what `live` received.
async fn held_back(
    brokers: &Cluster,
    gateway: &Gateway,
    producer: &mut Producer,
    live: &mut Client,
    earlier: &str,
) -> Vec<SseMessage> {
    let before = producer.ledger().len();
    producer.begin();
    producer.send(5);
    producer.flush();
    let mut resumed = follow(gateway, "", Some(earlier)).await;
    take(&mut resumed, before - 8).await;
    // Written later and elsewhere: if any record of the transaction had been delivered, it would come first.
    beside(brokers, "while it is open");
    for client in [&mut *live, &mut resumed] {
        assert_eq!(next(client).await.data, mark("while it is open"));
    }
    producer.commit();
    let (seen, again) = (take(live, 5).await, take(&mut resumed, 5).await);
    assert_eq!(numbers(&seen), numbers(&again));
    assert_eq!(producer.ledger().len(), before + 5);
    seen
}

/// Asserts that the offset of an id is the event's own plus one, never after a marker that follows it.
fn ids_name_the_last_record(seen: &[SseMessage], truth: &[Acked]) {
    for (message, acked) in seen.iter().zip(truth) {
        assert_eq!(
            entry(id(message), TOPIC, 0)["offset"],
            acked.offset + 1,
            "{message:?}"
        );
    }
}

/// Asserts that a client that is cut after any event receives all later ones, and nothing else.
async fn cut_behind_each(brokers: &Cluster, gateway: &Gateway, seen: &[SseMessage]) {
    let mut clients = Vec::new();
    for (place, message) in seen.iter().enumerate() {
        let mut client = follow(gateway, "", Some(id(message))).await;
        let rest = numbered(&mut client, seen.len() - place - 1).await;
        assert_eq!(numbers(&rest), numbers(&seen[place + 1..]), "behind {place}");
        clients.push(client);
    }
    beside(brokers, "that was all");
    for client in &mut clients {
        // Numbers would be repetitions. The only other event is an earlier mark.
        while marked(&next(client).await) != "that was all" {}
    }
}

/// Uses one connection for each event.
async fn step_by_step(gateway: &Gateway, seen: &[SseMessage]) {
    let mut last = id(&seen[0]).to_owned();
    for expected in &seen[1..] {
        let mut client = follow(gateway, "", Some(&last)).await;
        let got = numbered(&mut client, 1).await.remove(0);
        assert_eq!(number_of(&got), number_of(expected));
        assert_eq!(entry(id(&got), TOPIC, 0), entry(id(expected), TOPIC, 0));
        last = id(&got).to_owned();
    }
}

/// Returns the next `count` events of the numbered topic. Events of the other topic may come in between.
async fn numbered(client: &mut Client, count: usize) -> Vec<SseMessage> {
    let mut messages = Vec::new();
    while messages.len() < count {
        let message = next(client).await;
        if !message.data.starts_with(r#"{"mark""#) {
            messages.push(message);
        }
    }
    messages
}

fn beside(brokers: &Cluster, what: &str) {
    let value = mark(what);
    brokers.producer(BESIDE).start().send_raw(&RawRecord {
        value: Some(value.as_bytes()),
        ..RawRecord::default()
    });
}

fn marked(message: &SseMessage) -> &str {
    let mark = message.data.strip_prefix(r#"{"mark":""#);
    mark.and_then(|mark| mark.strip_suffix(r#""}"#))
        .unwrap_or_else(|| panic!("not a mark: {message:?}"))
}

fn mark(what: &str) -> String {
    format!(r#"{{"mark":"{what}"}}"#)
}

const TOPIC: &str = "shapes-transactions";
const BESIDE: &str = "shapes-beside";
const EARLIER: &str = "shapes-earlier-leader";
const SOON: Duration = Duration::from_secs(60);
