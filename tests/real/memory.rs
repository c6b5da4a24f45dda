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

const TOPIC: &str = "memory-large";
const PARTITIONS: usize = 200;

/// Slightly less than the largest value that is sent.
const LARGE: usize = 7_900_000;

const MIB: u64 = 1 << 20;

/// Each budget of `[memory]`.
const BUDGET: u64 = 16 * MIB;

/// The memory of a record in addition to its value.
const BESIDE: usize = 1024;

/// The memory of one client: more than that of an HTTP/2 client.
const A_CLIENT: u64 = 14 * 1024;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real brokers: ./tests/run"]
async fn large_records_hundreds_of_partitions_and_clients_that_do_not_read_stay_within_the_bound() {
    let brokers = shared_alone();
    create(&brokers);
    let gateway = start(&small(plan(&brokers, &[TOPIC])));
    gateway.wait_for_partitions(PARTITIONS, SOON);
    let mut ledgers = Vec::new();
    let mut small = brokers.producer(TOPIC).record_bytes(1000).start();
    small.send(2 * PARTITIONS as u64);
    small.flush();
    let mut lagging = lag(&gateway, 0, "").await;
    let mut large = large(&brokers);
    // First into partitions that are otherwise quiet, then into all: small records must still be shed.
    for round in 0..3 {
        large.send(8);
        large.flush();
        small.send(2000);
        small.flush();
        lagging.extend(lag(&gateway, 1 + round, FROM_THE_START).await);
        assert_bounded(&gateway, lagging.len());
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
    assert_bounded(&gateway, lagging.len());
    drop(lagging);
    drop(honest);
    eventually(SOON, "the clients' batches are given back", || {
        gateway
            .metric("riverhead_lane_ring_bytes")
            .is_ok_and(|bytes| bytes <= BUDGET as f64)
    });
}

/// Sets the same budgets for all.
fn small(plan: GatewayPlan) -> GatewayPlan {
    let budget = format!("{}MiB", BUDGET / MIB);
    ["TAIL", "HISTORY", "LANES"].into_iter().fold(plan, |plan, name| {
        plan.set(&format!("RIVERHEAD_MEMORY__{name}"), &budget)
    })
}

fn create(brokers: &Cluster) {
    let ids = brokers.broker_ids();
    let replicas: Vec<_> = ids.iter().map(|id| [*id]).collect();
    let replicas: Vec<&[i32]> = replicas
        .iter()
        .map(|id| &id[..])
        .cycle()
        .take(PARTITIONS)
        .collect();
    brokers.create(&NewTopic::with_replicas(TOPIC, &replicas).config("max.message.bytes", "12000000"));
}

fn large(brokers: &Cluster) -> Producer {
    brokers
        .producer(TOPIC)
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

/// Returns the bound of docs/memory.md, which `check-config` reports too: the budgets, a cluster, and large
/// records in transit from three brokers if they exceed the budgets.
fn bound(clients: usize) -> u64 {
    let budget = NonZeroUsize::new(BUDGET as usize).expect("not zero");
    let memory = MemorySettings {
        tail: budget,
        history: budget,
        lanes: budget,
    };
    memory.resident_bytes_with_large(&[3], LARGE + BESIDE) as u64 + clients as u64 * A_CLIENT
}

fn assert_bounded(gateway: &Gateway, clients: usize) {
    let most = gateway.most_resident().expect("its memory");
    let bound = bound(clients);
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
        lanes.is_ok_and(|lanes| lanes as u64 <= BUDGET)
    });
}

const SOON: Duration = Duration::from_secs(60);
