//! What one client gets, and when: a state machine without I/O.
//!
//! It decides what bytes come next: the prelude, events, a heartbeat after a silence; and when the stream ends. A sink
//! (`http::body`) writes them. Here live the deadlines and the accounts of a stream, once for every kind of sink.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use tokio::time::{Instant, Sleep, sleep_until};

use super::account::Account;
use crate::{
    drain::Ticket,
    metrics::EndReason,
    sse::{HEARTBEAT, PRELUDE},
    subscription::{Batch, Format, Subscription},
};

/// Where events come from.
pub(super) trait Feed {
    /// See [`Subscription::poll_batch`].
    fn poll_batch(&mut self, context: &mut Context<'_>) -> Poll<Batch>;

    /// See [`Subscription::is_held`].
    fn is_held(&self) -> bool;
}

impl Feed for Subscription {
    fn poll_batch(&mut self, context: &mut Context<'_>) -> Poll<Batch> {
        self.poll_batch(context)
    }

    fn is_held(&self) -> bool {
        self.is_held()
    }
}

/// When a stream says something, and when it ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    pub(super) format: Format,
    /// A heartbeat follows after this much silence.
    pub(super) heartbeat: Duration,
    /// A stream that waits for Kafka for longer ends.
    pub(super) hold_limit: Duration,
    /// Whether the stream ends behind the first gap (`?on_gap=fail`).
    pub(super) ends_at_gap: bool,
}

/// One client's stream, from the prelude to the line in the log.
pub(super) struct Delivery<F> {
    feed: F,
    terms: Terms,
    ticket: Ticket,
    account: Account,
    begun: bool,
    /// It ends with the next poll, for this reason.
    ending: Option<EndReason>,
    /// When the client last got something.
    spoke: Instant,
    held_since: Option<Instant>,
    /// Set no later than the next moment that matters.
    timer: Pin<Box<Sleep>>,
}

impl<F: Feed> Delivery<F> {
    pub(super) fn new(feed: F, terms: Terms, ticket: Ticket, account: Account) -> Self {
        let now = Instant::now();
        Self {
            feed,
            terms,
            ticket,
            account,
            begun: false,
            ending: None,
            spoke: now,
            held_since: None,
            timer: Box::pin(sleep_until(now + terms.heartbeat)),
        }
    }

    /// What to write next: whole events, or what keeps the silence short. `None` is the end.
    ///
    /// With `blocked`, when what was given before is not written yet, it gives nothing; but it may still end.
    pub(super) fn poll_next(&mut self, context: &mut Context<'_>, blocked: bool) -> Poll<Option<Bytes>> {
        if !std::mem::replace(&mut self.begun, true) {
            return Poll::Ready(Some(self.say(prelude(self.terms.format))));
        }
        loop {
            let due = self.ticket.poll_due(context);
            if let Some(reason) = self.reason_to_end(due) {
                self.ending = Some(reason);
                self.account.close(reason);
                return Poll::Ready(None);
            }
            if !blocked && let Some(bytes) = self.poll_bytes(context) {
                return Poll::Ready(Some(bytes));
            }
            ready!(self.poll_moment(context, due, blocked));
        }
    }

    /// Says why the stream ended, if it has not ended by itself.
    pub(super) fn cut(&mut self, reason: EndReason) {
        self.account.close(reason);
    }

    fn poll_bytes(&mut self, context: &mut Context<'_>) -> Option<Bytes> {
        if let Poll::Ready(batch) = self.feed.poll_batch(context) {
            return Some(self.take(batch));
        }
        self.note_hold();
        let silent = self.spoke.elapsed() >= self.terms.heartbeat;
        silent.then(|| self.say(heartbeat(self.terms.format)))
    }

    fn take(&mut self, batch: Batch) -> Bytes {
        self.account.sent(&batch);
        if !batch.gaps.is_empty() && self.terms.ends_at_gap {
            self.ending = Some(EndReason::Gap);
        }
        self.spoke = Instant::now();
        batch.bytes
    }

    fn say(&mut self, bytes: Bytes) -> Bytes {
        let batch = Batch {
            bytes,
            events: 0,
            gaps: Vec::new(),
        };
        self.take(batch)
    }

    fn note_hold(&mut self) {
        let held = self.feed.is_held();
        self.account.set_held(held);
        match (held, self.held_since) {
            (true, None) => self.held_since = Some(Instant::now()),
            (false, Some(_)) => self.held_since = None,
            _ => {}
        }
    }

    fn reason_to_end(&self, due: Poll<Instant>) -> Option<EndReason> {
        let passed = |moment: Instant| moment <= Instant::now();
        if self.ending.is_some() {
            self.ending
        } else if let Poll::Ready(due) = due
            && passed(due)
        {
            Some(EndReason::Drained)
        } else {
            let limit = self.held_since.map(|since| since + self.terms.hold_limit);
            limit.is_some_and(passed).then_some(EndReason::HeldTooLong)
        }
    }

