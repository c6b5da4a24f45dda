//! The operator's page during outages of other services, repeated (`outages`): the cause is on top within ten seconds.
//!
//! Those that need no broker are in `tests/pages/operator.test.mjs`: the bootstrap list of which nothing answers, and the address that
//! asks for all streams.

use std::time::{Duration, Instant};

use riverhead_brokers::{
    BrokerFailure, Fault, NewTopic, RawRecord, Replacement, Truncation, scaled, shared_alone, tolerated,
};
use riverhead_loadtest::gateway::Gateway;

use super::Page;
use crate::{
    following::{plan, start},
    healthz::until_state,
};

/// The page of a gateway that is well.
struct Operator {
    page: Page,
    name: &'static str,
}

impl Operator {
    /// Opens the page when the gateway is in this state, and waits until it says so.
    fn open(gateway: &Gateway, state: &str, name: &'static str) -> Self {
        until_state(gateway, state);
        let mut page = Page::open(&format!("http://{}/", gateway.admin));
        let shown = format!("document.querySelector('.verdict')?.dataset.state === {state:?}");
        page.until(&shown, scaled(SOON));
        Self { page, name }
    }

    /// Waits until a fault with this subject and these words is listed, and checks how long that took since the outage began. The
    /// runbook's section of this name must be beside it.
    fn tells(&mut self, began: Instant, subject: &str, words: &[&str], section: &str) {
        let fault = format!(
            "[...document.querySelectorAll('[data-part=fault]')].find((fault) => fault.dataset.subject.startsWith({subject:?}) \
             && {words:?}.every((word) => fault.querySelector('summary').textContent.includes(word)))"
        );
        self.page.until(&format!("!!{fault}"), scaled(SOON));
        let took = began.elapsed();
        let said = self
            .page
            .value(&format!("{fault}.querySelector('summary').textContent"));
        println!("{}: after {took:.1?}: {said}", self.name);
        let help = format!("{fault}.querySelector('h3')?.textContent");
        assert_eq!(self.page.value(&help), section, "the runbook");
        self.page.screenshot(&format!("outage-{}", self.name));
        self.page.check();
        assert!(took <= tolerated(READABLE), "{took:?}");
    }
}

/// MediaWiki, 2016.
#[test]
#[ignore = "needs real brokers and Chromium: ./tests/run"]
fn a_broker_that_answers_nothing_is_named_with_its_address() {
    let brokers = shared_alone();
    brokers.create(&NewTopic::with_replicas(HOLE, &[&[1, 2], &[3, 1]]));
    let gateway = start(&plan(&brokers, &[HOLE]));
    let mut operator = Operator::open(&gateway, "ok", "black-hole");
    let hole = brokers.proxy(3);
    hole.set(Fault::Blackhole);
    hole.cut();
    let address = hole.address().to_string();
    operator.tells(
        Instant::now(),
        &format!("Broker 3 ({address})"),
        &["not answered"],
        "RiverheadBrokerUnreachable",
    );
}

/// Honeycomb, 2017.
#[test]
#[ignore = "needs real brokers and Chromium: ./tests/run"]
fn a_partition_without_a_leader_is_named_and_its_truncated_log_afterwards() {
    let brokers = shared_alone();
    let cluster = brokers.get();
    let truncation = Truncation::prepare_by(cluster, SPLIT, BrokerFailure::Frozen);
    let gateway = start(&plan(&brokers, &[SPLIT]));
    // One of its two replicas is frozen already.
    let mut operator = Operator::open(&gateway, "degraded", "split-brain");
    let leaderless = truncation.lose_leader();
    let subject = format!("Partition {SPLIT}-0 of main");
    operator.tells(
        Instant::now(),
        &subject,
        &["no leader"],
        "RiverheadPartitionFailing",
    );
    leaderless.elect(Replacement::Shorter);
    // What follows from it for clients.
    let replaced = "[...document.querySelectorAll('[data-part=fault]')].some((fault) => fault.dataset.subject === 'Logs')";
    operator.page.until(replaced, scaled(SOON));
    operator.page.screenshot("outage-split-brain-truncated");
}

/// Wikimedia, 2023.
#[test]
#[ignore = "needs real brokers and Chromium: ./tests/run"]
fn a_bad_record_is_counted_with_what_became_of_it() {
    let brokers = shared_alone();
    brokers.create_topic(POISON, 1);
    let gateway = start(&plan(&brokers, &[POISON]));
    let mut producer = brokers.producer(POISON).start();
    producer.send(10);
    producer.flush();
    let mut operator = Operator::open(&gateway, "ok", "bad-record");
    producer.send_raw(&RawRecord {
        value: Some(b"not json"),
        ..RawRecord::default()
    });
    let words = ["skipped because they could not be encoded"];
    operator.tells(Instant::now(), "Records", &words, "RiverheadBadRecords");
}

/// The time within which a person must be able to read the cause.
const READABLE: Duration = Duration::from_secs(10);

/// The longest wait, on a machine with other work.
const SOON: Duration = Duration::from_secs(60);

const HOLE: &str = "page-hole";
const SPLIT: &str = "page-split";
const POISON: &str = "page-poison";
