//! History: pages on demand, their cost for the brokers, and times.

use std::{
    net::Ipv4Addr,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use riverhead::{
    client::ClientKey,
    kafka::ClusterLabels,
    partition::{HistoryError, LogRead, PartitionLog},
    position::Offset,
};

use super::{KafkaFixture, client, offsets, page, replay, until};
use crate::support::brokers::{Brokers, stamp};

#[tokio::test(flavor = "multi_thread")]
async fn what_was_there_before_comes_from_history() {
    let brokers = Brokers::start(&[("a", 2)]);
    brokers.write("a", 0, 0..5000);
    let fixture = KafkaFixture::new(brokers, &["a"]);
    let log = fixture.log("a", 0);
    assert_eq!(log.end().offset, 5000);
    assert!(matches!(log.read(4999), LogRead::Below));

    for offset in [2500, 4999, 0, 1023, 1024] {
        let page = page(&fixture, &log, offset).await.expect("a page");
        let event = page.at(offset).expect("the record");
        assert_eq!((event.timestamp, event.epoch), (stamp(offset), 0));
        assert_eq!(
            page.lines(event),
            format!("data: {{\"n\":{offset}}}\n").as_bytes()
        );
    }
    let history = fixture.history();
    assert_eq!(
        offsets(&replay(&*history, &log, 17, 5000).await),
        (17..5000).collect::<Vec<_>>()
    );
    // How many pages there are depends on how much had been fetched when another place took over.
    let read = fixture.pages_read();
    assert_eq!(replay(&*history, &log, 0, 5000).await.len(), 5000);
    assert_eq!(fixture.pages_read(), read, "each page is read once");

    let end = page(&fixture, &log, 5000).await.expect("the end");
    assert_eq!((end.next(), end.events().len()), (5000, 0));
    assert_eq!(
        page(&fixture, &log, 5001).await.err(),
        Some(HistoryError::OutOfRange)
    );

    fixture.brokers.write("a", 0, 5000..5010);
    until(|| log.end().offset == 5010);
    let last = page(&fixture, &log, 5009)
        .await
        .expect("the page that has grown since");
    assert_eq!(last.at(5009).map(|event| event.timestamp), Some(stamp(5009)));

    let bounds = history.bounds(&log).await.expect("bounds");
    assert_eq!((bounds.start, bounds.end), (0, 5010));
    let empty = fixture.log("a", 1);
    assert_eq!(
        history
            .bounds(&empty)
            .await
            .map(|bounds| (bounds.start, bounds.end)),
        Ok((0, 0))
    );
    assert_eq!(page(&fixture, &empty, 0).await.map(|page| page.range()), Ok(0..0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offset_that_the_leader_has_is_not_out_of_range_because_a_broker_says_so() {
    let brokers = Brokers::start(&[("a", 1)]);
    let padding = "x".repeat(1000);
    brokers.write_values(
        "a",
        0,
        (0..4096).map(|n| (n, format!("{{\"n\":{n},\"x\":\"{padding}\"}}"))),
    );
    let fixture = KafkaFixture::new(brokers, &["a"]);
    let history = fixture.history();
    // Each further offset takes another fetch. The tail fetches too. If it is refused, it goes on in a new log, of which no page is known.
    let deadline = Instant::now() + Duration::from_secs(30);
    let mut further = (0..4096).step_by(256).cycle();
    let (refused, at) = loop {
        assert!(Instant::now() < deadline, "only fetches of the tail were refused");
        let at = further.next().expect("an offset");
        let log = fixture.log("a", 0);
        fixture.brokers.refuse_fetches(3);
        let read = history.page(&log, at, client()).await;
        fixture.brokers.mend_fetches();
        if !log.is_replaced() && read.is_err() {
            break (read.err(), at);
        }
    };
    assert_eq!(refused, Some(HistoryError::Unavailable));
    page(&fixture, &fixture.log("a", 0), at).await.expect("a page");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_is_found_although_these_brokers_cannot() {
    let brokers = Brokers::start(&[("a", 2)]);
    brokers.write("a", 0, 0..20_000);
    let fixture = KafkaFixture::new(brokers, &["a"]);
    let (log, empty, history) = (fixture.log("a", 0), fixture.log("a", 1), fixture.history());
    for (time, offset) in [
        (-5, Some(0)),
        (0, Some(0)),
        (stamp(12_345) + 1, Some(12_346)),
        (stamp(19_999), Some(19_999)),
        (stamp(19_999) + 1, None),
    ] {
        assert_eq!(history.first_at(&log, time, client()).await, Ok(offset), "{time}");
    }
    assert_eq!(history.first_at(&empty, 0, client()).await, Ok(None));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_page_wanted_by_many_is_read_once() {
    let brokers = Brokers::start(&[("a", 1)]);
    brokers.write("a", 0, 0..1000);
    let fixture = KafkaFixture::new(brokers, &["a"]);
    let (log, history) = (fixture.log("a", 0), fixture.history());
    let keys = (0..50).map(|n| ClientKey::of(Ipv4Addr::new(192, 0, 2, n).into()));
    let wants = keys
        .enumerate()
        .map(|(at, key)| history.page(&log, at as Offset * 20, key));
    for page in join_all(wants).await {
        assert!(page.expect("a page").events().len() == 1000);
    }
    assert_eq!(fixture.pages_read(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_read_ahead_of_who_reads_alone_and_none_that_the_tail_has() {
    let brokers = Brokers::start(&[("a", 1)]);
    brokers.write("a", 0, 0..3000);
    let fixture = KafkaFixture::new(brokers, &["a"]);
    let log = fixture.log("a", 0);
    fixture.brokers.write("a", 0, 3000..3100);
    until(|| log.end().offset == 3100);
    page(&fixture, &log, 5).await.expect("a page");
    until(|| fixture.pages_read() == 2);
    let hits = || {
        let labels = ClusterLabels {
            cluster: "main".into(),
        };
        fixture.counters.page_hits.get_or_create(&labels).get()
    };
    let before = hits();
    page(&fixture, &log, 1024).await.expect("a page");
    assert_eq!(hits(), before + 1, "it was there");
    // The last page of history, after which the ring continues. What was fetched with it is kept as a page too.
    until(|| fixture.pages_read() >= 3);
    let last = page(&fixture, &log, 2048).await.expect("a page");
    assert!(matches!(log.read(last.next()), LogRead::Page(_) | LogRead::Ahead));
    assert_eq!(
        offsets(&replay(&*fixture.history(), &log, 0, 3000).await).len(),
        last.next() as usize
    );
    assert!(fixture.pages_read() <= 4, "{}", fixture.pages_read());
}

#[tokio::test(flavor = "multi_thread")]
async fn large_records_make_small_pages() {
    let brokers = Brokers::start(&[("a", 1)]);
    let value = |n| format!("{{\"n\":{n},\"x\":\"{}\"}}", "x".repeat(100_000));
    brokers.write_values("a", 0, (0..40).map(|n| (n, value(n))));
    let fixture = KafkaFixture::new(brokers, &["a"]);
    let (log, history) = (fixture.log("a", 0), fixture.history());
    let page = page(&fixture, &log, 35).await.expect("a page");
    assert!(
        page.at(35).is_some() && page.bytes() < 3 << 19,
        "{} bytes",
        page.bytes()
    );
    assert_eq!(
        offsets(&replay(&*history, &log, 0, 40).await),
        (0..40).collect::<Vec<_>>()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn below_the_log_start_nothing_is_made_up() {
    let brokers = Brokers::start(&[("a", 1)]);
    let padding = "x".repeat(1000);
    // The embedded brokers keep 5 MiB.
    brokers.write_values(
        "a",
        0,
        (0..8000).map(|n| (n, format!("{{\"n\":{n},\"x\":\"{padding}\"}}"))),
    );
    let fixture = KafkaFixture::new(brokers, &["a"]);
    let (log, history) = (fixture.log("a", 0), fixture.history());
    let start = history.bounds(&log).await.expect("bounds").start;
    assert!(start > 1000);
    assert_eq!(
        page(&fixture, &log, start - 1).await.err(),
        Some(HistoryError::OutOfRange)
    );
    assert_eq!(
        page(&fixture, &log, 5).await.err(),
        Some(HistoryError::OutOfRange)
    );
    assert_eq!(
        offsets(&replay(&*history, &log, start, 8000).await),
        (start..8000).collect::<Vec<_>>()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn many_who_replay_at_once_cost_the_brokers_one_replay() {
    let brokers = Brokers::start(&[("a", 3)]);
    let padding = "x".repeat(1000);
    let values = |partition| (0..4000).map(move |n| (n, format!("{{\"p\":{partition},\"n\":{n}")));
    for partition in 0..3 {
        let values = values(partition).map(|(n, value)| (n, format!("{value},\"x\":\"{padding}\"}}")));
        brokers.write_values("a", partition, values);
    }
    let fixture = KafkaFixture::new(brokers, &["a"]);
    let logs = [0, 1, 2].map(|partition| fixture.log("a", partition));
    let started = Instant::now();
    let replays = (0..200).flat_map(|_| logs.each_ref()).map(|log| {
        let (history, log) = (fixture.history(), Arc::clone(log));
        tokio::spawn(async move { replay(&*history, &log, 0, 4000).await.len() })
    });
    for records in join_all(replays).await {
        assert_eq!(records.expect("no panic"), 4000);
    }
    let unique = 3 * 4000 * 1030;
    let took = started.elapsed().as_millis();
    until(|| fixture.received("history") > unique);
    let received = fixture.received_in_all("history");
    println!(
        "{took} ms, {} pages, {received} of {unique} bytes",
        fixture.pages_read()
    );
    assert!(
        received as f64 <= 1.2 * unique as f64,
        "{received} of {unique} bytes"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_log_has_no_history() {
    let brokers = Brokers::start(&[("a", 1)]);
    brokers.write("a", 0, 0..100);
    let fixture = KafkaFixture::new(brokers, &["a"]);
    let (old, history) = (fixture.log("a", 0), fixture.history());
    page(&fixture, &old, 50).await.expect("a page");
    refuse_the_tail(&fixture.brokers, &old);
    assert_eq!(
        history.page(&old, 50, client()).await.err(),
        Some(HistoryError::Replaced)
    );
    assert_eq!(history.bounds(&old).await.err(), Some(HistoryError::Replaced));
    page(&fixture, &fixture.log("a", 0), 50)
        .await
        .expect("the same page of the log that is current");
}

#[tokio::test(flavor = "multi_thread")]
async fn history_costs_the_brokers_no_more_than_its_rate() {
    let brokers = Brokers::start(&[("a", 1)]);
    let padding = "x".repeat(1000);
    brokers.write_values(
        "a",
        0,
        (0..4096).map(|n| (n, format!("{{\"n\":{n},\"x\":\"{padding}\"}}"))),
    );
    let fixture = KafkaFixture::with(brokers, &["a"], |settings| {
        settings.history_rate = 2_000_000.try_into().expect("not zero");
    });
    let (log, history) = (fixture.log("a", 0), fixture.history());
    let started = Instant::now();
    replay(&*history, &log, 0, 4096).await;
    // Four pages of 1 MB: the last one begins when the three before it are paid for, except for what a pause
    // has saved.
    assert!(
        started.elapsed() >= Duration::from_millis(1300),
        "{:?}",
        started.elapsed()
    );
}

/// Refuses fetches, one after the other, until the tail's fetch is one of them: the history reader also
/// fetches for a while.
fn refuse_the_tail(brokers: &Brokers, log: &PartitionLog) {
    let mut refused: Option<Instant> = None;
    until(|| {
        if refused.is_none_or(|at| at.elapsed() > Duration::from_secs(2)) {
            brokers.mend_fetches();
            brokers.refuse_fetches(1);
            refused = Some(Instant::now());
        }
        log.is_replaced()
    });
    brokers.mend_fetches();
}
