//! A restart of the gateway: its clients reconnect spread over a window, and resume.

use std::time::{Duration, Instant};

use riverhead_brokers::{scaled, shared_alone};
use riverhead_loadtest::{numbers::Truth, reading::Reading, visitors::ConnectingClients};

use super::crowd::{ReaderGroup, SOON, ask};
use crate::following::{FROM_THE_START, STREAM, plan, start, terminate};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real brokers: ./tests/run"]
async fn two_thousand_clients_leave_spread_over_the_window_and_lose_nothing_by_a_cold_restart() {
    let brokers = shared_alone();
    brokers.create_topic(TOPIC, 3);
    let plan = plan(&brokers, &[TOPIC]).set("RIVERHEAD_HTTP__DRAIN", &format!("{}s", WINDOW.as_secs()));
    let mut gateway = start(&plan);
    let mut clients = ReaderGroup::new();
    clients
        .join(&gateway, &ask(STREAM, FROM_THE_START), CLIENTS)
        .await;
    let flow = brokers.producer(TOPIC).rate(4.0).start().run();
    clients.wait_for(4);

    terminate(&gateway);
    let began = Instant::now();
    let code = gateway.wait(scaled(SOON)).expect("an end");
    assert_eq!(code, Some(0), "{}", gateway.log());
    let successor = start(&plan.set("RIVERHEAD_HTTP__LISTEN", &gateway.http.to_string()));
    assert_eq!(successor.http, gateway.http);
    clients.wait_for(flow.acknowledged());
    let readings = clients.gets(&Truth::of(&[flow.finish()])).await;

    for reading in &readings {
        assert!(reading.ends.iter().all(|end| end.planned), "{:?}", reading.ends);
        assert_eq!(reading.got.gaps, Vec::<String>::new());
    }
    spread(&readings, began);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real brokers: ./tests/run"]
async fn two_thousand_clients_lose_nothing_and_nobody_is_refused_by_a_hot_restart() {
    let brokers = shared_alone();
    brokers.create_topic(HOT, 3);
    let plan = plan(&brokers, &[HOT]).set("RIVERHEAD_HTTP__DRAIN", &format!("{}s", WINDOW.as_secs()));
    let mut gateway = start(&plan);
    let mut clients = ReaderGroup::new();
    clients
        .join(&gateway, &ask(STREAM, FROM_THE_START), CLIENTS)
        .await;
    let flow = brokers.producer(HOT).rate(4.0).start().run();
    clients.wait_for(4);
    let visitors = ConnectingClients::start(gateway.http, &ask(STREAM, ""));

    let told = Instant::now();
    let _successor = gateway.hand_over(scaled(SOON)).expect("a successor");
    let (began, before) = (Instant::now(), visitors.served());
    let code = gateway.wait(scaled(SOON)).expect("an end");
    assert_eq!(code, Some(0), "{}", gateway.log());
    let meanwhile = visitors.served() - before;
    clients.wait_for(flow.acknowledged());
    let welcome = visitors.end().await;
    let readings = clients.gets(&Truth::of(&[flow.finish()])).await;

    println!("a successor served after {:.2?}", began - told);
    println!("newcomers: {welcome:?}, of them {meanwhile} while the predecessor drained");
    assert!(meanwhile > 0, "a client connected meanwhile");
    assert!(welcome.is_ok(), "{welcome:?}");
    for reading in &readings {
        assert_eq!(reading.refusals, Vec::<String>::new());
        assert!(reading.ends.iter().all(|end| end.planned), "{:?}", reading.ends);
        assert_eq!(reading.connects, 2, "cut once: {:?}", reading.ends);
        assert_eq!(reading.got.gaps, Vec::<String>::new());
    }
    spread(&readings, began);
}

/// Asserts that the first closes of clients are spread: no quarter of the window has almost none, and none
/// has most of them.
fn spread(readings: &[Reading], began: Instant) {
    let ends = readings
        .iter()
        .map(|reading| reading.ends[0].at.duration_since(began));
    let mut slots = [0_usize; SLOTS];
    for end in ends {
        let slot = end.as_secs_f64() / WINDOW.as_secs_f64() * SLOTS as f64;
        slots[(slot as usize).min(SLOTS - 1)] += 1;
    }
    for (slot, count) in slots.iter().enumerate() {
        let from = WINDOW.mul_f64(slot as f64 / SLOTS as f64);
        println!("{from:>6.2?} {count:>4} {}", "#".repeat(count * 200 / CLIENTS));
    }
    for quarter in slots.chunks(SLOTS / 4) {
        let share = quarter.iter().sum::<usize>() as f64 / CLIENTS as f64;
        assert!((0.1..0.5).contains(&share), "{slots:?}");
    }
}

const CLIENTS: usize = 2_000;

/// The window within which clients are closed.
const WINDOW: Duration = Duration::from_secs(8);

/// The number of slots of the histogram.
const SLOTS: usize = 16;

const TOPIC: &str = "restart";
const HOT: &str = "restart-hot";
