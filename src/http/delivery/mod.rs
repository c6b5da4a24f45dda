//! What one client gets, and when: a state machine without I/O.
//!
//! It decides what bytes come next: the prelude, events, a heartbeat after a silence; and when the stream ends. A sink
//! (`http::body`) writes them. Here live the deadlines and the accounts of a stream, once for every kind of sink.

use std::{
    future::Future,
    hint::black_box,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::{
    drain::DrainGuard,
    metrics::EndReason,
    sse::{HEARTBEAT, PRELUDE},
    subscription::{Batch, BatchRun, ContentCoding, EventFormat},
};
use accounting::StreamAccounting;
use gzip::Encoder;
use segments::Segments;
use source::BatchSource;

/// When a stream says something, and when it ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct DeliveryConfig {
    pub(super) format: EventFormat,
    /// A heartbeat follows after this much silence.
    pub(super) heartbeat: Duration,
    /// A stream that waits for Kafka for longer ends.
    pub(super) hold_limit: Duration,
    /// Whether the stream ends behind the first gap (`?on_gap=fail`).
    pub(super) ends_at_gap: bool,
}

/// One client's stream, from the prelude to the line in the log.
pub(super) struct Delivery<S: ?Sized> {
    config: DeliveryConfig,
    drain_guard: DrainGuard,
    accounting: StreamAccounting,
    encoder: Encoder,
    is_started: bool,
    /// It ends with the next poll, for this reason.
    pending_end: Option<EndReason>,
    /// When the client last got something.
    last_write: Instant,
    held_since: Option<Instant>,
    /// `None` once the client has an id, and for one that is told no other way than by an event.
    checkpoint_timer: Option<CheckpointTimer>,
    /// Set no later than the next moment that matters.
    timer: Pin<Box<Sleep>>,
    /// The last field: a delivery of any source then coerces to one of `dyn BatchSource`.
    source: S,
}

/// When a client that has had no id yet is told where it stands.
struct CheckpointTimer {
    due: Instant,
    wait: Duration,
}

impl<S: BatchSource> Delivery<S> {
    pub(super) fn new(
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
            encoder: Encoder::new(ContentCoding::Identity),
            is_started: false,
            pending_end: None,
            last_write: now,
            held_since: None,
            checkpoint_timer: None,
            timer: Box::pin(sleep_until(now + config.heartbeat)),
            source,
        }
    }

    /// The same, packed.
    pub(super) fn with_coding(self, coding: ContentCoding) -> Self {
        Self {
            encoder: Encoder::new(coding),
            ..self
        }
    }

    /// The same, for a client that has no id, and is told where it stands if it has none after `wait`, or when the stream
    /// ends before that.
    pub(super) fn with_checkpoint_after(mut self, wait: Option<Duration>) -> Self {
        self.checkpoint_timer = wait.map(|wait| CheckpointTimer {
            due: Instant::now() + wait,
            wait,
        });
        self
    }
}

impl<S: BatchSource + ?Sized> Delivery<S> {
    /// What to write next: whole events, or what keeps the silence short. `None` is the end.
    ///
    /// With `blocked`, when what was given before is not written yet, it gives nothing; but it may still end.
    pub(super) fn poll_next(&mut self, context: &mut Context<'_>, blocked: bool) -> Poll<Option<Segments>> {
        if !std::mem::replace(&mut self.is_started, true) {
            return Poll::Ready(Some(self.write_control(prelude(self.config.format))));
        }
        loop {
            let due = self.drain_guard.poll_due(context);
            let evicted = self.accounting.eviction_reason(context);
            if let Some(reason) = self.end_reason(due).or(evicted) {
                if !blocked
                    && self.checkpoint_timer.take().is_some()
                    && let Some(batch) = self.source.checkpoint()
                {
                    self.pending_end = Some(reason);
                    return Poll::Ready(Some(self.write(batch)));
                }
                self.pending_end = Some(reason);
                self.accounting.close(reason);
                return Poll::Ready(self.encoder.finish().map(Segments::from));
            }
            if blocked {
                self.source.cancel_fetches();
            } else if let Some(bytes) = self.poll_bytes(context) {
                return Poll::Ready(Some(bytes));
            }
            ready!(self.poll_timer(context, due, blocked));
        }
    }

    /// Reads what [`take_run`](Self::take_run) will, which is not in any cache where there are thousands.
    pub(super) fn prefetch(&self) {
        black_box((self.is_started, self.pending_end, self.last_write));
        self.accounting.prefetch();
        self.source.prefetch();
    }

