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

use super::{account::Account, gzip::Coder, segments::Segments};
use crate::{
    drain::Ticket,
    metrics::EndReason,
    sse::{HEARTBEAT, PRELUDE},
    subscription::{Audience, Batch, Coding, Follower, Format, Given, Hold, Row, Stretch, Stuck, Unwritten},
};

/// Where events come from.
pub(super) trait Feed {
    /// See [`Follower::poll_batch`].
    fn poll_batch(&mut self, context: &mut Context<'_>) -> Poll<Batch>;

    /// See [`Follower::is_held`].
    fn is_held(&self) -> bool;

    /// See [`Follower::checkpoint`].
    fn checkpoint(&mut self) -> Option<Batch> {
        None
    }

    /// See [`Follower::audience`].
    fn audience(&self) -> Audience {
        Audience::default()
    }

    /// See [`Follower::sit_in`].
    fn sit_in(&mut self, _row: &mut Option<Row>) {}

    /// Whether what it gives is shared with others: see [`Follower::is_in_lane`].
    fn is_shared(&self) -> bool {
        true
    }

    /// See [`Follower::rest`].
    fn rest(&mut self) {}

    /// See [`Follower::mark`].
    fn mark(&mut self) {}

    /// See [`Follower::given`].
    fn given(&self) -> Given {
        Given::default()
    }

    /// See [`Follower::hold`].
    fn hold(&self, _unwritten: Unwritten, _stuck: &dyn Fn() -> Arc<dyn Stuck>) -> Option<Hold> {
        None
    }

    /// See [`Follower::count_copy`].
    fn count_copy(&self, copy: Vec<u8>) -> Bytes {
        copy.into()
    }

    /// See [`Follower::prefetch`].
    fn prefetch(&self) {}

    /// See [`Follower::take_stretch`].
    fn take_stretch(&mut self, _stretch: &Stretch) -> Option<usize> {
        None
    }
}

impl Feed for Follower {
    fn poll_batch(&mut self, context: &mut Context<'_>) -> Poll<Batch> {
        self.poll_batch(context)
    }

    fn is_held(&self) -> bool {
        self.is_held()
    }

    fn checkpoint(&mut self) -> Option<Batch> {
        self.checkpoint()
    }

    fn audience(&self) -> Audience {
        self.audience()
    }

    fn sit_in(&mut self, row: &mut Option<Row>) {
        self.sit_in(row);
    }

    fn is_shared(&self) -> bool {
        self.is_in_lane()
    }

    fn rest(&mut self) {
        self.rest();
    }

    fn mark(&mut self) {
        self.mark();
    }

    fn given(&self) -> Given {
        self.given()
    }

    fn hold(&self, unwritten: Unwritten, stuck: &dyn Fn() -> Arc<dyn Stuck>) -> Option<Hold> {
        self.hold(unwritten, stuck)
    }

    fn count_copy(&self, copy: Vec<u8>) -> Bytes {
        self.count_copy(copy)
    }

    fn prefetch(&self) {
        self.prefetch();
    }

    fn take_stretch(&mut self, stretch: &Stretch) -> Option<usize> {
        self.take_stretch(stretch)
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
    coder: Coder,
    begun: bool,
    /// It ends with the next poll, for this reason.
    ending: Option<EndReason>,
    /// When the client last got something.
    spoke: Instant,
    held_since: Option<Instant>,
    /// `None` once the client has an id, and for one that is told no other way than by an event.
    first_id: Option<FirstId>,
    /// Set no later than the next moment that matters.
    timer: Pin<Box<Sleep>>,
}

/// When a client that has had no id yet is told where it stands.
struct FirstId {
    due: Instant,
    wait: Duration,
}

impl<F: Feed> Delivery<F> {
    pub(super) fn new(feed: F, terms: Terms, ticket: Ticket, account: Account) -> Self {
        let now = Instant::now();
        Self {
            feed,
            terms,
            ticket,
            account,
            coder: Coder::new(Coding::Identity),
            begun: false,
            ending: None,
            spoke: now,
            held_since: None,
            first_id: None,
            timer: Box::pin(sleep_until(now + terms.heartbeat)),
        }
    }

    /// The same, packed.
    pub(super) fn coded(self, coding: Coding) -> Self {
        Self {
            coder: Coder::new(coding),
            ..self
        }
    }

    /// The same, for a client that has no id, and is told where it stands if it has none after `wait`, or when the stream
    /// ends before that.
    pub(super) fn told_within(mut self, wait: Option<Duration>) -> Self {
        self.first_id = wait.map(|wait| FirstId {
            due: Instant::now() + wait,
            wait,
        });
        self
    }

