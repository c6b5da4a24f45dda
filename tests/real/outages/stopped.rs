//! All brokers are stopped at once: clients wait on open connections, and the backlog reaches them faster
//! than it was written.

use std::{
    thread,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use riverhead_brokers::{eventually, scaled, shared, slack};
use riverhead_loadtest::{
    client::Client,
    gateway::Gateway,
    numbers::{Faults, Got, Truth},
};

use super::crowd::{ReaderGroup, SOON, ask};
use crate::{
    following::{FROM_THE_START, STREAM, follow, heartbeats, numbers, plan, start, take},
    healthz::{until_said, until_state},
};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real brokers: ./tests/run"]
async fn all_clients_outlast_a_stop_of_all_brokers_and_the_backlog_drains_three_times_as_fast() {
    let brokers = shared();
    let cluster = brokers.get();
    cluster.create_topic(TOPIC, 3);
    let gateway = start(&plan(&brokers, &[TOPIC]).set("RIVERHEAD_HTTP__HEARTBEAT", "500ms"));
    let mut clients = ReaderGroup::new();
    clients.join(&gateway, &ask(STREAM, FROM_THE_START), 50).await;
    let mut before = cluster.producer(TOPIC).rate(RATE).start();
    before.send(RATE as u64 * 2);
    let after = cluster.producer(TOPIC).rate(RATE).start();
    let before = before.finish();
    clients.wait_for(before.len());

    cluster
        .broker_ids()
        .into_iter()
        .for_each(|broker| cluster.stop(broker));
    let after = after.run();
    let (mut live, late) = come_meanwhile(&gateway).await;
    tells(&gateway);
    cluster
        .broker_ids()
        .into_iter()
        .for_each(|broker| cluster.spawn(broker));
    let drained = BacklogDrain::of(&clients, before.len(), || after.acknowledged());
    cluster
        .broker_ids()
        .into_iter()
        .for_each(|broker| cluster.wait_for_broker(broker));
    println!("{drained:?}, of {RATE} a second");
    assert!(
        drained.per_second() > RATE.max(3.0 * RATE / slack()),
        "{drained:?}"
    );

    let after = after.finish();
    for crowd in [clients, late] {
        crowd
            .gets_uncut(&Truth::of(&[before.clone(), after.clone()]))
            .await;
    }
    let truth = Truth::of(&[after]);
    for client in &mut live {
        let numbers = numbers(&take(client, truth.len()).await);
        let got = Got {
            numbers,
            ..Got::default()
        };
        assert_eq!(truth.judge(&got), Faults::default());
    }
}

/// Connects clients for new events, and clients for existing events. They stay for the length of the outage.
async fn come_meanwhile(gateway: &Gateway) -> (Vec<Client>, ReaderGroup) {
    let mut late = ReaderGroup::new();
    late.join(gateway, &ask(STREAM, FROM_THE_START), 10).await;
    let mut live = join_all((0..5).map(|_| follow(gateway, "", None))).await;
    let beats = scaled(OUTAGE).as_millis() / 500;
    join_all(live.iter_mut().map(|client| heartbeats(client, beats as u64))).await;
    (live, late)
}

/// Asserts that health reports the outage, and that neither a restart of the gateway nor a move of its
/// clients is requested.
fn tells(gateway: &Gateway) {
    until_said(
        gateway,
        "/clusters/0",
        "failing",
        &["no broker has returned metadata"],
    );
    until_state(gateway, "failing");
    for path in ["/livez", "/readyz"] {
        let answer = gateway.admin(path).expect("an answer");
        assert!(answer.contains(" 200 "), "{path}: {answer}");
    }
}

/// How a backlog was delivered.
#[derive(Debug)]
struct BacklogDrain {
    events: usize,
    took: Duration,
}

impl BacklogDrain {
    /// Measures from the first event of clients that have `before`, until they have caught up with the
    /// producer.
    fn of(clients: &ReaderGroup, before: usize, written: impl Fn() -> usize) -> Self {
        eventually(SOON, "an event after the outage", || clients.each() > before);
        let (began, first) = (Instant::now(), clients.each());
        let pile = (RATE * scaled(OUTAGE).as_secs_f64()) as usize;
        while clients.each() < before + pile.max(written().saturating_sub(WITHIN)) {
            assert!(
                began.elapsed() < scaled(SOON),
                "{} of {}",
                clients.each(),
                written()
            );
            thread::sleep(Duration::from_millis(2));
        }
        Self {
            events: clients.each() - first,
            took: began.elapsed(),
        }
    }

    fn per_second(&self) -> f64 {
        self.events as f64 / self.took.as_secs_f64()
    }
}

/// A minute in the full form. It ends when the first writes have waited for half of their timeout.
const OUTAGE: Duration = Duration::from_secs(8);

/// Records per second.
const RATE: f64 = 300.0;

/// The records in transit when a client has caught up with the producer.
const WITHIN: usize = 60;

const TOPIC: &str = "stopped";