    /// Takes of what all of its lane get what is new to it; how many of the batches were not. `None` when it has to be polled
    /// instead.
    ///
    /// What else may happen to it, its end or a silence, still wakes the task that polled it last.
    pub(super) fn take_run(&mut self, batch_run: &BatchRun) -> Option<usize> {
        if !self.is_started || self.pending_end.is_some() || !self.encoder.is_identity() {
            return None;
        }
        let already_sent = self.source.take_run(batch_run)?;
        let new = &batch_run.batches()[already_sent..];
        if !new.is_empty() {
            new.iter().for_each(|batch| self.accounting.record_sent(batch));
            // What all of a lane get in one pass holds ids.
            self.checkpoint_timer = None;
            self.last_write = Instant::now();
        }
        Some(already_sent)
    }

    /// Returns where the events come from, for what a sink asks of that alone.
    pub(super) fn source(&self) -> &S {
        &self.source
    }

    /// See [`source`](Self::source).
    pub(super) fn source_mut(&mut self) -> &mut S {
        &mut self.source
    }

    /// Says why the stream ended, if it has not ended by itself.
    pub(super) fn close(&mut self, reason: EndReason) {
        self.accounting.close(reason);
    }

    fn poll_bytes(&mut self, context: &mut Context<'_>) -> Option<Segments> {
        if let Poll::Ready(batch) = self.source.poll_batch(context) {
            return Some(self.take(batch));
        }
        self.update_hold();
        if let Some(batch) = self.checkpoint() {
            return Some(self.take(batch));
        }
        let is_silent = self.last_write.elapsed() >= self.config.heartbeat;
        is_silent.then(|| self.write_control(heartbeat(self.config.format)))
    }

    /// Returns where the client stands, once that is due.
    fn checkpoint(&mut self) -> Option<Batch> {
        let checkpoint_timer = self.checkpoint_timer.as_mut()?;
        let now = Instant::now();
        if now < checkpoint_timer.due {
            return None;
        }
        // If it cannot be said yet, it is tried again.
        checkpoint_timer.due = now + checkpoint_timer.wait;
        self.source.checkpoint()
    }

    fn take(&mut self, batch: Batch) -> Segments {
        if batch.has_id() {
            self.checkpoint_timer = None;
        }
        self.write(batch)
    }

    fn write(&mut self, batch: Batch) -> Segments {
        let segments = self.encoder.encode(&batch);
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
        match (held, self.held_since) {
            (true, None) => self.held_since = Some(Instant::now()),
            (false, Some(_)) => self.held_since = None,
            _ => {}
        }
    }

    fn end_reason(&self, due: Poll<Instant>) -> Option<EndReason> {
        let passed = |moment: Instant| moment <= Instant::now();
        if self.pending_end.is_some() {
            self.pending_end
        } else if let Poll::Ready(due) = due
            && passed(due)
        {
            Some(EndReason::Drained)
        } else {
            let limit = self.held_since.map(|since| since + self.config.hold_limit);
            limit.is_some_and(passed).then_some(EndReason::HeldTooLong)
        }
    }

    /// Waits for the next moment at which there is something to do although nothing came.
    fn poll_timer(&mut self, context: &mut Context<'_>, due: Poll<Instant>, blocked: bool) -> Poll<()> {
        let due = match due {
            Poll::Ready(due) => Some(due),
            Poll::Pending => None,
        };
        let heartbeat_due = (!blocked).then(|| self.last_write + self.config.heartbeat);
        let hold_deadline = self.held_since.map(|since| since + self.config.hold_limit);
        let checkpoint_timer = self.checkpoint_timer.as_ref().filter(|_| !blocked);
        let checkpoint_timer = checkpoint_timer.map(|checkpoint_timer| checkpoint_timer.due);
        let Some(next) = [due, heartbeat_due, hold_deadline, checkpoint_timer]
            .into_iter()
            .flatten()
            .min()
        else {
            return Poll::Pending;
        };
        // One that is set too early is looked at when it has passed: an event then need not move it.
        if next < self.timer.deadline() || self.timer.is_elapsed() {
            self.timer.as_mut().reset(next);
        }
        self.timer.as_mut().poll(context)
    }
}

fn prelude(format: EventFormat) -> Bytes {
    Bytes::from_static(match format {
        EventFormat::Sse => PRELUDE,
        EventFormat::Ndjson => BLANK,
    })
}

fn heartbeat(format: EventFormat) -> Bytes {
    Bytes::from_static(match format {
        EventFormat::Sse => HEARTBEAT,
        EventFormat::Ndjson => BLANK,
    })
}

/// What a reader of one JSON document a line skips.
const BLANK: &[u8] = b"\n";

pub(in crate::http) mod accounting;
pub(in crate::http) mod body;
pub(in crate::http) mod evict;
pub(in crate::http) mod guarded;
pub(in crate::http) mod gzip;
pub(in crate::http) mod handle;
pub(in crate::http) mod handoff;
pub(in crate::http) mod response_body;
pub(in crate::http) mod segments;
pub(in crate::http) mod source;
#[cfg(test)]
mod tests;
