//! Measured memory: the process stays within the sum that `check-config` reports, whatever the records are
//! and however many clients lag.

use std::{net::SocketAddr, num::NonZeroUsize, time::Duration};

use riverhead::partition::MemorySettings;
use riverhead_brokers::{Cluster, NewTopic, Producer, eventually, scaled, shared_alone};
use riverhead_loadtest::{
    client::{Ask, Client},
    gateway::{Gateway, GatewayPlan},
    numbers::{Faults, Truth},
    reading::Reading,
};
use tokio::time::Instant;

use crate::following::{FROM_THE_START, STREAM, plan, start};

const PARTITIONS: usize = 200;

/// Slightly less than the largest value that is sent.
const LARGE: usize = 7_900_000;

const MIB: u64 = 1 << 20;

/// The memory of a record in addition to its value.
const BESIDE: usize = 1024;

/// The memory of one client, whose connection is taken over from the HTTP library.
const A_CLIENT: u64 = 2 * 1024;

/// The budgets are as large as docs/memory.md says for records of this size: the plain sum holds.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real brokers: ./tests/run"]
async fn large_records_hundreds_of_partitions_and_clients_that_do_not_read_stay_within_the_budgets() {
    let memory = budgets(64, 96, 16);
    let sum = memory.resident_bytes(1);
    assert_eq!(
        sum,
        with_large(&memory),
        "the budgets have room for what is on its way"
    );
    stays_within("memory-large", &memory, sum as u64).await;
}

/// The budgets are smaller than the large records on their way. `check-config` prints the sum for that too.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real brokers: ./tests/run"]
async fn large_records_beyond_the_budgets_take_what_is_on_its_way_and_no_more() {
    let memory = budgets(16, 16, 16);
    let sum = with_large(&memory);
    assert!(sum > memory.resident_bytes(1), "the budgets are too small");
    stays_within("memory-larger", &memory, sum as u64).await;
}

/// Writes large and small records for clients that do not read, and for one that does. Asserts that the process takes no more
/// than `sum` and the memory of the clients.
async fn stays_within(topic: &str, memory: &MemorySettings, sum: u64) {
    let brokers = shared_alone();
    create(&brokers, topic);
    let gateway = start(&with(memory, plan(&brokers, &[topic])));
    gateway.wait_for_partitions(PARTITIONS, SOON);
    let bounded = |clients: usize| {
        assert_bounded(
            &gateway,
            sum + clients as u64 * A_CLIENT,
            memory.lanes.get() as u64,
        );
    };
    let mut ledgers = Vec::new();
    let mut small = brokers.producer(topic).record_bytes(1000).start();
    small.send(2 * PARTITIONS as u64);
    small.flush();
    let mut lagging = lag(&gateway, 0, "").await;
    let mut large = large(&brokers, topic);
    // First into partitions that are otherwise quiet, then into all: small records must still be shed.
    for round in 0..3 {
        large.send(8);
        large.flush();
        small.send(2000);
        small.flush();
        lagging.extend(lag(&gateway, 1 + round, FROM_THE_START).await);
        bounded(lagging.len());
    }
    ledgers.extend([small.finish(), large.finish()]);
    let truth = Truth::of(&ledgers);
    let mut honest = Reading::new(
        gateway.http,
        Ask::new(format!("/v2/stream/{STREAM}{FROM_THE_START}")),
    );
    honest
        .read(truth.len(), None, Instant::now() + scaled(SOON))
        .await;
    assert_eq!(
        truth.judge(&honest.got),
        Faults::default(),
        "the other clients lag, this one does not"
    );
    bounded(lagging.len());
    drop(lagging);
    drop(honest);
    eventually(SOON, "the clients' batches are given back", || {
        gateway
            .metric("riverhead_lane_ring_bytes")
            .is_ok_and(|bytes| bytes <= memory.lanes.get() as f64)
    });
}

/// Returns budgets of this many MiB.
fn budgets(tail: usize, history: usize, lanes: usize) -> MemorySettings {
    let bytes = |mib: usize| NonZeroUsize::new(mib * MIB as usize).expect("not zero");
    MemorySettings {
        tail: bytes(tail),
        history: bytes(history),
        lanes: bytes(lanes),
    }
}

/// Returns the sum for large records from three brokers.
fn with_large(memory: &MemorySettings) -> usize {
    memory.resident_bytes_with_large(&[3], LARGE + BESIDE)
}

fn with(memory: &MemorySettings, plan: GatewayPlan) -> GatewayPlan {
    let budgets = [
        ("TAIL", memory.tail),
        ("HISTORY", memory.history),
        ("LANES", memory.lanes),
    ];
    budgets.into_iter().fold(plan, |plan, (name, bytes)| {
        let mib = bytes.get() as u64 / MIB;
        plan.set(&format!("RIVERHEAD_MEMORY__{name}"), &format!("{mib}MiB"))
    })
}

fn create(brokers: &Cluster, topic: &str) {
    let ids = brokers.broker_ids();
    let replicas: Vec<_> = ids.iter().map(|id| [*id]).collect();
    let replicas: Vec<&[i32]> = replicas
        .iter()
        .map(|id| &id[..])
        .cycle()
        .take(PARTITIONS)
        .collect();
    brokers.create(&NewTopic::with_replicas(topic, &replicas).config("max.message.bytes", "12000000"));
}

fn large(brokers: &Cluster, topic: &str) -> Producer {
    brokers
        .producer(topic)
        .record_bytes(LARGE)
        .property("message.max.bytes", "12000000")
        .start()
}

/// Starts clients that read only their head: in one lane, each with a different filter, or as gzip.
async fn lag(gateway: &Gateway, round: usize, query: &str) -> Vec<Client> {
    let mut clients = Vec::new();
    for n in 0..8 {
        let separator = if query.is_empty() { '?' } else { '&' };
        let own = format!(
            "{query}{separator}filter=n%3E%3D0%20or%20n%3D-{}",
            1 + 8 * round + n
        );
        for query in [query.to_owned(), own.clone(), format!("{own}&encoding=gzip")] {
            let ask = Ask {
                // One address may have five filters.
                from: Some(SocketAddr::from(([127, 0, 7, (8 * round + n) as u8], 0))),
                // The kernel buffers little, so that the rest is in the gateway.
                receive_buffer: Some(64 * 1024),
                ..Ask::new(format!("/v2/stream/{STREAM}{query}"))
            };
            let client = Client::connect(gateway.http, &ask).await.expect("a response");
            assert_eq!(client.status, 200, "{}", client.head);
            clients.push(client);
        }
    }
    clients
}

fn assert_bounded(gateway: &Gateway, bound: u64, lanes_budget: u64) {
    let most = gateway.most_resident().expect("its memory");
    let now = gateway.resident().expect("its memory");
    let metric = |name: &str| gateway.metric(name).unwrap_or_default() as u64 / MIB;
    let (tail, lanes) = (
        metric("riverhead_tail_ring_bytes"),
        metric("riverhead_lane_ring_bytes"),
    );
    println!(
        "{} MiB of {} MiB; now {}, tail {tail}, lanes {lanes}",
        most / MIB,
        bound / MIB,
        now / MIB
    );
    assert!(
        most <= bound,
        "a peak of {} MiB of {} MiB",
        most / MIB,
        bound / MIB
    );
    // The memory of clients that do not read is a part of the budget, in however many events they stopped.
    eventually(SOON, "what is composed within its budget", || {
        let lanes = gateway.metric("riverhead_lane_ring_bytes");
        lanes.is_ok_and(|lanes| lanes as u64 <= lanes_budget)
    });
}

const SOON: Duration = Duration::from_secs(60);
