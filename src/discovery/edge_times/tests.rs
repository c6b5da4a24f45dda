use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
};

use futures_util::future::BoxFuture;

use super::*;
use crate::{
    discovery::{Discovery, LogEdge},
    event::{Encoding, Record},
    partition::{Bounds, PageBuilder},
};

/// A history of one log, whose records have these offsets and times.
#[derive(Default)]
struct Stored {
    records: Mutex<BTreeMap<Offset, Timestamp>>,
    /// Whether no page is ever returned.
    is_mute: bool,
    asked: AtomicUsize,
    asked_now: AtomicUsize,
    most_at_once: AtomicUsize,
}

/// The offsets of a page.
const PAGE: Offset = 10;

impl Stored {
    fn of(records: &[(Offset, Timestamp)]) -> Arc<Self> {
        Arc::new(Self {
            records: Mutex::new(records.iter().copied().collect()),
            ..Self::default()
        })
    }

    fn page(&self, offset: Offset) -> Arc<Page> {
        let start = offset / PAGE * PAGE;
        let mut page = PageBuilder::new(start, Encoding::default());
        for (offset, timestamp) in self.records.lock().range(start..start + PAGE) {
            let record = Record {
                timestamp: *timestamp,
                ..Record::bare(*offset, Some(b"{}"))
            };
            page.push(&record).expect("JSON");
        }
        Arc::new(page.finish(start + PAGE))
    }
}

/// A history that takes a while, and counts.
struct SlowHistory(Arc<Stored>);

impl History for SlowHistory {
    fn page(
        &self,
        _: &Arc<PartitionLog>,
        offset: Offset,
        _: ClientKey,
    ) -> BoxFuture<'static, Result<Arc<Page>, HistoryError>> {
        let stored = Arc::clone(&self.0);
        stored.asked.fetch_add(1, SeqCst);
        let now = stored.asked_now.fetch_add(1, SeqCst) + 1;
        stored.most_at_once.fetch_max(now, SeqCst);
        Box::pin(async move {
            if stored.is_mute {
                stored.asked_now.fetch_sub(1, SeqCst);
                std::future::pending::<()>().await;
            }
            sleep(Duration::from_millis(20)).await;
            stored.asked_now.fetch_sub(1, SeqCst);
            Ok(stored.page(offset))
        })
    }

    fn bounds(&self, _: &Arc<PartitionLog>) -> BoxFuture<'static, Result<Bounds, HistoryError>> {
        Box::pin(std::future::pending())
    }

    fn first_at(
        &self,
        _: &Arc<PartitionLog>,
        _: Timestamp,
        _: ClientKey,
    ) -> BoxFuture<'static, Result<Option<Offset>, HistoryError>> {
        Box::pin(std::future::pending())
    }
}

struct Stage {
    directory: Arc<LogDirectory>,
    stored: Arc<Stored>,
    discovery: Discovery,
}

impl Stage {
    /// Creates this many partitions of topic `t`, each from `start` to `end`, and runs the questions.
    fn new(partitions: i32, start: Offset, end: Offset, stored: Arc<Stored>) -> Self {
        let directory = LogDirectory::new();
        let history = Arc::new(SlowHistory(Arc::clone(&stored)));
        let discovery = Discovery::new(Arc::clone(&directory), history);
        let stage = Self {
            directory,
            stored,
            discovery,
        };
        for partition in 0..partitions {
            stage.put(partition, 1, start, end);
        }
        let running = stage.discovery.clone();
        tokio::spawn(async move { running.run().await });
        stage
    }

    fn put(&self, partition: i32, topic_id: u8, start: Offset, end: Offset) -> Arc<PartitionLog> {
        let name = TopicPartition {
            topic: "t".into(),
            partition,
        };
        let tag = LogTag::new("cluster", &[topic_id; 16]);
        let log = PartitionLog::new(name, tag, Encoding::default(), end);
        self.directory.put(Arc::clone(&log));
        self.directory.set_start(&log, start);
        log
    }

    /// Returns the ends of the first partition as they are known now.
    fn ends(&self) -> [LogEdge; 2] {
        let extent = self.discovery.extent(&"t".into());
        [extent.partitions[0].earliest, extent.partitions[0].latest]
    }

    /// Asks, waits until the questions have been answered, and returns the times.
    async fn times(&self) -> [Option<Timestamp>; 2] {
        self.ends();
        sleep(Duration::from_secs(5)).await;
        self.ends().map(|edge| edge.timestamp)
    }

    fn asked(&self) -> usize {
        self.stored.asked.load(SeqCst)
    }
}

fn edge(offset: Offset, timestamp: Option<Timestamp>) -> LogEdge {
    LogEdge::at(offset, timestamp)
}

#[tokio::test(start_paused = true)]
async fn times_are_those_of_the_nearest_records_that_have_one() {
    let stored = Stored::of(&[(3, 300), (17, -1), (24, 2400), (41, 4100), (55, -1), (70, 7000)]);
    let stage = Stage::new(1, 12, 60, stored);
    assert_eq!(
        stage.ends(),
        [edge(12, None), edge(60, None)],
        "not known at once"
    );
    assert_eq!(stage.times().await, [Some(2400), Some(4100)]);
    let asked = stage.asked();
    assert_eq!(stage.times().await, [Some(2400), Some(4100)]);
    assert_eq!(stage.asked(), asked, "an answer stands");

    sleep(STANDS).await;
    stage.stored.records.lock().remove(&24);
    assert_eq!(stage.ends(), [edge(12, Some(2400)), edge(60, Some(4100))]);
    assert_eq!(
        stage.times().await,
        [Some(4100); 2],
        "until it is asked for again"
    );
}