    /// Waits for the next moment at which there is something to do although nothing came.
    fn poll_moment(&mut self, context: &mut Context<'_>, due: Poll<Instant>, blocked: bool) -> Poll<()> {
        let due = match due {
            Poll::Ready(due) => Some(due),
            Poll::Pending => None,
        };
        let speak = (!blocked).then(|| self.spoke + self.terms.heartbeat);
        let give_up = self.held_since.map(|since| since + self.terms.hold_limit);
        let Some(next) = [due, speak, give_up].into_iter().flatten().min() else {
            return Poll::Pending;
        };
        // One that is set too early is looked at when it has passed: an event then need not move it.
        if next < self.timer.deadline() || self.timer.is_elapsed() {
            self.timer.as_mut().reset(next);
        }
        self.timer.as_mut().poll(context)
    }
}

fn prelude(format: Format) -> Bytes {
    Bytes::from_static(match format {
        Format::Sse => PRELUDE,
        Format::Ndjson => BLANK,
    })
}

fn heartbeat(format: Format) -> Bytes {
    Bytes::from_static(match format {
        Format::Sse => HEARTBEAT,
        Format::Ndjson => BLANK,
    })
}

/// What a reader of one JSON document a line skips.
const BLANK: &[u8] = b"\n";

#[cfg(test)]
mod tests {
    use std::{
        collections::VecDeque,
        future::poll_fn,
        sync::{
            Arc,
            atomic::{AtomicBool, Ordering},
        },
    };

    use parking_lot::Mutex;
    use tokio::time::timeout;

    use super::*;
    use crate::{
        drain,
        http::account::tests::account,
        metrics::{self, Registry, StartPlace},
        partition::TopicPartition,
        subscription::{Gap, Reason},
    };

    const HEARTBEAT_AFTER: Duration = Duration::from_secs(15);
    const HOLD_LIMIT: Duration = Duration::from_secs(600);
    const FAR: Duration = Duration::from_secs(86_400);

    /// Yields what the test puts in.
    #[derive(Clone, Default)]
    struct Scripted {
        batches: Arc<Mutex<VecDeque<Batch>>>,
        held: Arc<AtomicBool>,
    }

    impl Scripted {
        fn put(&self, bytes: &'static str, events: u32, gaps: usize) {
            let gaps = vec![gap(); gaps];
            let bytes = Bytes::from_static(bytes.as_bytes());
            self.batches.lock().push_back(Batch { bytes, events, gaps });
        }
    }

    impl Feed for Scripted {
        fn poll_batch(&mut self, _context: &mut Context<'_>) -> Poll<Batch> {
            self.batches.lock().pop_front().map_or(Poll::Pending, Poll::Ready)
        }

        fn is_held(&self) -> bool {
            self.held.load(Ordering::Relaxed)
        }
    }

    struct Rig {
        delivery: Delivery<Scripted>,
        feed: Scripted,
        signal: drain::Signal,
        watch: drain::Watch,
        registry: Registry,
    }

    fn rig(change: impl FnOnce(&mut Terms)) -> Rig {
        let (signal, watch) = drain::channel();
        let mut registry = metrics::registry();
        let metrics = metrics::HttpMetrics::register(&mut registry);
        let mut terms = Terms {
            format: Format::Sse,
            heartbeat: HEARTBEAT_AFTER,
            hold_limit: HOLD_LIMIT,
            ends_at_gap: false,
        };
        change(&mut terms);
        let feed = Scripted::default();
        let account = account(&metrics, StartPlace::Live);
        let delivery = Delivery::new(feed.clone(), terms, watch.ticket(), account);
        Rig {
            delivery,
            feed,
            signal,
            watch,
            registry,
        }
    }

    impl Rig {
        async fn next(&mut self) -> Option<Bytes> {
            poll_fn(|context| self.delivery.poll_next(context, false)).await
        }

        /// What comes next, and how long it took.
        async fn timed(&mut self) -> (Option<Bytes>, Duration) {
            let start = Instant::now();
            (self.next().await, start.elapsed())
        }

        /// The metrics behind the end of the stream.
        fn end(self) -> String {
            drop(self.delivery);
            metrics::render(&self.registry).unwrap()
        }
    }

    fn gap() -> Gap {
        Gap {
            partition: TopicPartition {
                topic: "edits".into(),
                partition: 0,
            },
            requested: Some(1),
            resumed: Some(9),
            reason: Reason::Expired,
        }
    }

