//! Bounded reads: a subscription of its own for each client, up to its end.
//!
//! A bounded read has no lane. All clients of a lane get the same batches from one task, which neither counts the events of one
//! of them nor compares offsets with the end of one; a batch of the lane may go past the end in the middle. Before its end the
//! read is history, mostly, where a client reads by itself anyway. So clients without an end pay nothing for those with one.
//!
//! Not here: where a read ends in each partition (`subscription::ends`).

use std::{
    num::NonZeroU64,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;

use super::{
    Lanes, ViewPermits,
    batch_source::BatchSource,
    packers::Packing,
    stalled_streams::{ResetHandle, StallGuard, UnwrittenBytes},
};
use crate::{
    filter::TooManyFilters,
    position::EndMark,
    subscription::{
        Batch, ContentCoding, EndEvent, Gap, ReadBounds, ReadEndReason, SubscribeRequest, Subscription,
        UnwrittenOffsets,
    },
};

/// A read that ends, after a number of events or at a position.
pub struct BoundedRead {
    lanes: Lanes,
    subscription: Subscription,
    coding: ContentCoding,
    limit: Option<NonZeroU64>,
    /// The mark of the id of the end.
    mark: EndMark,
    /// How many events were given.
    events: u64,
    /// The next batch, while it is being compressed.
    packing: Option<Pin<Box<Packing>>>,
    /// Why the read has ended. The end was given then.
    end: Option<ReadEndReason>,
    /// Whether the client's socket has taken the end.
    is_written: bool,
    /// How often more was asked for since.
    polls: u8,
    _permits: Option<Box<ViewPermits>>,
}

impl Lanes {
    /// Reads what `request` asks for, up to the first of these bounds.
    ///
    /// # Errors
    /// As [`subscribe`](Self::subscribe).
    pub fn read_bounded(
        &self,
        mut request: SubscribeRequest,
        bounds: ReadBounds,
    ) -> Result<BoundedRead, TooManyFilters> {
        let permits = self.admit_view(&mut request)?;
        let (source, coding) = (&self.0.source, request.view.coding);
        let mut subscription = match bounds.until {
            Some(end) => Subscription::start_bounded(source, request, end),
            None => Subscription::start(source, request),
        };
        subscription.set_tracker(&self.0.budget.tracker);
        Ok(BoundedRead {
            lanes: self.clone(),
            subscription,
            coding,
            limit: bounds.limit,
            mark: bounds.mark,
            events: 0,
            packing: None,
            end: None,
            is_written: false,
            polls: 0,
            _permits: permits,
        })
    }
}

impl BoundedRead {
    /// See [`Subscription::poll_gap_check`].
    pub fn poll_gap_check(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Gap>> {
        self.subscription.poll_gap_check(context)
    }

    /// Returns the bound that the read has come to.
    fn reached(&self) -> Option<ReadEndReason> {
        if self.subscription.is_done() {
            return Some(ReadEndReason::Until);
        }
        let is_full = self.limit.is_some_and(|limit| self.events >= limit.get());
        // The id of the end would hide a gap that is not given yet.
        (is_full && !self.subscription.has_gaps()).then_some(ReadEndReason::Limit)
    }

    /// Waits for the next events, or for the end.
    fn poll_plain(&mut self, context: &mut Context<'_>) -> Poll<Batch> {
        loop {
            if let Some(reason) = self.reached() {
                return self.give_end(reason);
            }
            if let Some(limit) = self.limit {
                self.subscription.set_most_events(limit.get() - self.events);
            }
            let polled = self.subscription.poll_batch(context);
            if let Poll::Ready(batch) = &polled {
                self.events += u64::from(batch.events);
                self.lanes.note_composed(batch);
                self.subscription.stop_waking();
            }
            // What was skipped may have been the last before the end.
            if polled.is_ready() || self.reached().is_none() {
                return polled;
            }
        }
    }

    fn give_end(&mut self, reason: ReadEndReason) -> Poll<Batch> {
        self.end = Some(reason);
        let end = EndEvent {
            reason,
            events: self.events,
            mark: self.mark,
        };
        self.subscription
            .end_batch(&end)
            .map_or(Poll::Pending, Poll::Ready)
    }
}

impl BatchSource for BoundedRead {
    fn poll_batch(&mut self, context: &mut Context<'_>) -> Poll<Batch> {
        loop {
            if let Some(packing) = &mut self.packing {
                let batch = ready!(packing.as_mut().poll(context));
                self.packing = None;
                return Poll::Ready(batch);
            }
            if self.end.is_some() {
                // The end is written meanwhile, if the socket takes it. Otherwise the read is not polled until it has.
                self.polls = self.polls.saturating_add(1);
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            let batch = ready!(self.poll_plain(context));
            if self.coding == ContentCoding::Identity {
                return Poll::Ready(batch);
            }
            self.packing = Some(Box::pin(self.lanes.0.packers.pack(batch)));
        }
    }

    fn end(&self) -> Option<ReadEndReason> {
        // A body is not told of what its connection has written, only asked for more.
        let is_taken = self.is_written || self.polls > MAX_POLLS;
        self.end.filter(|_| is_taken)
    }

    fn is_held(&self) -> bool {
        self.subscription.is_held()
    }

    fn checkpoint(&mut self) -> Option<Batch> {
        // The position is already behind a batch that has not been given.
        self.subscription
            .checkpoint_now()
            .filter(|_| self.packing.is_none())
    }

    fn is_in_lane(&self) -> bool {
        false
    }

    fn cancel_fetches(&mut self) {
        self.subscription.cancel_fetches();
    }

    fn mark_written(&mut self) {
        // The records of a batch that has not been given are not written.
        if self.packing.is_none() {
            self.subscription.mark_written();
            self.is_written = self.end.is_some();
        }
    }

    fn unwritten_offsets(&self) -> UnwrittenOffsets {
        self.subscription.unwritten_offsets()
    }

    fn track_stalled(
        &self,
        unwritten: UnwrittenBytes,
        reset_handle: &dyn Fn() -> Arc<dyn ResetHandle>,
    ) -> Option<StallGuard> {
        self.lanes.track_stalled(unwritten, reset_handle)
    }

    fn track_copy(&self, copy: Vec<u8>) -> Bytes {
        self.lanes.0.budget.tracker.track(copy)
    }
}

/// How often a read is asked for more behind its end until the end counts as written, if nobody says that it is.
const MAX_POLLS: u8 = 1;
