//! The tail and history with real brokers, and with faults of these.

use std::{
    collections::BTreeSet,
    net::Ipv4Addr,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use futures_util::future::join_all;
use riverhead::{
    client::ClientKey,
    event::{Encoding, Event},
    health::Health,
    kafka::{
        BrokerProfile, Cluster, ClusterLabels, ClusterOptions, KafkaMetrics, LogAppendTimeTopics,
        MemoryLimits, ReplacementLabels, connect, settings::ClusterSettings,
    },
    partition::{History, HistoryError, LogDirectory, LogRead, PartitionLog},
    position::Offset,
};
use riverhead_brokers::{NewTopic, Replacement, SharedCluster, Truncation, eventually, scaled, shared};

/// A topic of the real brokers that is being read.
struct KafkaFixture {
    directory: Arc<LogDirectory>,
    counters: KafkaMetrics,
    cluster: Cluster,
}

impl KafkaFixture {
    fn new(brokers: &SharedCluster, topic: &str) -> Self {
        let bootstrap = brokers.bootstrap_with_dead_first();
        let bootstrap = bootstrap
            .split(',')
            .map(|broker| broker.parse().expect("an address"));
        let mut settings = ClusterSettings::new("main", bootstrap.collect());
        // The reader is measured, not its rate limit.
        settings.history_rate = (1 << 40).try_into().expect("not zero");
        let (directory, counters) = (LogDirectory::new(), KafkaMetrics::default());
        let options = ClusterOptions {
            memory: MemoryLimits {
                tail: 64 << 20,
                history: 64 << 20,
            },
            profile: BrokerProfile::Real,
            counters: counters.clone(),
            standby: BTreeSet::new(),
            log_append_time_topics: LogAppendTimeTopics::default(),
            state: None,
            health: Health::new(),
        };
        let topics = vec![(topic.into(), Encoding::default())];
        let cluster = connect(&settings, topics, Arc::clone(&directory), options).expect("a cluster");
        Self {
            directory,
            counters,
            cluster,
        }
    }

    fn log(&self, topic: &str, partition: i32) -> Arc<PartitionLog> {
        eventually(SOON, "a log", || {
            self.directory.get(topic, partition).ok_or("none")
        })
    }

    fn history(&self) -> Arc<dyn History> {
        self.cluster.history()
    }

    fn pages_read(&self) -> u64 {
        let labels = ClusterLabels {
            cluster: "main".into(),
        };
        self.counters.pages_read.get_or_create(&labels).get()
    }

    fn replacements(&self, reason: &str) -> u64 {
        let labels = ReplacementLabels {
            cluster: "main".into(),
            reason: reason.into(),
        };
        self.counters.replacements.get_or_create(&labels).get()
    }
}

const SOON: Duration = Duration::from_secs(90);

fn client() -> ClientKey {
    ClientKey::of(Ipv4Addr::LOCALHOST.into())
}

fn caught_up(log: &PartitionLog, end: Offset) {
    eventually(SOON, "the tail", || log.end().offset >= end);
    assert_eq!(log.end().offset, end);
}

/// Waits until each log has more records than now.
fn records_come(logs: &[Arc<PartitionLog>]) {
    for log in logs {
        let more = log.end().offset + 100;
        eventually(SOON, "records", || log.end().offset >= more);
    }
}

fn ring(log: &PartitionLog, mut offset: Offset) -> Vec<Event> {
    let mut events = Vec::new();
    while let LogRead::Page(page) = log.read(offset) {
        events.extend_from_slice(&page.events()[page.index_of(offset)..]);
        offset = page.next();
    }
    events
}

async fn replay(
    history: &dyn History,
    log: &Arc<PartitionLog>,
    mut offset: Offset,
    end: Offset,
) -> Vec<Event> {
    let mut events = Vec::new();
    let deadline = Instant::now() + scaled(SOON);
    while offset < end {
        let page = match history.page(log, offset, client()).await {
            Ok(page) => page,
            Err(HistoryError::Unavailable) => {
                assert!(Instant::now() < deadline, "nothing at {offset} in time");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
            Err(error) => panic!("{error} at {offset}"),
        };
        events.extend_from_slice(&page.events()[page.index_of(offset)..]);
        assert!(
            page.next() > offset || page.next() == end,
            "{offset} {:?}",
            page.range()
        );
        offset = page.next();
    }
    events
}

fn offsets(events: &[Event]) -> Vec<Offset> {
    events.iter().map(|event| event.offset).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real brokers: ./tests/run"]
async fn transactions_leave_holes_and_nothing_aborted() {
    let brokers = shared();
    brokers.create_topic("txn", 1);
    let mut producer = brokers
        .producer("txn")
        .transactional()
        .property("message.timeout.ms", "30000")
        .start();
    for round in 0..6 {
        producer.begin();
        producer.send(5);
        producer.flush();
        if round % 2 == 0 {
            producer.commit()
        } else {
            producer.abort()
        }
    }
    let fixture = KafkaFixture::new(&brokers, "txn");
    let (log, history) = (fixture.log("txn", 0), fixture.history());
    // Six rounds of five records and a marker; the last marker is of an aborted one.
    assert_eq!(log.end().offset, 36);
    let seen = replay(&*history, &log, 0, 36).await;
    let committed: Vec<_> = (0..36)
        .filter(|offset| offset / 6 % 2 == 0 && offset % 6 < 5)
        .collect();
    assert_eq!(offsets(&seen), committed);
    let end = history.page(&log, 36, client()).await.expect("the end");
    assert_eq!((end.next(), end.events().len()), (36, 0));

    // An open transaction holds back the end of the log.
    producer.begin();
    producer.send(5);
    producer.flush();
    let bounds = history.bounds(&log).await.expect("bounds");
    assert_eq!((bounds.start, bounds.end), (0, 36));
    producer.commit();
    eventually(SOON, "the tail", || log.end().offset == 41);
    assert_eq!(offsets(&ring(&log, 36)), (36..41).collect::<Vec<_>>());
    assert_eq!(history.first_at(&log, i64::MAX / 2, client()).await, Ok(None));
    let newest = log.end().timestamp.expect("a timestamp");
    let found = history
        .first_at(&log, newest, client())
        .await
        .expect("an answer")
        .expect("a record");
    assert!(found <= 40);
}

/// The first of these times are looked up at the broker, and most of the others in pages that are in memory.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real brokers: ./tests/run"]
async fn times_of_records_that_are_out_of_order_are_found_exactly() {
    let brokers = shared();
    brokers.create_topic("out-of-order", 1);
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock");
    let start = since_epoch.as_millis() as i64 - 3_600_000;
    let mut producer = brokers
        .producer("out-of-order")
        .numbers_from(0)
        .timestamp(move |number| {
            // Now and then a time is far ahead of its neighbors, and another one far behind.
            let (at, astray) = (number as i64, [70_000, -70_000]);
            start + at * 100 + if at % 700 < 2 { astray[at as usize % 2] } else { 0 }
        })
        .start();
    producer.send(5000);
    producer.flush();
    let fixture = KafkaFixture::new(&brokers, "out-of-order");
    let (log, history) = (fixture.log("out-of-order", 0), fixture.history());
    let events = replay(&*history, &log, 0, 5000).await;
    for at in 0..1000 {
        let time = start + at * 7919 % 5000 * 100 + 1;
        let first = events.iter().find(|event| event.timestamp >= time);
        assert_eq!(
            history.first_at(&log, time, client()).await,
            Ok(first.map(|event| event.offset)),
            "{at}: {}",
            time - start
        );
    }
}

/// A record that is larger than a page made pages of one record of all behind it.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real brokers: ./tests/run"]
async fn behind_one_large_record_pages_are_full_again() {
    let (brokers, topic) = (shared(), "one-large");
    brokers.create(&NewTopic::with_replicas(topic, &[&[1]]).config("max.message.bytes", "12000000"));
    let write = |bytes, records| {
        let producer = brokers.producer(topic).record_bytes(bytes);
        let mut producer = producer.property("message.max.bytes", "12000000").start();
        producer.send(records);
        assert_eq!(producer.finish().len() as u64, records);
    };
    write(100, 2_000);
    write(2_000_000, 1);
    write(100, 30_000);
    let fixture = KafkaFixture::new(&brokers, topic);
    let (log, history) = (fixture.log(topic, 0), fixture.history());
    let end = log.end().offset;
    let seen = replay(&*history, &log, 0, end).await;
    assert_eq!(offsets(&seen), (0..32_001).collect::<Vec<_>>());
    // 32 full ones. A machine that does other things may cut some short.
    let pages = fixture.pages_read();
    assert!(pages <= 150, "{pages} pages");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real brokers: ./tests/run"]
async fn a_truncated_log_goes_on_at_its_new_end_and_history_is_of_the_new() {
    for replacement in [Replacement::Shorter, Replacement::Longer] {
        let brokers = shared();
        let topic = format!("truncated-{replacement:?}");
        let truncation = Truncation::prepare(&brokers, &topic);
        let fixture = KafkaFixture::new(&brokers, &topic);
        let (old, history) = (fixture.log(&topic, 0), fixture.history());
        assert_eq!(old.end().offset, 600);
        assert_eq!(replay(&*history, &old, 0, 600).await.len(), 600);
        truncation.finish(replacement);
        eventually(SOON, "another log", || old.is_replaced());
        let new = fixture.log(&topic, 0);
        let bounds = eventually(SOON, "bounds", || {
            tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(history.bounds(&new)))
        });
        let end = match replacement {
            Replacement::Shorter => 100,
            Replacement::Longer => 1100,
        };
        assert_eq!((bounds.start, bounds.end), (0, end));
        assert!(bounds.epoch > Some(0), "{bounds:?}");
        caught_up(&new, end);
        assert_eq!(new.tag(), old.tag(), "the topic is the same");
        let seen = replay(&*history, &new, 0, end).await;
        assert_eq!(offsets(&seen), (0..end).collect::<Vec<_>>());
        assert!(
            seen.iter()
                .all(|event| (event.epoch > 0) == (event.offset >= 100)),
            "epochs tell the two logs apart"
        );
        // If a log has grown past its old end before its bounds are requested, it does not show that it was
        // truncated.
        let unproven = match replacement {
            Replacement::Shorter => 0,
            Replacement::Longer => fixture.replacements("unproven"),
        };
        assert_eq!(fixture.replacements("truncated") + unproven, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real brokers: ./tests/run"]
async fn a_recreated_topic_is_another_log_read_from_its_start() {
    for (name, records) in [("shorter", 100), ("longer", 900)] {
        let brokers = shared();
        let topic = format!("recreated-{name}");
        brokers.create_topic(&topic, 1);
        let mut producer = brokers.producer(&topic).start();
        producer.send(500);
        producer.flush();
        let fixture = KafkaFixture::new(&brokers, &topic);
        let (old, history) = (fixture.log(&topic, 0), fixture.history());
        assert_eq!(replay(&*history, &old, 0, 500).await.len(), 500);
        brokers.delete_topic(&topic);
        brokers.create_topic(&topic, 1);
        let mut producer = brokers.producer(&topic).start();
        producer.send(records);
        producer.flush();
        eventually(SOON, "another log", || old.is_replaced());
        let new = fixture.log(&topic, 0);
        assert_ne!(new.tag(), old.tag());
        caught_up(&new, records as Offset);
        assert_eq!(
            offsets(&ring(&new, 0)),
            (0..records as Offset).collect::<Vec<_>>()
        );
        let seen = replay(&*history, &new, 0, records as Offset).await;
        assert_eq!(seen.len() as u64, records);
        assert_eq!(fixture.replacements("recreated"), 1);
        assert_eq!(
            history.page(&old, 0, client()).await.err(),
            Some(HistoryError::Replaced)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real brokers: ./tests/run"]
async fn added_partitions_are_read_from_their_start() {
    let brokers = shared();
    brokers.create_topic("grows", 1);
    let fixture = KafkaFixture::new(&brokers, "grows");
    fixture.log("grows", 0);
    brokers.add_partitions("grows", 3);
    let mut producer = brokers.producer("grows").partition(2).start();
    producer.send(300);
    producer.flush();
    let log = fixture.log("grows", 2);
    caught_up(&log, 300);
    assert_eq!(ring(&log, 0).len(), 300);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real brokers: ./tests/run"]
async fn deleted_and_compacted_records_are_holes_or_out_of_range() {
    let brokers = shared();
    brokers.create_topic("deleted", 1);
    let mut producer = brokers.producer("deleted").start();
    producer.send(3000);
    producer.flush();
    let fixture = KafkaFixture::new(&brokers, "deleted");
    let (log, history) = (fixture.log("deleted", 0), fixture.history());
    brokers.delete_records("deleted", 0, 1500);
    assert_eq!(
        history.page(&log, 1400, client()).await.err(),
        Some(HistoryError::OutOfRange)
    );
    assert_eq!(
        offsets(&replay(&*history, &log, 1500, 3000).await),
        (1500..3000).collect::<Vec<_>>()
    );
    assert_eq!(
        history
            .bounds(&log)
            .await
            .map(|bounds| (bounds.start, bounds.end)),
        Ok((1500, 3000))
    );

    let compact = NewTopic::with_replicas("compacted", &[&[1]])
        .config("cleanup.policy", "compact")
        .config("segment.bytes", "1048576")
        .config("min.cleanable.dirty.ratio", "0.01")
        .config("max.compaction.lag.ms", "500")
        .config("delete.retention.ms", "100");
    brokers.create(&compact);
    let mut producer = brokers
        .producer("compacted")
        .key(|number| format!("{}", number % 50))
        .start();
    producer.send(20_000);
    producer.flush();
    let fixture = KafkaFixture::new(&brokers, "compacted");
    let (log, history) = (fixture.log("compacted", 0), fixture.history());
    assert_eq!(log.end().offset, 20_000);
    eventually(SOON, "a compaction", || {
        let records = brokers.records("compacted", 0);
        records.len() < 15_000
    });
    let seen = replay(&*history, &log, 0, 20_000).await;
    assert!(seen.len() < 15_000 && seen.is_sorted_by_key(|event| event.offset));
    assert_eq!(seen.last().map(|event| event.offset), Some(19_999));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real brokers: ./tests/run"]
async fn a_killed_broker_costs_neither_a_record_nor_an_order() {
    let brokers = shared();
    brokers.create_topic("killed", 6);
    let fixture = KafkaFixture::new(&brokers, "killed");
    let logs: Vec<_> = (0..6).map(|partition| fixture.log("killed", partition)).collect();
    let producer = brokers.producer("killed").rate(2000.0).start().run();
    for broker in [1, 2] {
        records_come(&logs);
        brokers.kill(broker);
        // The other brokers lead all of them now.
        records_come(&logs);
        brokers.start_broker(broker);
        brokers.wait_until_in_sync();
    }
    let ledger = producer.finish();
    let mut total = 0;
    for log in &logs {
        let partition = log.partition().partition;
        let written = ledger.numbers_of(partition).len() as Offset;
        caught_up(log, written);
        assert!(!log.is_replaced());
        assert_eq!(offsets(&ring(log, 0)), (0..written).collect::<Vec<_>>());
        total += written;
    }
    assert_eq!(total as usize, ledger.len());
    assert!(
        brokers.topics().iter().all(|topic| topic != "__consumer_offsets"),
        "{:?}",
        brokers.topics()
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real brokers: ./tests/run"]
async fn two_hundred_replays_cost_the_brokers_one() {
    let brokers = shared();
    brokers.create_topic("replayed", 6);
    let mut producer = brokers.producer("replayed").record_bytes(700).start();
    producer.send(60_000);
    producer.flush();
    let fixture = KafkaFixture::new(&brokers, "replayed");
    let logs: Vec<_> = (0..6)
        .map(|partition| fixture.log("replayed", partition))
        .collect();
    let before = brokers.client_counts();
    let started = Instant::now();
    let replays = (0..200).flat_map(|_| &logs).map(|log| {
        let (history, log) = (fixture.history(), Arc::clone(log));
        tokio::spawn(async move { replay(&*history, &log, 0, log.end().offset).await.len() })
    });
    let mut records = 0;
    for replay in join_all(replays).await {
        records += replay.expect("no panic");
    }
    assert_eq!(records, 200 * 60_000);
    let (seconds, unique) = (started.elapsed().as_secs_f64(), 60_000 * 700);
    let fetched = brokers.client_counts().to_client - before.to_client;
    eprintln!("{fetched} of {unique} bytes, {seconds:.2} s");
    assert!(
        fetched as f64 <= 1.2 * f64::from(unique),
        "{fetched} of {unique} bytes"
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real brokers: ./tests/run"]
async fn pages_are_quick() {
    let brokers = shared();
    brokers.create_topic("pages", 6);
    let mut producer = brokers.producer("pages").record_bytes(700).start();
    producer.send(240_000);
    producer.flush();
    let fixture = KafkaFixture::new(&brokers, "pages");
    let logs: Vec<_> = (0..6).map(|partition| fixture.log("pages", partition)).collect();
    let history = fixture.history();
    let mut times = Vec::new();
    for round in 0..60_usize {
        let (log, offset) = (&logs[round % 6], (round * 7919 % 39) as Offset * 1024);
        let started = Instant::now();
        history.page(log, offset, client()).await.expect("a page");
        times.push(started.elapsed());
    }
    times.sort();
    eprintln!("page p50 {:?} p90 {:?} max {:?}", times[30], times[54], times[59]);
    let fixture = KafkaFixture::new(&brokers, "pages");
    let started = Instant::now();
    let mut replays = Vec::new();
    for partition in 0..6 {
        let (log, history) = (fixture.log("pages", partition), fixture.history());
        replays.push(tokio::spawn(async move {
            replay(&*history, &log, 0, log.end().offset).await.len()
        }));
    }
    let mut records = 0;
    for replay in replays {
        records += replay.await.expect("no panic");
    }
    let seconds = started.elapsed().as_secs_f64();
    eprintln!(
        "replay {records} records in {seconds:.2} s, {:.0} MB/s",
        records as f64 * 700.0 / seconds / 1e6
    );
    assert_eq!(records, 240_000);
}