    fn text(bytes: &'static str) -> Option<Bytes> {
        Some(Bytes::from_static(bytes.as_bytes()))
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_stream_is_the_prelude_and_a_heartbeat_without_blank_line_every_15_s() {
        let mut rig = rig(|_| {});
        assert_eq!(rig.timed().await, (text(":ok\n\n"), Duration::ZERO));
        assert_eq!(rig.timed().await, (text(":\n"), HEARTBEAT_AFTER));
        assert_eq!(rig.timed().await, (text(":\n"), HEARTBEAT_AFTER));
    }

    #[tokio::test(start_paused = true)]
    async fn ndjson_has_blank_lines_for_both() {
        let mut rig = rig(|terms| terms.format = Format::Ndjson);
        assert_eq!(rig.timed().await, (text("\n"), Duration::ZERO));
        assert_eq!(rig.timed().await, (text("\n"), HEARTBEAT_AFTER));
    }

    #[tokio::test(start_paused = true)]
    async fn an_event_puts_the_heartbeat_off() {
        let mut rig = rig(|_| {});
        rig.next().await;
        tokio::time::advance(Duration::from_secs(14)).await;
        rig.feed.put("data: 1\n\n", 1, 0);
        assert_eq!(rig.next().await, text("data: 1\n\n"));
        assert_eq!(rig.timed().await, (text(":\n"), HEARTBEAT_AFTER));
    }

    #[tokio::test(start_paused = true)]
    async fn a_blocked_socket_gets_neither_events_nor_heartbeats_and_loses_nothing() {
        let mut rig = rig(|_| {});
        rig.next().await;
        rig.feed.put("data: 1\n\n", 1, 0);
        let blocked = poll_fn(|context| rig.delivery.poll_next(context, true));
        assert!(timeout(FAR, blocked).await.is_err());
        assert_eq!(rig.next().await, text("data: 1\n\n"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_is_held_keeps_its_client_on_heartbeats_until_the_limit() {
        let mut rig = rig(|_| {});
        rig.feed.held.store(true, Ordering::Relaxed);
        rig.next().await;
        let start = Instant::now();
        let mut heartbeats = 0;
        while let Some(bytes) = rig.next().await {
            assert_eq!(bytes, ":\n");
            heartbeats += 1;
            if heartbeats == 1 {
                let text = metrics::render(&rig.registry).unwrap();
                assert!(text.contains("riverhead_streams_held 1\n"), "{text}");
            }
        }
        assert_eq!((start.elapsed(), heartbeats), (HOLD_LIMIT, 39));
        let text = rig.end();
        assert!(text.contains("riverhead_streams_held 0\n"), "{text}");
        assert!(text.contains("reason=\"held_too_long\"} 1\n"), "{text}");
    }

    #[tokio::test(start_paused = true)]
    async fn kafka_coming_back_in_time_starts_the_limit_anew() {
        let mut rig = rig(|_| {});
        rig.feed.held.store(true, Ordering::Relaxed);
        rig.next().await;
        for held in [true, false, true] {
            rig.feed.held.store(held, Ordering::Relaxed);
            for _ in 0..30 {
                assert_eq!(rig.next().await, text(":\n"), "450 s are within the limit");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_drain_ends_it_when_it_is_due_and_behind_a_whole_batch() {
        let Rig {
            mut delivery,
            feed,
            signal,
            watch,
            registry,
        } = rig(|_| {});
        let newer = watch.ticket();
        poll_fn(|context| delivery.poll_next(context, false)).await;
        let drain = tokio::spawn(signal.drain(Duration::from_secs(20)));
        tokio::task::yield_now().await;
        feed.put("data: 1\n\n", 1, 0);
        let start = Instant::now();
        assert_eq!(
            poll_fn(|context| delivery.poll_next(context, false)).await,
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
        let mut rig = rig(|_| {});
        rig.next().await;
        let Rig {
            mut delivery,
            signal,
            watch,
            ..
        } = rig;
        let drain = tokio::spawn(signal.drain(Duration::from_secs(20)));
        let end = poll_fn(|context| delivery.poll_next(context, true));
        assert_eq!(timeout(FAR, end).await, Ok(None));
        drop((delivery, watch));
        drain.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_gap_is_sent_and_then_the_stream_ends_for_who_asked_for_none() {
        let mut rig = rig(|terms| terms.ends_at_gap = true);
        rig.next().await;
        rig.feed.put("data: 1\n\n", 1, 0);
        rig.feed.put("event: gap\n\n", 0, 1);
        rig.feed.put("data: 9\n\n", 1, 0);
        assert_eq!(rig.next().await, text("data: 1\n\n"));
        assert_eq!(rig.next().await, text("event: gap\n\n"));
        assert_eq!(rig.next().await, None);
        let text = rig.end();
        assert!(text.contains("reason=\"gap\"} 1\n"), "{text}");
        assert!(
            text.contains("riverhead_gaps_sent_total{reason=\"expired\"} 1\n"),
            "{text}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_gap_is_one_event_like_any_other_for_everybody_else() {
        let mut rig = rig(|_| {});
        rig.next().await;
        rig.feed.put("event: gap\n\n", 0, 1);
        rig.feed.put("data: 9\n\n", 1, 0);
        assert_eq!(rig.next().await, text("event: gap\n\n"));
        assert_eq!(rig.next().await, text("data: 9\n\n"));
    }
}
