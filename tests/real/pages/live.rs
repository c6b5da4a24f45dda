//! The live page while a broker is killed.

use std::time::Duration;

use riverhead_brokers::{scaled, shared_alone};

use super::Page;
use crate::following::{STREAM, plan, start};

#[test]
#[ignore = "needs real brokers and Chromium: ./tests/run"]
fn a_broker_that_is_killed_and_comes_back_costs_the_page_no_event_and_no_reconnect() {
    let brokers = shared_alone();
    brokers.create_topic(TOPIC, 3);
    let gateway = start(&plan(&brokers, &[TOPIC]));
    let address = format!("http://{}/#streams={STREAM}&since=0&fields=n", gateway.http);
    let mut page = Page::open(&address);
    let flow = brokers.producer(TOPIC).rate(RATE).start().run();
    let received = |count: usize| format!("{RECEIVED} >= {count}");
    page.until(&received(20), scaled(SOON));

    brokers.kill(2);
    // Producers wait for new leaders too.
    let killed = flow.acknowledged();
    page.until(&received(killed + 30), scaled(SOON));
    page.screenshot("page-broker-killed");
    brokers.start_broker(2);
    let back = flow.acknowledged();
    page.until(&received(back + 20), scaled(SOON));
    let written = flow.finish();
    assert!(written.failed.is_empty(), "{:?}", written.failed);
    page.until(&format!("{RECEIVED} === {}", written.len()), scaled(SOON));

    // All are drawn: fewer come than the page draws and keeps.
    let drawn = page.until(
        &format!("{DRAWN}.length === {} && {DRAWN}", written.len()),
        scaled(SOON),
    );
    let mut drawn: Vec<u64> = serde_json::from_value(drawn).expect("numbers");
    let mut numbers: Vec<_> = (0..3)
        .flat_map(|partition| written.numbers_of(partition))
        .collect();
    drawn.sort_unstable();
    numbers.sort_unstable();
    assert_eq!(drawn, numbers, "each once");
    for part in ["gap", "reconnect", "end"] {
        let told = page.value(&format!("document.querySelectorAll('[data-part={part}]').length"));
        assert_eq!(told, 0, "{part}");
    }
    page.screenshot("page-broker-back");
    page.check();
}

/// The number of events that the page has received.
const RECEIVED: &str = "Number(document.querySelector('[data-part=events]').dataset.received)";

/// The numbers of the events that are in the list.
const DRAWN: &str =
    "[...document.querySelectorAll('[data-part=event]')].map((row) => Number(row.cells[2].textContent))";

/// Events per second: so few that the page keeps all of them.
const RATE: f64 = 4.0;

/// The longest time of what takes some seconds.
const SOON: Duration = Duration::from_secs(60);

const TOPIC: &str = "page-killed";
