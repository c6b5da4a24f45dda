//! What one client gets, and when: a state machine without I/O.
//!
//! It decides what bytes come next: the prelude, events, a heartbeat after a silence; and when the stream ends. A sink
//! (`http::body`) writes them. Here live the deadlines and the accounts of a stream, once for every kind of sink.

use std::{
    future::Future,
    hint::black_box,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::{
    drain::DrainGuard,
    metrics::EndReason,
    sse::{HEARTBEAT, PRELUDE},
    subscription::{
        Batch, BatchRun, ContentCoding, EventFormat, GroupCursor, LaneId, LaneSubscriber, ResetHandle,
        StallGuard, UnwrittenBytes, UnwrittenOffsets,
    },
};
use accounting::StreamAccounting;
use gzip::Encoder;
use segments::Segments;

/// Where events come from.
pub(super) trait BatchSource {
    /// See [`LaneSubscriber::poll_batch`].
    fn poll_batch(&mut self, context: &mut Context<'_>) -> Poll<Batch>;

    /// See [`LaneSubscriber::is_held`].
    fn is_held(&self) -> bool;

    /// See [`LaneSubscriber::checkpoint`].
    fn checkpoint(&mut self) -> Option<Batch> {
        None
    }

    /// See [`LaneSubscriber::lane_id`].
    fn lane_id(&self) -> LaneId {
        LaneId::default()
    }

    /// See [`LaneSubscriber::join_group`].
    fn join_group(&mut self, _group_cursor: &mut Option<GroupCursor>) {}

    /// Whether what it gives is shared with others: see [`LaneSubscriber::is_in_lane`].
    fn is_shared(&self) -> bool {
        true
    }

    /// See [`LaneSubscriber::cancel_fetches`].
    fn cancel_fetches(&mut self) {}

    /// See [`LaneSubscriber::mark_written`].
    fn mark_written(&mut self) {}

    /// See [`LaneSubscriber::unwritten_offsets`].
    fn unwritten_offsets(&self) -> UnwrittenOffsets {
        UnwrittenOffsets::default()
    }

    /// See [`LaneSubscriber::track_stalled`].
    fn track_stalled(
        &self,
        _unwritten: UnwrittenBytes,
        _reset_handle: &dyn Fn() -> Arc<dyn ResetHandle>,
    ) -> Option<StallGuard> {
        None
    }

    /// See [`LaneSubscriber::track_copy`].
    fn track_copy(&self, copy: Vec<u8>) -> Bytes {
        copy.into()
    }

    /// See [`LaneSubscriber::prefetch`].
    fn prefetch(&self) {}

    /// See [`LaneSubscriber::take_run`].
    fn take_run(&mut self, _stretch: &BatchRun) -> Option<usize> {
        None
    }
}

impl BatchSource for LaneSubscriber {
    fn poll_batch(&mut self, context: &mut Context<'_>) -> Poll<Batch> {
        self.poll_batch(context)
    }

    fn is_held(&self) -> bool {
        self.is_held()
    }

    fn checkpoint(&mut self) -> Option<Batch> {
        self.checkpoint()
    }

    fn lane_id(&self) -> LaneId {
        self.lane_id()
    }

    fn join_group(&mut self, group_cursor: &mut Option<GroupCursor>) {
        self.join_group(group_cursor);
    }

    fn is_shared(&self) -> bool {
        self.is_in_lane()
    }

    fn cancel_fetches(&mut self) {
        self.cancel_fetches();
    }

    fn mark_written(&mut self) {
        self.mark_written();
    }

    fn unwritten_offsets(&self) -> UnwrittenOffsets {
        self.unwritten_offsets()
    }

    fn track_stalled(
        &self,
        unwritten: UnwrittenBytes,
        reset_handle: &dyn Fn() -> Arc<dyn ResetHandle>,
    ) -> Option<StallGuard> {
        self.track_stalled(unwritten, reset_handle)
    }

    fn track_copy(&self, copy: Vec<u8>) -> Bytes {
        self.track_copy(copy)
    }

    fn prefetch(&self) {
        self.prefetch();
    }

    fn take_run(&mut self, batch_run: &BatchRun) -> Option<usize> {
        self.take_run(batch_run)
    }
}

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
pub(super) struct Delivery<F> {
    source: F,
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
}

/// When a client that has had no id yet is told where it stands.
struct CheckpointTimer {
    due: Instant,
    wait: Duration,
}

impl<F: BatchSource> Delivery<F> {
    pub(super) fn new(
        source: F,
        config: DeliveryConfig,
        drain_guard: DrainGuard,
        accounting: StreamAccounting,
    ) -> Self {
        let now = Instant::now();
        Self {
            source,
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

    /// See [`BatchSource::join_group`].
    pub(super) fn join_group(&mut self, group_cursor: &mut Option<GroupCursor>) {
        self.source.join_group(group_cursor);
    }

    /// Says why the stream ended, if it has not ended by itself.
    pub(super) fn close(&mut self, reason: EndReason) {
        self.accounting.close(reason);
    }

    /// See [`BatchSource::is_shared`].
    pub(super) fn is_shared(&self) -> bool {
        self.source.is_shared()
    }

    /// See [`BatchSource::mark_written`].
    pub(super) fn mark_written(&mut self) {
        self.source.mark_written();
    }

    /// See [`BatchSource::unwritten_offsets`].
    pub(super) fn unwritten_offsets(&self) -> UnwrittenOffsets {
        self.source.unwritten_offsets()
    }

    /// See [`BatchSource::track_stalled`].
    pub(super) fn track_stalled(
        &self,
        unwritten: UnwrittenBytes,
        reset_handle: &dyn Fn() -> Arc<dyn ResetHandle>,
    ) -> Option<StallGuard> {
        self.source.track_stalled(unwritten, reset_handle)
    }

    /// See [`BatchSource::track_copy`].
    pub(super) fn track_copy(&self, copy: Vec<u8>) -> Bytes {
        self.source.track_copy(copy)
    }

    /// Who gets the same as this one.
    pub(super) fn lane_id(&self) -> LaneId {
        self.source.lane_id()
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
#[cfg(test)]
mod tests;
