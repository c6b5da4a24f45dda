//! Tests of the tail and of history with librdkafka's in-process brokers. An unreachable broker is the first
//! in every bootstrap list.
#![allow(clippy::print_stdout, reason = "the test prints its measurements")]

mod bootstrap;
mod causes;
mod edges;
mod failover;
mod faults;
mod health;
mod panics;

use std::{
    collections::BTreeSet,
    net::Ipv4Addr,
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use riverhead::{
    client::ClientKey,
    event::{Encoding, Event, EventKind},
    health::Health,
    kafka::{
        BrokerProfile, ClientLabels, Cluster, ClusterLabels, ClusterOptions, KafkaMetrics,
        LogAppendTimeTopics, MemoryLimits, RejectLabels, ReplacementLabels, connect,
        settings::ClusterSettings,
    },
    partition::{History, HistoryError, LogDirectory, LogRead, Page, PartitionLog},
    position::Offset,
};

use crate::support::brokers::{Brokers, stamp};

/// An address at which no server listens.
const DEAD: &str = "127.0.0.1:1";

/// A cluster that is being read.
struct KafkaFixture {
    brokers: Brokers,
    directory: Arc<LogDirectory>,
    counters: KafkaMetrics,
    health: Health,
    cluster: Cluster,
}

impl KafkaFixture {
    fn new(brokers: Brokers, topics: &[&str]) -> Self {
        Self::with(brokers, topics, |_| {})
    }

    fn with(brokers: Brokers, topics: &[&str], change: impl FnOnce(&mut ClusterSettings)) -> Self {
        Self::kept(brokers, topics, None, change)
    }

    /// Creates a fixture that keeps its state in this directory.
    fn kept(
        brokers: Brokers,
        topics: &[&str],
        state: Option<&Path>,
        change: impl FnOnce(&mut ClusterSettings),
    ) -> Self {
        let mut bootstrap = vec![DEAD.parse().expect("an address")];
        bootstrap.extend(
            brokers
                .addresses()
                .iter()
                .map(|address| address.parse().expect("an address")),
        );
        let mut settings = ClusterSettings::new("main", bootstrap);
        change(&mut settings);
        let (directory, counters, health) = (LogDirectory::new(), KafkaMetrics::default(), Health::new());
        let options = ClusterOptions {
            memory: MemoryLimits {
                tail: 64 << 20,
                history: 64 << 20,
            },
            profile: BrokerProfile::Embedded,
            counters: counters.clone(),
            standby: BTreeSet::new(),
            log_append_time_topics: LogAppendTimeTopics::default(),
            state: state.map(Into::into),
            health: health.clone(),
        };
        let topics = topics
            .iter()
            .map(|topic| ((*topic).into(), Encoding::default()))
            .collect();
        let cluster = connect(&settings, topics, Arc::clone(&directory), options).expect("a cluster");
        Self {
            brokers,
            directory,
            counters,
            health,
            cluster,
        }
    }

    /// Returns the log of a partition, once it is known.
    fn log(&self, topic: &str, partition: i32) -> Arc<PartitionLog> {
        let log = || self.directory.get(topic, partition);
        until(|| log().is_some());
        log().expect("a log")
    }

    fn history(&self) -> Arc<dyn History> {
        self.cluster.history()
    }

    fn pages_read(&self) -> u64 {
        self.counters
            .pages_read
            .get_or_create(&ClusterLabels {
                cluster: "main".into(),
            })
            .get()
    }

    fn received(&self, client: &str) -> u64 {
        self.counters.received_bytes.get_or_create(&of(client)).get()
    }

    /// Returns the number of bytes that clients of this kind have received, and stops the brokers for that:
    /// librdkafka reports the number of open connections every half second, and with it the bytes received
    /// through them.
    fn received_in_all(&self, client: &str) -> u64 {
        let open = || self.counters.connections.get_or_create(&of(client)).get();
        assert!(self.received(client) > 0 && open() > 0, "nothing is reported yet");
        self.brokers.stop();
        until(|| open() == 0);
        self.received(client)
    }
}

fn of(client: &str) -> ClientLabels {
    ClientLabels {
        cluster: "main".into(),
        client: client.into(),
    }
}

/// Waits for something that is about to happen.
#[track_caller]
fn until(mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !done() {
        assert!(Instant::now() < deadline, "it did not happen in time");
        thread::sleep(Duration::from_millis(5));
    }
}

fn client() -> ClientKey {
    ClientKey::of(Ipv4Addr::LOCALHOST.into())
}

/// Returns all events of a ring from an offset on.
fn ring(log: &PartitionLog, mut offset: Offset) -> Vec<Event> {
    let mut events = Vec::new();
    while let LogRead::Page(page) = log.read(offset) {
        events.extend_from_slice(&page.events()[page.index_of(offset)..]);
        offset = page.next();
    }
    events
}

fn offsets(events: &[Event]) -> Vec<Offset> {
    events.iter().map(|event| event.offset).collect()
}

async fn page(
    fixture: &KafkaFixture,
    log: &Arc<PartitionLog>,
    offset: Offset,
) -> Result<Arc<Page>, HistoryError> {
    let page = fixture.history().page(log, offset, client()).await?;
    assert!(page.range().start <= offset && offset <= page.next());
    Ok(page)
}

/// Returns all events from an offset up to the end, page by page.
async fn replay(
    history: &dyn History,
    log: &Arc<PartitionLog>,
    mut offset: Offset,
    end: Offset,
) -> Vec<Event> {
    let mut events = Vec::new();
    while offset < end {
        let page = history.page(log, offset, client()).await.expect("a page");
        events.extend_from_slice(&page.events()[page.index_of(offset)..]);
        offset = page.next();
    }
    events
}

#[test]
fn the_tail_reads_every_record_once_and_in_order() {
    let fixture = KafkaFixture::new(Brokers::start(&[("a", 3), ("b", 1)]), &["a", "b"]);
    let partitions = [("a", 0), ("a", 1), ("a", 2), ("b", 0)];
    let logs = partitions.map(|(topic, partition)| fixture.log(topic, partition));
    for (topic, partition) in partitions {
        fixture.brokers.write(topic, partition, 0..1500);
        fixture.brokers.write(topic, partition, 1500..3000);
    }
    for log in &logs {
        until(|| log.end().offset == 3000);
        let events = ring(log, 0);
        assert_eq!(offsets(&events), (0..3000).collect::<Vec<_>>());
        assert!(
            events
                .iter()
                .all(|event| event.timestamp == stamp(event.offset) && event.kind == EventKind::Message)
        );
        assert!(events.iter().all(|event| event.epoch == 0), "the epoch is known");
        assert_eq!(log.end().epoch, Some(0));
    }
    let groups = [8, 9, 10, 11, 12, 13, 14];
    assert!(
        fixture.brokers.requests().iter().all(|key| !groups.contains(key)),
        "no group, no coordinator"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_and_headers_are_kept_by_the_tail_and_by_history() {
    let fixture = KafkaFixture::new(Brokers::start(&[("a", 1)]), &["a"]);
    let log = fixture.log("a", 0);
    let headers = [("type", Some("old")), ("none", None), ("type", Some("edit"))];
    fixture.brokers.write_described("a", "Q42", &headers);
    fixture.brokers.write("a", 0, [1]);
    until(|| log.end().offset == 2);
    let LogRead::Page(tail) = log.read(0) else {
        panic!("no page")
    };
    let history = page(&fixture, &log, 0).await.expect("a page");
    for page in [tail, history] {
        let described = &page.events()[0];
        assert_eq!(page.key(described), Some(&b"Q42"[..]));
        assert_eq!(page.headers(described).last("type"), Some(Some(&b"edit"[..])));
        assert_eq!(page.headers(described).last("none"), Some(None));
        assert_eq!(page.headers(described).count(), 3);
        assert_eq!(page.lines(described), b"data: {}\n");
        if let Some(plain) = page.events().get(1) {
            assert_eq!((page.key(plain), page.headers(plain).count()), (None, 0));
        }
    }
}

#[test]
fn a_bad_record_is_skipped_alone() {
    let fixture = KafkaFixture::new(Brokers::start(&[("a", 1)]), &["a"]);
    let log = fixture.log("a", 0);
    let values = ["{\"n\":0}", "not json", "{\"n\":2}"];
    fixture
        .brokers
        .write_values("a", 0, values.map(|value| (1, value.to_owned())));
    until(|| log.end().offset == 3);
    let kinds: Vec<_> = ring(&log, 0).iter().map(|event| event.kind).collect();
    assert_eq!(
        kinds,
        [EventKind::Message, EventKind::Skipped, EventKind::Message]
    );
    let labels = RejectLabels {
        cluster: "main".into(),
        topic: "a".into(),
        reason: "not_json".into(),
    };
    assert_eq!(fixture.counters.bad_records.get_or_create(&labels).get(), 1);
}

#[test]
fn a_topic_that_appears_later_is_read_from_its_start() {
    let fixture = KafkaFixture::new(Brokers::start(&[("a", 1)]), &["a", "late"]);
    fixture.log("a", 0);
    fixture.brokers.create("late", 2);
    fixture.brokers.write("late", 1, 0..100);
    let log = fixture.log("late", 1);
    until(|| log.end().offset == 100);
    assert_eq!(
        ring(&log, 0).len(),
        100,
        "nothing was written too early to be read"
    );
}

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
    // The last page of history, after which the ring continues.
    until(|| fixture.pages_read() == 3);
    let last = page(&fixture, &log, 2048).await.expect("a page");
    assert!(matches!(log.read(last.next()), LogRead::Page(_) | LogRead::Ahead));
    assert_eq!(
        offsets(&replay(&*fixture.history(), &log, 0, 3000).await).len(),
        last.next() as usize
    );
    assert_eq!(fixture.pages_read(), 3);
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
async fn a_mute_leader_holds_up_nobody_else() {
    let brokers = Brokers::start(&[("a", 2)]);
    brokers.lead("a", 0, 1);
    brokers.lead("a", 1, 2);
    for partition in 0..2 {
        brokers.write("a", partition, 0..10_000);
    }
    let fixture = KafkaFixture::new(brokers, &["a"]);
    let (mute, well, history) = (fixture.log("a", 0), fixture.log("a", 1), fixture.history());
    page(&fixture, &mute, 0).await.expect("both answer");
    fixture.brokers.mute(1);

    let started = Instant::now();
    let silence = history.page(&mute, 5000, client());
    let silence = tokio::spawn(async move { (silence.await.err(), started.elapsed()) });
    for offset in (0..10_000).step_by(1024) {
        page(&fixture, &well, offset)
            .await
            .expect("another leader's page");
    }
    assert!(
        started.elapsed() < Duration::from_secs(2),
        "{:?}",
        started.elapsed()
    );
    let (error, waited) = silence.await.expect("no panic");
    assert_eq!(error, Some(HistoryError::Unavailable));
    assert!(waited < Duration::from_secs(4), "{waited:?}");
    assert_eq!(history.bounds(&mute).await, Err(HistoryError::Unavailable));
    assert!(history.bounds(&well).await.is_ok());

    fixture.brokers.unmute(1);
    let deadline = Instant::now() + Duration::from_secs(30);
    while let Err(error) = history.page(&mute, 5000, client()).await {
        assert_eq!(error, HistoryError::Unavailable);
        assert!(Instant::now() < deadline, "the leader is back");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[test]
fn a_leader_that_is_mute_at_the_start_holds_up_nobody_else() {
    let brokers = Brokers::start(&[("a", 2)]);
    brokers.lead("a", 0, 1);
    brokers.lead("a", 1, 2);
    brokers.write("a", 0, 0..100);
    brokers.mute(1);
    let fixture = KafkaFixture::new(brokers, &["a"]);
    fixture.log("a", 1);
    assert!(fixture.directory.get("a", 0).is_none());
    fixture.brokers.unmute(1);
    assert_eq!(fixture.log("a", 0).end().offset, 100, "it was there when we came");
}

#[test]
fn a_tail_whose_offset_is_refused_goes_on_in_a_new_log() {
    let fixture = KafkaFixture::new(Brokers::start(&[("a", 1)]), &["a"]);
    let old = fixture.log("a", 0);
    fixture.brokers.write("a", 0, 0..100);
    until(|| old.end().offset == 100);
    fixture.brokers.refuse_fetches(1);
    until(|| old.is_replaced());
    let new = fixture.log("a", 0);
    assert_eq!((new.tag(), new.end().offset), (old.tag(), 100));
    fixture.brokers.write("a", 0, 100..200);
    until(|| new.end().offset == 200);
    assert_eq!(offsets(&ring(&new, 100)), (100..200).collect::<Vec<_>>());
    let labels = ReplacementLabels {
        cluster: "main".into(),
        reason: "unproven".into(),
    };
    assert_eq!(fixture.counters.replacements.get_or_create(&labels).get(), 1);
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

#[tokio::test(flavor = "multi_thread")]
async fn the_end_comes_in_time_also_when_nobody_answers() {
    let brokers = Brokers::start(&[("a", 3)]);
    (0..3).for_each(|partition| brokers.write("a", partition, 0..10));
    let fixture = KafkaFixture::new(brokers, &["a"]);
    for partition in 0..3 {
        page(&fixture, &fixture.log("a", partition), 0)
            .await
            .expect("a page");
    }
    (0..3).for_each(|broker| fixture.brokers.mute(broker));
    let (log, history) = (fixture.log("a", 0), fixture.history());
    let waiting = tokio::spawn(history.page(&log, 10, client()));
    let KafkaFixture { cluster, .. } = fixture;
    let started = Instant::now();
    assert!(
        cluster.shutdown(Duration::from_secs(10)),
        "all threads and clients are gone"
    );
    println!("gone after {} ms", started.elapsed().as_millis());
    assert_eq!(
        waiting.await.expect("no panic").err(),
        Some(HistoryError::Unavailable)
    );
    assert_eq!(history.bounds(&log).await, Err(HistoryError::Unavailable));
}
