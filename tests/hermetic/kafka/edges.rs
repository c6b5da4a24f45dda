//! The cost of reads at the edges of a log: where the ring begins, and at impossible offsets.

use std::time::Duration;

use riverhead::{
    catalog::{Catalog, Stream},
    partition::{LogRead, PartitionLog},
    position::Offset,
    subscription::LogSource,
};

use super::{KafkaFixture, page, until};
use crate::support::{
    brokers::Brokers,
    gateway::{TestClient, TestGateway},
};

/// The records of a history page.
const PAGE: Offset = 1024;

/// Drops pages of the ring until it begins after `offset`.
fn shed_past(log: &PartitionLog, offset: Offset) {
    while !matches!(log.read(offset), LogRead::Below) {
        assert!(log.evict_oldest() > 0, "it is in no page");
    }
}

/// Reads as slowly as the ring is short: whenever the position leaves the ring, one page before its edge is
/// read from history.
#[tokio::test(flavor = "multi_thread")]
async fn what_one_fetch_brings_at_the_edge_of_the_ring_is_not_fetched_for_every_page() {
    let fixture = KafkaFixture::new(Brokers::start(&[("a", 1)]), &["a"]);
    let log = fixture.log("a", 0);
    let pages = 40;
    // Several pages at once: a fetch brings the whole batch.
    for at in (0..pages).step_by(4) {
        fixture.brokers.write("a", 0, at * PAGE..(at + 4) * PAGE);
        until(|| log.end().offset == (at + 4) * PAGE);
    }
    // A record has about 10 bytes, plus the overhead of librdkafka's mock brokers.
    let unique = fixture.received("tail").max(pages as u64 * PAGE as u64 * 20);
    let mut edges = 0;
    for at in 0..pages {
        shed_past(&log, at * PAGE);
        let page = page(&fixture, &log, at * PAGE).await.expect("a page");
        edges += usize::from(!log.is_history(page.next()));
    }
    assert!(edges > 30, "the ring went on behind {edges} of the pages");
    until(|| fixture.received("history") > 0);
    let received = fixture.received_in_all("history");
    println!("{received} of {unique} bytes, {} pages", fixture.pages_read());
    assert!(received <= 2 * unique, "{received} of {unique} bytes");
}

/// An id that a client invented. The client may wait, and causes an offset query now and then.
#[tokio::test(flavor = "multi_thread")]
async fn the_largest_offset_there_is_costs_its_client_a_question_now_and_then() {
    let brokers = Brokers::start(&[("a", 1)]);
    brokers.write("a", 0, 0..3000);
    let fixture = KafkaFixture::new(brokers, &["a"]);
    let log = fixture.log("a", 0);
    let source = LogSource {
        directory: fixture.directory.clone(),
        history: fixture.history(),
    };
    let catalog = Catalog::new(vec![Stream::new("edits", ["a"])]).expect("a catalog");
    let gateway = TestGateway::over(catalog, source, |settings| {
        settings.heartbeat = Duration::from_millis(100);
    });
    let asked = || {
        fixture
            .brokers
            .requests()
            .iter()
            .filter(|key| **key == LIST_OFFSETS)
            .count()
    };
    let tag = log.tag();
    for offset in [Offset::MAX, Offset::MAX - 1, Offset::MAX - PAGE] {
        for proof in [
            String::new(),
            r#","timestamp":1000000"#.to_owned(),
            format!(r#","timestamp":1000000,"log":"{tag}""#),
            format!(r#","timestamp":1000000,"log":"{tag}.0""#),
        ] {
            let (before, pages) = (asked(), fixture.pages_read());
            let id = format!(r#"[{{"topic":"a","partition":0,"offset":{offset}{proof}}}]"#);
            let mut client = TestClient::ask(
                gateway.public,
                "/v2/stream/edits",
                &format!("last-event-id: {id}\r\n"),
            )
            .await;
            assert!(client.head().await.starts_with("HTTP/1.1 200"));
            let mut heartbeats = 0;
            // Some clients receive a gap meanwhile, and continue at the end.
            while heartbeats < 15 {
                heartbeats += usize::from(client.chunk().await == ":\n");
            }
            let cost = (asked() - before, fixture.pages_read() - pages);
            assert!(
                cost.0 <= 20 && cost.1 <= 20,
                "{id}: {cost:?} questions and pages in 1.5 s"
            );
        }
    }
}

/// The API key of the request for bounds and times.
const LIST_OFFSETS: i16 = 2;
