//! Many requests to brokers: for many times at once, and for many partitions at once.

use std::{path::PathBuf, time::Duration};

use riverhead_brokers::{Cluster, Fault, Ledger, NewTopic, scaled, shared, tolerated};
use riverhead_loadtest::{
    client::Ask,
    numbers::{Faults, Truth},
    progress::Progress,
    reading::Reading,
    scenarios::{Report, times::Times},
};
use tokio::time::Instant;

use crate::following::{FROM_THE_START, RIVERHEAD, STREAM, plan, start};

/// `riverhead-loadtest times` is the full form: 1,000 clients in 5 s, and the client for the earliest event
/// in 1 s. Before a change, 54 were served in 60 s, and that client not within 20 s.
#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn clients_with_a_time_of_their_own_each_do_not_wait_in_one_line() {
    let brokers = shared();
    let times = Times {
        binary: PathBuf::from(RIVERHEAD),
        clients: 300,
        addresses: 50,
        partitions: 6,
        round_trip: Duration::from_millis(10),
        within: tolerated(Duration::from_secs(6)),
        bystander_within: tolerated(Duration::from_secs(3)),
        patience: scaled(Duration::from_secs(15)),
        progress: Progress::Silent,
    };
    passes(&times.run_on(brokers.get(), "times").expect("a gateway"));
}

/// `riverhead-loadtest cold` is the full form: 300 partitions in 1 s. Before a change, it took 25 ms for each partition. Here the
/// round trips take so long that a busy machine does not matter: one after the other, each partition takes one at least.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real brokers: ./tests/run"]
async fn a_cold_start_of_many_partitions_does_not_take_them_one_by_one() {
    let brokers = shared();
    create_cold(&brokers, COLD);
    let mut producer = brokers.producer(COLD).start();
    producer.send(COLD_RECORDS);
    reads_together(&brokers, COLD, producer.finish()).await;
}

/// The end of each partition is a marker, which no fetch brings: finding the end takes one fetch more.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real brokers: ./tests/run"]
async fn a_cold_start_of_many_partitions_with_transactions_does_not_take_them_one_by_one() {
    let brokers = shared();
    create_cold(&brokers, COLD_TRANSACTIONS);
    let mut producer = brokers.producer(COLD_TRANSACTIONS).transactional().start();
    producer.begin();
    producer.send(COLD_RECORDS);
    producer.flush();
    producer.commit();
    reads_together(&brokers, COLD_TRANSACTIONS, producer.finish()).await;
}

/// Creates a topic of [`COLD_PARTITIONS`] partitions. One broker leads them all: each broker has a reader of its own, and these work
/// at the same time.
fn create_cold(brokers: &Cluster, topic: &str) {
    let leaders: [&[i32]; COLD_PARTITIONS] = [&[1]; COLD_PARTITIONS];
    brokers.create(&NewTopic::with_replicas(topic, &leaders));
}

/// Asserts that a client gets all records from a gateway that has none of them in memory in half the time that the partitions take
/// one after the other.
async fn reads_together(brokers: &Cluster, topic: &str, ledger: Ledger) {
    assert_eq!(ledger.failed, []);
    let truth = Truth::of(&[ledger]);
    // The default allows ten partitions of a broker to be fetched ahead, this all that one read may have.
    let plan = plan(brokers, &[topic]).set("RIVERHEAD_MEMORY__HISTORY", "512MiB");
    let gateway = start(&plan);
    gateway.wait_for_partitions(COLD_PARTITIONS, SOON);

    for broker in brokers.broker_ids() {
        brokers.proxy(broker).set(Fault::Delay(ROUND_TRIP / 2));
    }
    let began = Instant::now();
    let target = format!("/v2/stream/{STREAM}{FROM_THE_START}");
    let mut reading = Reading::new(gateway.http, Ask::new(target));
    let done = reading.read(truth.len(), None, began + scaled(SOON)).await;
    let took = began.elapsed();
    println!("{took:.2?} for {COLD_PARTITIONS} partitions, each {ROUND_TRIP:?} away");
    assert!(done, "all records within {took:?}");
    assert_eq!(truth.judge(&reading.got), Faults::default());
    let one_by_one = ROUND_TRIP * COLD_PARTITIONS as u32;
    assert!(took < one_by_one / 2, "{took:?} of {one_by_one:?}");
}

fn passes<R: Report>(report: &R) {
    let problems = report.problems();
    println!("{report}");
    assert!(problems.is_empty(), "{problems:?}\n{report}\n{}", report.log());
}

const COLD: &str = "times-cold";
const COLD_TRANSACTIONS: &str = "times-cold-transactions";
const COLD_PARTITIONS: usize = 100;
const COLD_RECORDS: u64 = 3 * COLD_PARTITIONS as u64;

/// The duration of a round trip to a broker while a client starts in many partitions.
const ROUND_TRIP: Duration = Duration::from_millis(200);

const SOON: Duration = Duration::from_secs(60);