#[tokio::test(start_paused = true)]
async fn a_log_without_records_is_not_asked_about_and_one_with_a_long_hole_only_so_far() {
    let stage = Stage::new(1, 60, 60, Stored::of(&[(3, 300)]));
    assert_eq!(stage.times().await, [None, None]);
    assert_eq!(stage.ends(), [edge(60, None), edge(60, None)]);
    assert_eq!(stage.asked(), 0);

    let stage = Stage::new(1, 0, 1000, Stored::of(&[(500, 5)]));
    assert_eq!(stage.times().await, [None, None]);
    assert_eq!(stage.asked(), 2 * MAX_PAGES);
}

#[tokio::test(start_paused = true)]
async fn however_many_ask_the_brokers_get_two_questions_a_second() {
    let stage = Stage::new(100, 0, 40, Stored::of(&[(0, 1), (39, 2)]));
    for _ in 0..100 {
        for _ in 0..20 {
            stage.discovery.extent(&"t".into());
        }
        sleep(Duration::from_millis(100)).await;
    }
    assert!((10..=20).contains(&stage.asked()), "{}", stage.asked());
    assert_eq!(stage.stored.most_at_once.load(SeqCst), 1);
    sleep(Duration::from_secs(120)).await;
    assert_eq!(stage.asked(), 200, "each once");
}

#[tokio::test(start_paused = true)]
async fn what_the_tail_has_is_told_at_once_and_asks_nothing() {
    let stage = Stage::new(1, 40, 40, Stored::of(&[]));
    let log = stage.directory.get("t", 0).expect("a log");
    let mut page = PageBuilder::new(40, Encoding::default());
    for (offset, timestamp) in [(40, 400), (41, 410)] {
        let record = Record {
            timestamp,
            ..Record::bare(offset, Some(b"{}"))
        };
        page.push(&record).expect("JSON");
    }
    log.append(page.finish(43));
    assert_eq!(stage.ends(), [edge(40, Some(400)), edge(42, Some(410))]);
    stage.directory.set_start(&log, 41);
    assert_eq!(stage.ends(), [edge(41, Some(410)), edge(42, Some(410))]);
    sleep(Duration::from_secs(5)).await;
    assert_eq!(stage.asked(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_never_answers_is_asked_again_after_a_while_and_only_if_somebody_asks() {
    let stored = Arc::new(Stored {
        is_mute: true,
        ..Stored::default()
    });
    let stage = Stage::new(1, 0, 40, stored);
    stage.ends();
    sleep(ANSWER_TIMEOUT * 3).await;
    assert_eq!(
        (stage.ends(), stage.asked()),
        ([edge(0, None), edge(40, None)], 2)
    );
    sleep(Duration::from_secs(3600)).await;
    stage.ends();
    sleep(ANSWER_TIMEOUT * 3).await;
    assert_eq!(stage.asked(), 4);
}

#[tokio::test(start_paused = true)]
async fn another_log_of_the_partition_has_other_times_and_what_is_gone_is_forgotten() {
    let stage = Stage::new(1, 0, 40, Stored::of(&[(0, 1), (39, 2)]));
    assert_eq!(stage.times().await, [Some(1), Some(2)]);
    stage.put(0, 2, 0, 40);
    assert_eq!(stage.ends(), [edge(0, None), edge(40, None)]);
    assert_eq!(stage.times().await, [Some(1), Some(2)]);

    stage.directory.remove_logs("t");
    let times = &stage.discovery.0.times;
    assert_eq!(times.state.lock().answers.len(), 2);
    times.forget_gone(&stage.directory);
    assert_eq!(times.state.lock().answers.len(), 0);
    assert_eq!(stage.ends(), [LogEdge::default(); 2]);
}

#[tokio::test(start_paused = true)]
async fn rates_count_what_comes_over_all_partitions_and_replaced_logs() {
    let stage = Stage::new(2, 0, 0, Stored::of(&[]));
    let append = |partition: i32, offsets: std::ops::Range<Offset>| {
        let log = stage.directory.get("t", partition).expect("a log");
        let mut page = PageBuilder::new(offsets.start, Encoding::default());
        for offset in offsets.clone() {
            page.push(&Record::bare(offset, Some(b"{}"))).expect("JSON");
        }
        log.append(page.finish(offsets.end));
    };
    let rate = || stage.discovery.rate(&["t".into(), "unknown".into()]).minute;
    sleep(Duration::from_millis(1)).await;
    assert_eq!(rate(), None);
    append(0, 0..5);
    append(1, 0..10);
    sleep(Duration::from_secs(10)).await;
    assert_eq!(rate(), Some(1.5));
    stage.put(0, 2, 0, 0);
    append(0, 0..15);
    // Read twice in a hand-over, and counted once.
    append(0, 0..15);
    sleep(Duration::from_secs(10)).await;
    assert_eq!(rate(), Some(1.5));
}
