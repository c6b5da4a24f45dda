//! The state machine of one client's stream: what bytes come next, and when it ends.
//!
//! Not here: writing the bytes, which the sinks do.

use std::{
    future::Future,
    hint::black_box,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use tokio::time::{Instant, Sleep, sleep_until};

use super::{accounting::StreamAccounting, expiry::Expiry, gzip::GzipStream, segments::Segments};
use crate::{
    drain::DrainGuard,
    metrics::EndReason,
    sse::{HEARTBEAT, PRELUDE},
    subscription::{Batch, BatchRun, BatchSource, ContentCoding, EventFormat, ReadEndReason, end_of_stream},
};

/// The format and the deadlines of one stream.
#[derive(Clone, Copy, Debug)]
pub(in crate::http) struct DeliveryConfig {
    pub(in crate::http) format: EventFormat,
    /// A heartbeat is sent after this much silence.
    pub(in crate::http) heartbeat: Duration,
    /// The stream ends when it has waited for Kafka for this long.
    pub(in crate::http) hold_limit: Duration,
    /// Whether the stream ends after the first gap event (`?on_gap=fail`).
    pub(in crate::http) ends_at_gap: bool,
}

/// The stream of one client, from the prelude to the log line at its end.
pub(in crate::http) struct Delivery<S: ?Sized> {
    config: DeliveryConfig,
    drain_guard: DrainGuard,
    accounting: StreamAccounting,
    /// The gzip member that carries the stream, on the heap because most have none. `None` writes the bytes as they are.
    gzip: Option<Box<GzipStream>>,
    is_started: bool,
    /// The reason for which it ends with the next poll.
    pending_end: Option<EndReason>,
    /// When the client last got something.
    last_write: Instant,
    /// Since when the stream waits for Kafka. `None` while it does not.
    held_since: Option<Instant>,
    /// `None` once the client has an id, and for a client that gets no checkpoint.
    checkpoint_timer: Option<CheckpointTimer>,
    /// The end of the credential that the stream came with, on the heap because most have none.
    expiry: Option<Box<Expiry>>,
    /// Whether the client is to be told by an `event: end` if the stream is removed, or it may not read it any more.
    tells_end: bool,
    /// Set no later than the next deadline.
    timer: Pin<Box<Sleep>>,
    /// The source of the events, which a sink asks for what concerns the source alone. It is the last field: a delivery of any
    /// source then coerces to one of `dyn BatchSource`.
    pub(in crate::http) source: S,
}

/// When a client that has had no id yet gets its position as a checkpoint.
struct CheckpointTimer {
    due: Instant,
    /// How long to wait before the next try if the position is not known yet.
    wait: Duration,
}

impl<S: BatchSource> Delivery<S> {
    /// Creates a stream that has sent nothing yet, uncompressed and without a checkpoint.
    pub(in crate::http) fn new(
        source: S,
        config: DeliveryConfig,
        drain_guard: DrainGuard,
        accounting: StreamAccounting,
    ) -> Self {
        let now = Instant::now();
        Self {
            config,
            drain_guard,
            accounting,
            gzip: None,
            is_started: false,
            pending_end: None,
            last_write: now,
            held_since: None,
            checkpoint_timer: None,
            expiry: None,
            tells_end: false,
            timer: Box::pin(sleep_until(now + config.heartbeat)),
            source,
        }
    }

    /// Returns the same stream with this content coding.
    pub(in crate::http) fn with_coding(self, coding: ContentCoding) -> Self {
        Self {
            gzip: (coding == ContentCoding::Gzip).then(Box::default),
            ..self
        }
    }

    /// Returns the same stream for a client whose credential expires then.
    pub(in crate::http) fn with_expiry(self, expiry: Option<Expiry>) -> Self {
        Self {
            expiry: expiry.map(Box::new),
            ..self
        }
    }

    /// Returns the same stream for a client that can meet an `event: end`, or cannot.
    pub(in crate::http) fn with_end_told(self, tells_end: bool) -> Self {
        Self { tells_end, ..self }
    }

    /// Returns the same stream for a client that has no id. The client gets its position as a checkpoint if it has had no id
    /// after `wait`, or when the stream ends before that.
    pub(in crate::http) fn with_checkpoint_after(mut self, wait: Option<Duration>) -> Self {
        self.checkpoint_timer = wait.map(|wait| CheckpointTimer {
            due: Instant::now() + wait,
            wait,
        });
        self
    }
}

impl<S: BatchSource + ?Sized> Delivery<S> {
    /// Returns what to write next: whole events, or a heartbeat. Returns `None` at the end.
    ///
    /// `blocked` says that what was returned before is not written yet. The stream then returns no events, but may still end.
    pub(in crate::http) fn poll_next(
        &mut self,
        context: &mut Context<'_>,
        blocked: bool,
    ) -> Poll<Option<Segments>> {
        if !std::mem::replace(&mut self.is_started, true) {
            return Poll::Ready(Some(self.write_control(prelude(self.config.format))));
        }
        loop {
            let due = match self.drain_guard.poll_due(context) {
                Poll::Ready(due) => Some(due),
                Poll::Pending => None,
            };
            if !blocked && let Some(reason) = self.source.end() {
                self.pending_end.get_or_insert(match reason {
                    ReadEndReason::Limit => EndReason::Limit,
                    ReadEndReason::Until => EndReason::Until,
                });
            }
            let evicted = self.accounting.evict_handle.eviction_reason(context);
            if let Some(reason) = self.end_reason(due).or(evicted) {
                self.pending_end = Some(reason);
                if !blocked && let Some(last) = self.last_words(reason) {
                    return Poll::Ready(Some(last));
                }
                self.accounting.end(reason);
                let end = self.gzip.as_mut().and_then(|gzip| gzip.finish());
                return Poll::Ready(end.map(Segments::from));
            }
            if blocked {
                self.source.cancel_fetches();
            } else if let Some(bytes) = self.poll_bytes(context) {
                return Poll::Ready(Some(bytes));
            }
            ready!(self.poll_timer(context, due, blocked));
        }
    }

    /// Returns what the client still gets before the stream ends for this reason: why, or its position.
    fn last_words(&mut self, reason: EndReason) -> Option<Segments> {
        let told = match reason {
            EndReason::Removed => Some("removed"),
            EndReason::Access => Some("access"),
            _ => None,
        };
        if let Some(told) = told {
            let is_told = std::mem::take(&mut self.tells_end);
            let end = is_told.then(|| end_of_stream(told, self.accounting.events(), self.config.format));
            return end.map(|end| self.write_control(end.into()));
        }
        self.checkpoint_timer.take()?;
        let batch = self.source.checkpoint()?;
        Some(self.write(batch))
    }

    /// Reads the memory that [`take_run`](Self::take_run) will need, so that it is in the processor's cache then. With thousands
    /// of clients it is in no cache otherwise.
    pub(in crate::http) fn prefetch(&self) {
        black_box((self.is_started, self.pending_end, self.last_write));
        self.accounting.prefetch();
        self.source.prefetch();
    }

    /// Takes the batches that are new to this client, from a run that all clients of its lane get. Returns how many of the run's
    /// first batches it has had already. Returns `None` if the stream has to be polled instead.
    ///
    /// All else that may happen, the end of the stream or a heartbeat, still wakes the task that polled it last.
    pub(in crate::http) fn take_run(&mut self, batch_run: &BatchRun) -> Option<usize> {
        if !self.is_started || self.pending_end.is_some() || self.gzip.is_some() || self.owes_warning() {
            return None;
        }
        let already_sent = self.source.take_run(batch_run)?;
        let new = &batch_run.batches()[already_sent..];
        if !new.is_empty() {
            new.iter().for_each(|batch| self.accounting.record_sent(batch));
            // All that the clients of a lane get by runs has ids.
            self.checkpoint_timer = None;
            self.last_write = Instant::now();
        }
        Some(already_sent)
    }

    /// Records why the stream ended, if it has not ended by itself.
    pub(in crate::http) fn close(&mut self, reason: EndReason) {
        self.accounting.close(reason);
    }

    /// Whether the client is to be told of the end of its credential behind the first event, which a run would not notice.
    fn owes_warning(&self) -> bool {
        self.expiry.as_ref().is_some_and(|expiry| expiry.waits)
    }

    fn poll_bytes(&mut self, context: &mut Context<'_>) -> Option<Segments> {
        if let Some(warning) = self
            .expiry
            .as_mut()
            .and_then(|expiry| expiry.take_warning(self.config.format))
        {
            return Some(self.write_control(warning));
        }
        if let Poll::Ready(batch) = self.source.poll_batch(context) {
            return Some(self.take(batch));
        }
        self.update_hold();
        if let Some(batch) = self.checkpoint() {
            return Some(self.take(batch));
        }
        let is_silent = self.last_write.elapsed() >= self.config.heartbeat;
        is_silent.then(|| {
            self.stop_waiting();
            self.write_control(heartbeat(self.config.format))
        })
    }

    /// Returns the client's position as a checkpoint, once that is due.
    fn checkpoint(&mut self) -> Option<Batch> {
        let checkpoint_timer = self.checkpoint_timer.as_mut()?;
        let now = Instant::now();
        if now < checkpoint_timer.due {
            return None;
        }
        // If the position is not known yet, the stream tries again.
        checkpoint_timer.due = now + checkpoint_timer.wait;
        self.source.checkpoint()
    }

    /// Records that the client has got something, behind which it can be told of the end of its credential.
    fn stop_waiting(&mut self) {
        if let Some(expiry) = &mut self.expiry {
            expiry.waits = false;
        }
    }

    fn take(&mut self, batch: Batch) -> Segments {
        self.stop_waiting();
        if batch.has_id() {
            self.checkpoint_timer = None;
        }
        self.write(batch)
    }

    fn write(&mut self, batch: Batch) -> Segments {
        let segments = match &mut self.gzip {
            Some(gzip) => gzip.encode(&batch),
            None => batch.pieces().collect(),
        };
        self.accounting.record_sent_bytes(segments.len(), &batch);
        if !batch.gaps.is_empty() && self.config.ends_at_gap {
            self.pending_end = Some(EndReason::Gap);
        }
        self.last_write = Instant::now();
        segments
    }

    fn write_control(&mut self, bytes: Bytes) -> Segments {
        let batch = Batch {
            bytes,
            large: None,
            events: 0,
            gaps: Vec::new(),
            packed: None,
        };
        self.write(batch)
    }

    fn update_hold(&mut self) {
        let held = self.source.is_held();
        self.accounting.set_held(held);
        self.held_since = held.then(|| self.held_since.unwrap_or_else(Instant::now));
    }

    fn end_reason(&self, due: Option<Instant>) -> Option<EndReason> {
        let passed = |moment: Instant| moment <= Instant::now();
        let drained = due.is_some_and(passed).then_some(EndReason::Drained);
        let held = self.hold_deadline().is_some_and(passed);
        let expired = self.expiry.as_ref().is_some_and(|expiry| passed(expiry.ends_at));
        let pending = self.pending_end.or(drained);
        let pending = pending.or(expired.then_some(EndReason::Expired));
        pending.or(held.then_some(EndReason::HeldTooLong))
    }

    /// Returns when the stream ends if it still waits for Kafka then.
    fn hold_deadline(&self) -> Option<Instant> {
        self.held_since.map(|since| since + self.config.hold_limit)
    }

    /// Waits for the next deadline. Never ready if there is none.
    fn poll_timer(&mut self, context: &mut Context<'_>, due: Option<Instant>, blocked: bool) -> Poll<()> {
        let heartbeat_due = (!blocked).then(|| self.last_write + self.config.heartbeat);
        let checkpoint = self.checkpoint_timer.as_ref().filter(|_| !blocked);
        let checkpoint_due = checkpoint.map(|checkpoint| checkpoint.due);
        let expiry = self.expiry.as_ref();
        let expiry_due = expiry.map(|expiry| {
            if blocked {
                expiry.ends_at
            } else {
                expiry.deadline()
            }
        });
        let deadlines = [
            due,
            heartbeat_due,
            self.hold_deadline(),
            checkpoint_due,
            expiry_due,
        ];
        let Some(next) = deadlines.into_iter().flatten().min() else {
            return Poll::Pending;
        };
        // A timer that fires too early is set again then, so that an event need not move it.
        if next < self.timer.deadline() || self.timer.is_elapsed() {
            self.timer.as_mut().reset(next);
        }
        self.timer.as_mut().poll(context)
    }
}

/// Returns the first bytes of a stream.
fn prelude(format: EventFormat) -> Bytes {
    Bytes::from_static(match format {
        EventFormat::Sse => PRELUDE,
        EventFormat::Ndjson => BLANK,
    })
}

/// Returns the bytes that keep a silent connection open.
fn heartbeat(format: EventFormat) -> Bytes {
    Bytes::from_static(match format {
        EventFormat::Sse => HEARTBEAT,
        EventFormat::Ndjson => BLANK,
    })
}

/// A blank line, which readers of one JSON document a line skip.
const BLANK: &[u8] = b"\n";
