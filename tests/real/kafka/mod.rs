//! The tail and history with real brokers, and with faults of these.

mod history;
mod logs;
#[path = "../../support/reading.rs"]
mod reading;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use riverhead::{
    event::Event,
    health::Health,
    kafka::{
        BrokerProfile, Cluster, ClusterLabels, ClusterOptions, KafkaMetrics, LogAppendTimeTopics,
        MemoryLimits, ReplacementLabels, TopicSettings, connect, settings::ClusterSettings,
    },
    partition::{History, HistoryError, LogDirectory, PartitionLog},
    position::Offset,
};
use riverhead_brokers::{SharedCluster, eventually, scaled};

use self::reading::{client, offsets, ring};

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
            log_append_time_topics: LogAppendTimeTopics::default(),
            state: None,
            health: Health::new(),
        };
        let topics = vec![TopicSettings::new(topic)];
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
