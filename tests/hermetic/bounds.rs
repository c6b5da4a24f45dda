//! Bounds that hold against clients that read part of what they are sent and then stop.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::BoxFuture;
use riverhead::{
    client::ClientKey,
    event::{Encoding, Headers, Record},
    partition::{
        Bounds, History, HistoryError, LogDirectory, Page, PageBuilder, PartitionLog, TopicPartition,
    },
    position::{LogTag, Offset, Timestamp},
    subscription::LogSource,
};
use tokio::time::sleep;

use crate::support::{
    gateway::{DEADLINE, TestClient, TestGateway, edits},
    model::TOPIC,
    on_both_sinks,
};

on_both_sinks! {
    #[tokio::test(flavor = "multi_thread")]
    stuck_clients_in_different_events_hold_no_more_than_the_lanes_may
}

/// The budget of the lanes of a test gateway, in bytes.
const LANES: usize = 16 << 20;

/// Far more than the kernel buffers for a client that does not read.
const EVENT: usize = 2 << 20;

/// The events in which clients stop, each client in another one.
const EVENTS: usize = 24;

/// A log whose events are in memory.
struct Live {
    log: Arc<PartitionLog>,
    source: LogSource,
}

impl Live {
    fn new() -> Self {
        let partition = TopicPartition {
            topic: TOPIC.into(),
            partition: 0,
        };
        let log = PartitionLog::new(partition, LogTag::from_bits(1, 1), Encoding::default(), 0);
        let source = LogSource {
            directory: LogDirectory::new(),
            history: Arc::new(OnlyLive),
        };
        source.directory.put(Arc::clone(&log));
        Self { log, source }
    }

    /// Appends an event of two megabytes.
    fn write_large(&self) {
        let mut page = PageBuilder::new(self.log.next(), Encoding::default());
        let value = format!("{{\"x\":\"{}\"}}", "x".repeat(EVENT));
        let record = Record {
            offset: self.log.next(),
            timestamp: 1_790_000_000_000,
            epoch: 1,
            key: None,
            headers: Headers::default(),
            value: Some(value.as_bytes()),
            canary: false,
        };
        page.push(&record).unwrap();
        let next = page.next();
        self.log.append(page.finish(next));
    }
}

/// None of these clients needs history. They only ask for the bounds of the log.
struct OnlyLive;

impl History for OnlyLive {
    fn page(
        &self,
        _log: &Arc<PartitionLog>,
        _offset: Offset,
        _client: ClientKey,
    ) -> BoxFuture<'static, Result<Arc<Page>, HistoryError>> {
        Box::pin(async { Err(HistoryError::Unavailable) })
    }

    fn bounds(&self, log: &Arc<PartitionLog>) -> BoxFuture<'static, Result<Bounds, HistoryError>> {
        let end = log.next();
        let bounds = Bounds {
            start: 0,
            end,
            epoch: Some(1),
        };
        Box::pin(async move { Ok(bounds) })
    }

    fn first_at(
        &self,
        _log: &Arc<PartitionLog>,
        _time: Timestamp,
        _client: ClientKey,
    ) -> BoxFuture<'static, Result<Option<Offset>, HistoryError>> {
        Box::pin(async { Ok(None) })
    }
}

async fn live(gateway: &TestGateway) -> TestClient {
    let mut client = TestClient::stream(gateway.public, "/v2/stream/edits").await;
    assert!(client.head().await.starts_with("HTTP/1.1 200"));
    assert_eq!(client.chunk().await, ":ok\n\n");
    client
}

/// Waits until the memory of all lanes is within the budget, and returns it.
async fn within_budget(gateway: &TestGateway, of: &str) -> usize {
    let start = Instant::now();
    loop {
        let bytes = gateway.lanes.bytes();
        if bytes <= LANES {
            return bytes;
        }
        assert!(start.elapsed() < DEADLINE, "{bytes} of {LANES} bytes {of}");
        sleep(Duration::from_millis(5)).await;
    }
}

async fn stuck_clients_in_different_events_hold_no_more_than_the_lanes_may() {
    let fixture = Live::new();
    let gateway = TestGateway::over(edits(), fixture.source.clone(), |_| {});
    let mut honest = live(&gateway).await;
    let mut stuck = Vec::new();
    let mut most = 0;
    for event in 0..EVENTS {
        // In a lane or not: every second client requests the same as the one before it.
        stuck.push(live(&gateway).await);
        fixture.write_large();
        let chunk = honest.chunk_bytes().await;
        assert!(
            chunk.len() > EVENT && chunk.ends_with(b"\"}\n\n"),
            "event {event}"
        );
        let bytes = within_budget(&gateway, &format!("behind event {event}")).await;
        most = most.max(bytes);
    }
    assert!(most > LANES / 2, "they did not hold much: {most}");
    let ended = gateway
        .metric("riverhead_streams_ended_total{stream=\"edits\",reason=\"memory\"}")
        .await as usize;
    assert!(
        (EVENTS - LANES / EVENT..=EVENTS).contains(&ended),
        "{ended} were reset"
    );
    // The memory that the other clients hold is freed when they leave.
    drop(stuck);
    let start = Instant::now();
    while gateway.lanes.bytes() > EVENT * 2 {
        assert!(start.elapsed() < DEADLINE, "{}", gateway.lanes.bytes());
        sleep(Duration::from_millis(5)).await;
    }
}

/// Over the bare socket, where none is written anew.
#[tokio::test(flavor = "multi_thread")]
async fn a_stuck_client_has_no_copy_of_a_large_event_with_a_filter_of_its_own_or_packed() {
    const PAIRS: u8 = 16;
    let fixture = Live::new();
    let gateway = TestGateway::over(edits(), fixture.source.clone(), |_| {});
    let mut honest = live(&gateway).await;
    let mut stuck = Vec::new();
    for number in 1..=PAIRS {
        let own = format!("/v2/stream/edits?filter=x%20prefix%20%22x%22%20or%20n%3D{number}");
        for target in [own.clone(), format!("{own}&encoding=gzip")] {
            let mut client = TestClient::from([127, 0, 9, number], gateway.public).await;
            client
                .send(&format!("GET {target} HTTP/1.1\r\nhost: test\r\n\r\n"))
                .await;
            assert!(client.head().await.starts_with("HTTP/1.1 200"));
            stuck.push(client);
        }
    }
    fixture.write_large();
    assert!(honest.chunk_bytes().await.len() > EVENT);
    // All of them are given it within this time.
    let (start, mut most) = (Instant::now(), 0);
    while start.elapsed() < Duration::from_secs(2) {
        most = most.max(gateway.lanes.bytes());
        sleep(Duration::from_millis(5)).await;
    }
    // What each has of its own, and the event once; in the ring of the honest client's lane once more.
    let bound = 2 * EVENT + 2 * usize::from(PAIRS) * 64 * 1024;
    assert!((EVENT..=bound).contains(&most), "{most} of {bound}");
    let ended = gateway
        .metric("riverhead_streams_ended_total{stream=\"edits\",reason=\"memory\"}")
        .await;
    assert_eq!(ended, 0.0, "none was reset");
}
