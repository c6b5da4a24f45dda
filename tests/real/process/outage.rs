//! Kafka or this process is down: clients wait or reconnect, and end with everything once.

use std::time::Duration;

use futures_util::future::join_all;
use riverhead_brokers::{Cluster, Fault, eventually, scaled, shared};
use riverhead_loadtest::{
    client::{Ask, Client},
    gateway::Gateway,
    numbers::{Faults, Truth},
    reading::Reading,
};
use tokio::{task::JoinHandle, time::Instant};

use crate::following::{FROM_THE_START, follow, heartbeats, next, number_of, numbers, plan, start, take};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real brokers: ./tests/run"]
async fn a_gateway_that_starts_without_kafka_holds_its_clients_until_it_comes() {
    let brokers = shared();
    brokers.create_topic(LATE, 2);
    let mut producer = brokers.producer(LATE).start();
    producer.send(50);
    producer.flush();
    let before = producer.ledger().numbers();
    doors(&brokers, Fault::Refuse);
    let gateway = start(&plan(&brokers, &[LATE]).set("RIVERHEAD_HTTP__HEARTBEAT", "300ms"));
    let mut live = follow(&gateway, "", None).await;
    let mut replaying = follow(&gateway, FROM_THE_START, None).await;
    heartbeats(&mut live, 4).await;
    heartbeats(&mut replaying, 4).await;
    assert!(gateway.admin("/readyz").expect("an answer").contains(" 200 "));
    // After the connects, while no broker can be reached.
    producer.send(50);
    producer.flush();
    heartbeats(&mut live, 2).await;

    doors(&brokers, Fault::Pass);
    let all = producer.ledger().numbers();
    assert_eq!(
        sorted(&mut live, 50).await,
        all.difference(&before).copied().collect::<Vec<_>>()
    );
    assert_eq!(
        sorted(&mut replaying, 100).await,
        all.into_iter().collect::<Vec<_>>()
    );
    let [last] = <[u64; 1]>::try_from(producer.send(1).collect::<Vec<_>>()).expect("one");
    producer.flush();
    for client in [&mut live, &mut replaying] {
        assert_eq!(number_of(&next(client).await), last, "and nothing twice");
    }
}

async fn sorted(client: &mut Client, count: usize) -> Vec<u64> {
    let mut numbers = numbers(&take(client, count).await);
    numbers.sort_unstable();
    numbers
}

fn doors(brokers: &Cluster, fault: Fault) {
    brokers
        .broker_ids()
        .into_iter()
        .for_each(|broker| brokers.proxy(broker).set(fault));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real brokers: ./tests/run"]
async fn nobody_is_cut_while_all_brokers_are_frozen() {
    let brokers = shared();
    brokers.create_topic(FROZEN, 3);
    let gateway = start(&plan(&brokers, &[FROZEN]).set("RIVERHEAD_HTTP__HEARTBEAT", "500ms"));
    let mut clients = join_all((0..20).map(|_| follow(&gateway, FROM_THE_START, None))).await;
    let producer = brokers.producer(FROZEN).rate(200.0).start().run();
    eventually(Duration::from_secs(60), "a flow", || {
        producer.acknowledged() > 200
    });
    for broker in brokers.broker_ids() {
        brokers.freeze(broker);
    }
    let before = frozen(&mut clients, scaled(Duration::from_secs(8))).await;
    // A client that connects now is served like the others.
    clients.push(follow(&gateway, FROM_THE_START, None).await);
    for broker in brokers.broker_ids() {
        brokers.thaw(broker);
    }
    let thawed = producer.acknowledged();
    eventually(Duration::from_secs(60), "a flow again", || {
        producer.acknowledged() > thawed + 400
    });
    let truth = Truth::of(&[producer.finish()]);
    let mut got = before;
    got.resize_with(clients.len(), Vec::new);
    for (client, got) in clients.iter_mut().zip(got) {
        let mut got = riverhead_loadtest::numbers::Got {
            numbers: got,
            ..Default::default()
        };
        // `numbers` accepts nothing except numbers: a gap would be a failure, and so would an end.
        got.numbers
            .extend(numbers(&take(client, truth.len() - got.numbers.len()).await));
        assert_eq!(truth.judge(&got), Faults::default());
    }
    assert!(!gateway.log().contains("stream ended"), "{}", gateway.log());
}

/// Reads for this time. Returns what each client received.
async fn frozen(clients: &mut [Client], duration: Duration) -> Vec<Vec<u64>> {
    let end = Instant::now() + duration;
    let readers = clients.iter_mut().map(|client| async move {
        let (mut got, first) = (Vec::new(), client.comments());
        while Instant::now() < end {
            // A heartbeat ends the read at the latest.
            let read = client.fill(usize::MAX).await.expect("an open connection");
            assert!(read > 0, "cut");
            while let Some(message) = client.ready() {
                got.push(number_of(&message));
            }
        }
        assert!(client.comments() > first + 5, "heartbeats while nothing comes");
        got
    });
    join_all(readers).await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real brokers: ./tests/run"]
async fn clients_resume_exactly_across_a_killed_process() {
    let brokers = shared();
    brokers.create_topic(KILLED, 3);
    let plan = plan(&brokers, &[KILLED]);
    let mut gateway = start(&plan);
    // The successor takes the port over, as a restarted service does.
    let plan = plan.set("RIVERHEAD_HTTP__LISTEN", &gateway.http.to_string());
    let (part, count) = (2_000, 6_000);
    let mut producer = brokers.producer(KILLED).rate(1_000.0).start();
    let readers: Vec<_> = (0..20).map(|_| reader(&gateway, count)).collect();
    for kill in 1..=2 {
        // Nobody has all events before the last part.
        let writer = tokio::task::spawn_blocking(move || {
            producer.send(part);
            producer
        });
        let metric = |name| gateway.metric(name).unwrap_or_default();
        eventually(Duration::from_secs(60), "events for all", || {
            metric("riverhead_streams_admitted") == 20.0
                && metric("riverhead_events_sent_total") > 20.0 * 500.0
        });
        let port = gateway.http;
        drop(gateway);
        gateway = start(&plan);
        assert_eq!(gateway.http, port, "kill {kill}");
        producer = writer.await.expect("the writer");
    }
    let writer = tokio::task::spawn_blocking(move || {
        producer.send(part);
        producer.finish()
    });
    let truth = Truth::of(&[writer.await.expect("the writer")]);
    assert_eq!(truth.len(), count);
    for reader in readers {
        let reading = reader.await.expect("a reader");
        assert_eq!(truth.judge(&reading.got), Faults::default());
        assert_eq!(reading.got.gaps, Vec::<String>::new());
        let connects = reading.connects - reading.refusals.len();
        assert!(connects >= 3, "{connects} connects, two of them after a kill");
    }
}

fn reader(gateway: &Gateway, count: usize) -> JoinHandle<Reading> {
    let ask = Ask::new(format!("/v2/stream/stream{FROM_THE_START}"));
    let mut reading = Reading::new(gateway.http, ask);
    tokio::spawn(async move {
        let deadline = Instant::now() + scaled(Duration::from_secs(90));
        reading.read(count, None, deadline).await;
        reading
    })
}

const LATE: &str = "process-late";
const FROZEN: &str = "process-frozen";
const KILLED: &str = "process-killed";
