//! Tests of the tail and of history with librdkafka's in-process brokers. An unreachable broker is the first
//! in every bootstrap list.
#![allow(clippy::print_stdout, reason = "the test prints its measurements")]

mod bootstrap;
mod causes;
mod edges;
mod failover;
mod faults;
mod health;
mod history;
mod panics;
mod redaction;
mod tail;

use std::{
    collections::HashMap,
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use riverhead::{
    event::{Event, Transform},
    health::Health,
    kafka::{
        BrokerProfile, ClientLabels, Cluster, ClusterLabels, ClusterOptions, KafkaMetrics,
        LogAppendTimeTopics, MemoryLimits, TopicSettings, connect, settings::ClusterSettings,
    },
    partition::{History, HistoryError, LogDirectory, Page, PartitionLog},
    position::Offset,
};

use crate::support::{
    brokers::Brokers,
    reading::{client, offsets, ring},
};

/// What is done to the records of topics.
type Transforms = HashMap<Arc<str>, Arc<dyn Transform>>;

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
        Self::build(brokers, topics, state, Transforms::new(), change)
    }

    /// Creates a fixture in which this is done to the records of some topics.
    fn transformed(brokers: Brokers, topics: &[&str], transforms: Transforms) -> Self {
        Self::build(brokers, topics, None, transforms, |_| {})
    }

    fn build(
        brokers: Brokers,
        topics: &[&str],
        state: Option<&Path>,
        transforms: Transforms,
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
            log_append_time_topics: LogAppendTimeTopics::default(),
            state: state.map(Into::into),
            health: health.clone(),
        };
        let topics = topics.iter().map(|topic| TopicSettings {
            transform: transforms.get(*topic).cloned(),
            ..TopicSettings::new(topic)
        });
        let topics = topics.collect();
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
