//! Retention that is faster than a reader: what it deleted is reported exactly, and nothing else is lost.

use std::{collections::HashMap, time::Duration};

use riverhead_brokers::{Cluster, Ledger, NewTopic, Producer, eventually, shared};
use riverhead_loadtest::{
    client::{Ask, Client},
    gateway::Gateway,
};
use serde_json::Value;

use crate::following::{FROM_THE_START, STREAM, entry, next, number_of, plan, start};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real brokers: ./tests/run"]
async fn every_record_that_retention_takes_from_a_slow_reader_is_told() {
    let brokers = shared();
    create(&brokers);
    let mut producer = producer(&brokers);
    producer.send(20_000);
    producer.flush();
    // The memory is so small that a reader this far back depends on the brokers.
    let plan = plan(&brokers, &[TOPIC])
        .set("RIVERHEAD_MEMORY__TAIL", "1MiB")
        .set("RIVERHEAD_MEMORY__HISTORY", "1MiB");
    let gateway = start(&plan);
    let mut slow = slow_reader(&gateway).await;
    let mut journal = Journal::default();
    journal.read(&mut slow, 300).await;

    set(&brokers, "retention.bytes", Some("3000000"));
    let writing = producer.run();
    for round in 1..=3 {
        overtake(&brokers, &journal);
        journal.read_past_a_gap(&mut slow, round).await;
        journal.read(&mut slow, 300).await;
    }
    let mut producer = writing.stop();
    set(&brokers, "retention.bytes", None);
    producer.flush();
    journal.read_up_to(&mut slow, brokers.offsets(TOPIC, 0).end).await;

    // All records expire: an empty log whose end is not its beginning.
    let mut late = slow_reader(&gateway).await;
    let mut of_late = Journal::default();
    of_late.read(&mut late, 300).await;
    set(&brokers, "retention.ms", Some("1000"));
    let all = brokers.offsets(TOPIC, 0).end;
    eventually(SOON, "an empty log", || {
        let offsets = brokers.offsets(TOPIC, 0);
        if offsets.start == all {
            Ok(())
        } else {
            Err(format!("{offsets:?}"))
        }
    });
    set(&brokers, "retention.ms", None);
    producer.send(10);
    let ledger = producer.finish();
    for (client, journal) in [(&mut slow, &mut journal), (&mut late, &mut of_late)] {
        journal.read_up_to(client, all + 10).await;
        journal.judge(&ledger);
    }
    assert!(journal.gaps() >= 3 && of_late.gaps() >= 1);
}

/// What a reader received, in order.
#[derive(Default)]
struct Journal {
    steps: Vec<Step>,
    /// The next expected offset, by what the reader received last.
    next: i64,
}

enum Step {
    Record(u64),
    Gap { requested: i64, resumed: i64 },
}

impl Journal {
    async fn step(&mut self, client: &mut Client) -> &Step {
        let message = next(client).await;
        let step = if message.event == "gap" {
            gap(&message.data)
        } else {
            Step::Record(number_of(&message))
        };
        self.next = match &step {
            Step::Gap { resumed, .. } => *resumed,
            Step::Record(_) => offset_of(message.id.as_deref()),
        };
        self.steps.push(step);
        &self.steps[self.steps.len() - 1]
    }

    async fn read(&mut self, client: &mut Client, count: usize) {
        for _ in 0..count {
            self.step(client).await;
        }
    }

    async fn read_past_a_gap(&mut self, client: &mut Client, round: usize) {
        for _ in 0..MANY {
            if matches!(self.step(client).await, Step::Gap { .. }) {
                return;
            }
        }
        panic!("round {round}: overtaken, and yet no gap in {MANY} events");
    }

    async fn read_up_to(&mut self, client: &mut Client, end: i64) {
        while self.next < end {
            self.step(client).await;
        }
    }

    fn gaps(&self) -> usize {
        self.steps
            .iter()
            .filter(|step| matches!(step, Step::Gap { .. }))
            .count()
    }

    /// Asserts that every acknowledged record was received in order and once, or lies in a gap at its place.
    fn judge(&self, ledger: &Ledger) {
        let acked = ledger.partitions[&0].iter();
        let offsets: HashMap<u64, i64> = acked.map(|acked| (acked.n, acked.offset)).collect();
        let mut next = None;
        for step in &self.steps {
            next = Some(match *step {
                Step::Record(number) => {
                    let offset = *offsets
                        .get(&number)
                        .unwrap_or_else(|| panic!("{number} is invented"));
                    // Without transactions and compaction, every offset is a record.
                    assert_eq!(offset, next.unwrap_or(offset), "lost or repeated without a word");
                    offset + 1
                }
                Step::Gap { requested, resumed } => {
                    assert_eq!(Some(requested), next, "a gap begins where the reader stands");
                    assert!(
                        resumed > requested,
                        "nothing is missing: {requested} to {resumed}"
                    );
                    resumed
                }
            });
        }
        let end = offsets.values().max().map(|last| last + 1);
        assert_eq!(next, end, "read to the end");
    }
}

fn gap(data: &str) -> Step {
    let gap: Value = serde_json::from_str(data).expect("a gap is JSON");
    assert_eq!(
        (gap["topic"].as_str(), gap["reason"].as_str()),
        (Some(TOPIC), Some("expired"))
    );
    let offset = |name: &str| gap[name].as_i64().unwrap_or_else(|| panic!("no {name}: {gap}"));
    Step::Gap {
        requested: offset("requested"),
        resumed: offset("resumed"),
    }
}

fn offset_of(id: Option<&str>) -> i64 {
    let entry = entry(id.expect("an id"), TOPIC, 0);
    entry["offset"].as_i64().expect("an offset")
}

fn create(brokers: &Cluster) {
    let topic = NewTopic::with_replicas(TOPIC, &[&[1]])
        .config("segment.bytes", "1048576")
        .config("file.delete.delay.ms", "100");
    brokers.create(&topic);
}

fn producer(brokers: &Cluster) -> Producer {
    // Small batches, so that segments end at their configured size.
    let producer = brokers.producer(TOPIC).record_bytes(700).rate(10_000.0);
    producer.property("batch.size", "65536").start()
}

async fn slow_reader(gateway: &Gateway) -> Client {
    let mut ask = Ask::new(format!("/v2/stream/{STREAM}{FROM_THE_START}"));
    ask.receive_buffer = Some(16 * 1024);
    let client = Client::connect(gateway.http, &ask).await;
    client.expect("a response")
}

fn set(brokers: &Cluster, key: &str, value: Option<&str>) {
    brokers.alter_topic_config(TOPIC, &[(key, value)]);
}

/// Waits until the log begins after everything that a gateway may have read ahead for this reader.
fn overtake(brokers: &Cluster, journal: &Journal) {
    eventually(SOON, "retention faster than the reader", || {
        let start = brokers.offsets(TOPIC, 0).start;
        let far = start > journal.next + READ_AHEAD;
        far.then_some(())
            .ok_or_else(|| format!("{start}, read {}", journal.next))
    });
}

const TOPIC: &str = "shapes-expiring";

/// Several pages, what is fetched ahead (at least 2 MiB per partition), and what sockets buffer.
const READ_AHEAD: i64 = 12_000;

/// More records than the log ever has at a time.
const MANY: usize = 60_000;

const SOON: Duration = Duration::from_secs(60);
