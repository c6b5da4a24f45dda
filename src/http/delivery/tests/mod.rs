//! Hours of a stream in milliseconds, under a paused clock.

mod checkpoints;

use std::{
    collections::VecDeque,
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::time::{Instant, timeout};

use super::{
    accounting::tests::accounting,
    state_machine::{Delivery, DeliveryConfig},
};
use crate::{
    drain,
    metrics::{self, Registry, StartPoint},
    subscription::{
        Batch, BatchLimit, BatchRun, BatchSource, ContentCoding, EventFormat, GroupUpdate,
        tests::{Stage, gap},
    },
};

const HEARTBEAT_AFTER: Duration = Duration::from_secs(15);
const HOLD_LIMIT: Duration = Duration::from_secs(600);
const CHECKPOINT: &str = "event: checkpoint\nid: 7\ndata: {\"skipped\":0}\n\n";
const FAR: Duration = Duration::from_secs(86_400);

/// A source that gives the batches that the test puts in.
#[derive(Clone, Default)]
struct ScriptedSource {
    batches: Arc<Mutex<VecDeque<Batch>>>,
    held: Arc<AtomicBool>,
    /// Whether it does not know its position.
    lost: Arc<AtomicBool>,
}

impl ScriptedSource {
    fn put(&self, bytes: &'static str, events: u32, gaps: usize) {
        let gaps = vec![gap(); gaps];
        let bytes = Bytes::from_static(bytes.as_bytes());
        self.batches.lock().push_back(Batch {
            bytes,
            large: None,
            events,
            gaps,
            packed: None,
        });
    }
}

impl BatchSource for ScriptedSource {
    fn poll_batch(&mut self, _context: &mut Context<'_>) -> Poll<Batch> {
        self.batches.lock().pop_front().map_or(Poll::Pending, Poll::Ready)
    }

    fn is_held(&self) -> bool {
        self.held.load(Ordering::Relaxed)
    }

    fn checkpoint(&mut self) -> Option<Batch> {
        let lost = self.lost.load(Ordering::Relaxed);
        (!lost).then(|| Batch {
            bytes: Bytes::from_static(CHECKPOINT.as_bytes()),
            events: 0,
            gaps: Vec::new(),
            packed: None,
            large: None,
        })
    }

    fn take_run(&mut self, _batch_run: &BatchRun) -> Option<usize> {
        Some(1)
    }
}

/// Returns a run of batches as a lane gives it.
fn batch_run(batches: [&[u8]; 3]) -> BatchRun {
    let stage = Stage::new();
    let mut group_cursor = stage.group_cursor();
    stage.publish(batches.map(<[u8]>::to_vec));
    let most = BatchLimit {
        batches: 3,
        bytes: usize::MAX,
    };
    match group_cursor.poll_update(&Context::from_waker(Waker::noop()), most) {
        Poll::Ready(GroupUpdate::BatchRun(batch_run)) => batch_run,
        other => panic!("{other:?}"),
    }
}

struct DeliveryFixture {
    delivery: Delivery<ScriptedSource>,
    source: ScriptedSource,
    signal: drain::DrainSignal,
    watch: drain::DrainWatch,
    registry: Registry,
}

fn fixture(change: impl FnOnce(&mut DeliveryConfig)) -> DeliveryFixture {
    let (signal, watch) = drain::channel();
    let mut registry = metrics::registry();
    let metrics = metrics::HttpMetrics::register(&mut registry);
    let mut delivery_config = DeliveryConfig {
        format: EventFormat::Sse,
        heartbeat: HEARTBEAT_AFTER,
        hold_limit: HOLD_LIMIT,
        ends_at_gap: false,
    };
    change(&mut delivery_config);
    let source = ScriptedSource::default();
    let accounting = accounting(&metrics, StartPoint::Live);
    let delivery = Delivery::new(source.clone(), delivery_config, watch.guard(), accounting);
    DeliveryFixture {
        delivery,
        source,
        signal,
        watch,
        registry,
    }
}

impl DeliveryFixture {
    async fn next(&mut self) -> Option<Bytes> {
        let next = poll_fn(|context| self.delivery.poll_next(context, false)).await;
        next.map(|bytes| bytes.whole(Bytes::from))
    }

    /// Returns the next bytes, and how long they took.
    async fn timed(&mut self) -> (Option<Bytes>, Duration) {
        let start = Instant::now();
        (self.next().await, start.elapsed())
    }

    /// Ends the stream, and returns the metrics after that.
    fn end(self) -> String {
        drop(self.delivery);
        metrics::render(&self.registry).unwrap()
    }
}

fn text(bytes: &'static str) -> Option<Bytes> {
    Some(Bytes::from_static(bytes.as_bytes()))
}

#[tokio::test(start_paused = true)]
async fn a_silent_stream_is_the_prelude_and_a_heartbeat_without_blank_line_every_15_s() {
    let mut fixture = fixture(|_| {});
    assert_eq!(fixture.timed().await, (text(":ok\n\n"), Duration::ZERO));
    assert_eq!(fixture.timed().await, (text(":\n"), HEARTBEAT_AFTER));
    assert_eq!(fixture.timed().await, (text(":\n"), HEARTBEAT_AFTER));
}

#[tokio::test(start_paused = true)]
async fn ndjson_has_blank_lines_for_both() {
    let mut fixture = fixture(|delivery_config| delivery_config.format = EventFormat::Ndjson);
    assert_eq!(fixture.timed().await, (text("\n"), Duration::ZERO));
    assert_eq!(fixture.timed().await, (text("\n"), HEARTBEAT_AFTER));
}

#[tokio::test(start_paused = true)]
async fn an_event_puts_the_heartbeat_off() {
    let mut fixture = fixture(|_| {});
    fixture.next().await;
    tokio::time::advance(Duration::from_secs(14)).await;
    fixture.source.put("data: 1\n\n", 1, 0);
    assert_eq!(fixture.next().await, text("data: 1\n\n"));
    assert_eq!(fixture.timed().await, (text(":\n"), HEARTBEAT_AFTER));
}

#[tokio::test(start_paused = true)]
async fn what_is_new_of_a_stretch_is_counted_and_puts_the_heartbeat_off() {
    let mut fixture = fixture(|_| {});
    let batch_run = batch_run([b"had", b"data: 1\n\n", b"data: 2\n\n"]);
    let take = |fixture: &mut DeliveryFixture| fixture.delivery.take_run(&batch_run);
    assert_eq!(take(&mut fixture), None, "before the prelude");
    fixture.next().await;
    tokio::time::advance(Duration::from_secs(14)).await;
    assert_eq!(take(&mut fixture), Some(1));
    assert_eq!(fixture.timed().await, (text(":\n"), HEARTBEAT_AFTER));
    let text = fixture.end();
    let metric = |line: &str| assert!(text.contains(line), "{text}");
    metric("riverhead_events_sent_total{stream=\"recentchange\"} 2\n");
}

#[tokio::test(start_paused = true)]
async fn who_ends_or_packs_takes_no_stretch() {
    let batch_run = batch_run([b"", b"", b""]);
    let mut ending = fixture(|delivery_config| delivery_config.ends_at_gap = true);
    ending.next().await;
    ending.source.put("event: gap\n\n", 0, 1);
    ending.next().await;
    assert_eq!(ending.delivery.take_run(&batch_run), None);
    let packing = fixture(|_| {});
    let mut delivery = packing.delivery.with_coding(ContentCoding::Gzip);
    poll_fn(|context| delivery.poll_next(context, false)).await;
    assert_eq!(delivery.take_run(&batch_run), None);
}

#[tokio::test(start_paused = true)]
async fn a_blocked_socket_gets_neither_events_nor_heartbeats_and_loses_nothing() {
    let mut fixture = fixture(|_| {});
    fixture.next().await;
    fixture.source.put("data: 1\n\n", 1, 0);
    let blocked = poll_fn(|context| fixture.delivery.poll_next(context, true));
    assert!(timeout(FAR, blocked).await.is_err());
    assert_eq!(fixture.next().await, text("data: 1\n\n"));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_held_keeps_its_client_on_heartbeats_until_the_limit() {
    let mut fixture = fixture(|_| {});
    fixture.source.held.store(true, Ordering::Relaxed);
    fixture.next().await;
    let start = Instant::now();
    let mut heartbeats = 0;
    while let Some(bytes) = fixture.next().await {
        assert_eq!(bytes, ":\n");
        heartbeats += 1;
        if heartbeats == 1 {
            let text = metrics::render(&fixture.registry).unwrap();
            assert!(text.contains("riverhead_streams_held 1\n"), "{text}");
        }
    }
    assert_eq!((start.elapsed(), heartbeats), (HOLD_LIMIT, 39));
    let text = fixture.end();
    assert!(text.contains("riverhead_streams_held 0\n"), "{text}");
    assert!(text.contains("reason=\"held_too_long\"} 1\n"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn kafka_coming_back_in_time_starts_the_limit_anew() {
    let mut fixture = fixture(|_| {});
    fixture.source.held.store(true, Ordering::Relaxed);
    fixture.next().await;
    for held in [true, false, true] {
        fixture.source.held.store(held, Ordering::Relaxed);
        for _ in 0..30 {
            assert_eq!(fixture.next().await, text(":\n"), "450 s are within the limit");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_it_when_it_is_due_and_behind_a_whole_batch() {
    let DeliveryFixture {
        mut delivery,
        source,
        signal,
        watch,
        registry,
    } = fixture(|_| {});
    let newer = watch.guard();
    poll_fn(|context| delivery.poll_next(context, false)).await;
    let drain = tokio::spawn(signal.drain(Duration::from_secs(20)));
    tokio::task::yield_now().await;
    source.put("data: 1\n\n", 1, 0);
    let start = Instant::now();
    assert_eq!(
        poll_fn(|context| delivery.poll_next(context, false))
            .await
            .map(|bytes| bytes.whole(Bytes::from)),
        text("data: 1\n\n")
    );
    assert_eq!(poll_fn(|context| delivery.poll_next(context, false)).await, None);
    assert_eq!(
        start.elapsed(),
        Duration::from_secs(10),
        "the older of two, in 20 s"
    );
    drop((delivery, newer, watch));
    drain.await.unwrap();
    let text = metrics::render(&registry).unwrap();
    assert!(text.contains("reason=\"drained\"} 1\n"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_a_blocked_stream_too() {
    let mut fixture = fixture(|_| {});
    fixture.next().await;
    let DeliveryFixture {
        mut delivery,
        signal,
        watch,
        ..
    } = fixture;
    let drain = tokio::spawn(signal.drain(Duration::from_secs(20)));
    let end = poll_fn(|context| delivery.poll_next(context, true));
    assert_eq!(timeout(FAR, end).await, Ok(None));
    drop((delivery, watch));
    drain.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_gap_is_sent_and_then_the_stream_ends_for_who_asked_for_none() {
    let mut fixture = fixture(|delivery_config| delivery_config.ends_at_gap = true);
    fixture.next().await;
    fixture.source.put("data: 1\n\n", 1, 0);
    fixture.source.put("event: gap\n\n", 0, 1);
    fixture.source.put("data: 9\n\n", 1, 0);
    assert_eq!(fixture.next().await, text("data: 1\n\n"));
    assert_eq!(fixture.next().await, text("event: gap\n\n"));
    assert_eq!(fixture.next().await, None);
    let text = fixture.end();
    assert!(text.contains("reason=\"gap\"} 1\n"), "{text}");
    assert!(
        text.contains("riverhead_gaps_sent_total{reason=\"expired\"} 1\n"),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_gap_is_one_event_like_any_other_for_everybody_else() {
    let mut fixture = fixture(|_| {});
    fixture.next().await;
    fixture.source.put("event: gap\n\n", 0, 1);
    fixture.source.put("data: 9\n\n", 1, 0);
    assert_eq!(fixture.next().await, text("event: gap\n\n"));
    assert_eq!(fixture.next().await, text("data: 9\n\n"));
}