    /// What to write next: whole events, or what keeps the silence short. `None` is the end.
    ///
    /// With `blocked`, when what was given before is not written yet, it gives nothing; but it may still end.
    pub(super) fn poll_next(&mut self, context: &mut Context<'_>, blocked: bool) -> Poll<Option<Segments>> {
        if !std::mem::replace(&mut self.begun, true) {
            return Poll::Ready(Some(self.say(prelude(self.terms.format))));
        }
        loop {
            let due = self.ticket.poll_due(context);
            let told = self.account.told(context);
            if let Some(reason) = self.reason_to_end(due).or(told) {
                if !blocked
                    && self.first_id.take().is_some()
                    && let Some(batch) = self.feed.checkpoint()
                {
                    self.ending = Some(reason);
                    return Poll::Ready(Some(self.write(batch)));
                }
                self.ending = Some(reason);
                self.account.close(reason);
                return Poll::Ready(self.coder.finish().map(Segments::from));
            }
            if blocked {
                self.feed.rest();
            } else if let Some(bytes) = self.poll_bytes(context) {
                return Poll::Ready(Some(bytes));
            }
            ready!(self.poll_moment(context, due, blocked));
        }
    }

    /// Reads what [`take_stretch`](Self::take_stretch) will, which is not in any cache where there are thousands.
    pub(super) fn prefetch(&self) {
        black_box((self.begun, self.ending, self.spoke));
        self.account.prefetch();
        self.feed.prefetch();
    }

    /// Takes of what all of its lane get what is new to it; how many of the batches were not. `None` when it has to be polled
    /// instead.
    ///
    /// What else may happen to it, its end or a silence, still wakes the task that polled it last.
    pub(super) fn take_stretch(&mut self, stretch: &Stretch) -> Option<usize> {
        if !self.begun || self.ending.is_some() || !self.coder.is_identity() {
            return None;
        }
        let had = self.feed.take_stretch(stretch)?;
        let new = &stretch.batches()[had..];
        if !new.is_empty() {
            new.iter().for_each(|batch| self.account.sent(batch));
            // What all of a lane get in one pass holds ids.
            self.first_id = None;
            self.spoke = Instant::now();
        }
        Some(had)
    }

    /// See [`Feed::sit_in`].
    pub(super) fn sit_in(&mut self, row: &mut Option<Row>) {
        self.feed.sit_in(row);
    }

    /// Says why the stream ended, if it has not ended by itself.
    pub(super) fn cut(&mut self, reason: EndReason) {
        self.account.close(reason);
    }

    /// See [`Feed::is_shared`].
    pub(super) fn is_shared(&self) -> bool {
        self.feed.is_shared()
    }

    /// See [`Feed::mark`].
    pub(super) fn mark(&mut self) {
        self.feed.mark();
    }

    /// See [`Feed::given`].
    pub(super) fn given(&self) -> Given {
        self.feed.given()
    }

    /// See [`Feed::hold`].
    pub(super) fn hold(&self, unwritten: Unwritten, stuck: &dyn Fn() -> Arc<dyn Stuck>) -> Option<Hold> {
        self.feed.hold(unwritten, stuck)
    }

    /// See [`Feed::count_copy`].
    pub(super) fn count_copy(&self, copy: Vec<u8>) -> Bytes {
        self.feed.count_copy(copy)
    }

    /// Who gets the same as this one.
    pub(super) fn audience(&self) -> Audience {
        self.feed.audience()
    }

    fn poll_bytes(&mut self, context: &mut Context<'_>) -> Option<Segments> {
        if let Poll::Ready(batch) = self.feed.poll_batch(context) {
            return Some(self.take(batch));
        }
        self.note_hold();
        if let Some(batch) = self.checkpoint() {
            return Some(self.take(batch));
        }
        let silent = self.spoke.elapsed() >= self.terms.heartbeat;
        silent.then(|| self.say(heartbeat(self.terms.format)))
    }

    /// Returns where the client stands, once that is due.
    fn checkpoint(&mut self) -> Option<Batch> {
        let first_id = self.first_id.as_mut()?;
        let now = Instant::now();
        if now < first_id.due {
            return None;
        }
        // If it cannot be said yet, it is tried again.
        first_id.due = now + first_id.wait;
        self.feed.checkpoint()
    }

    fn take(&mut self, batch: Batch) -> Segments {
        if batch.has_id() {
            self.first_id = None;
        }
        self.write(batch)
    }

    fn write(&mut self, batch: Batch) -> Segments {
        let segments = self.coder.encode(&batch);
        self.account.sent_as(segments.len(), &batch);
        if !batch.gaps.is_empty() && self.terms.ends_at_gap {
            self.ending = Some(EndReason::Gap);
        }
        self.spoke = Instant::now();
        segments
    }

    fn say(&mut self, bytes: Bytes) -> Segments {
        let batch = Batch {
            bytes,
            large: None,
            events: 0,
            gaps: Vec::new(),
            packed: None,
        };
        self.write(batch)
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
        let first_id = self.first_id.as_ref().filter(|_| !blocked);
        let first_id = first_id.map(|first_id| first_id.due);
        let Some(next) = [due, speak, give_up, first_id].into_iter().flatten().min() else {
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
mod tests;
