//! Catching up: a client with a subscription of its own, on its way into its lane.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll, ready},
};

use super::{Batch, Lanes, SharedWaker, Snapshot, ring::LaneHead, state::Lane};
use crate::subscription::Subscription;

/// A client with a subscription of its own, on its way into its lane.
pub(super) struct CatchUp {
    pub(super) subscription: Subscription,
    /// The position in the lane at which the client will join, and before which its subscription stops; `None` while no
    /// such position can be reached.
    target: Option<LaneHead>,
    /// Woken when the lane's head moves.
    shared_waker: Arc<SharedWaker>,
    _guard: CatchUpGuard,
}

/// Counts one client that uses the lane's catch-up cache.
struct CatchUpGuard(Arc<Lane>);

impl CatchUp {
    pub(super) fn new(mut subscription: Subscription, lane: &Arc<Lane>) -> Self {
        subscription.set_tracker(&lane.budget.tracker);
        let shared_waker = SharedWaker::new();
        lane.head_watchers.add(&shared_waker);
        Self {
            subscription,
            target: None,
            shared_waker,
            _guard: CatchUpGuard::new(lane),
        }
    }

    /// Returns the target once the client has reached it and the ring still has the batches after it.
    pub(super) fn poll_join(&mut self, context: &Context<'_>, lane: &Lane) -> Option<LaneHead> {
        self.shared_waker.register(context);
        let still_good =
            |head: &LaneHead| lane.reaches(head.number) && self.subscription.can_reach(&head.snapshot);
        if !self.target.as_ref().is_some_and(still_good) {
            // The oldest reachable position in the ring: the batches after it exist already. All clients that come from
            // the same positions choose the same target, and so share the batches that lead there.
            let first = lane.first_ahead(|place| self.subscription.can_reach(place));
            self.set_target(first.or_else(|| lane.head()));
        }
        let there = |head: &&LaneHead| self.subscription.is_at(&head.snapshot);
        self.target.as_ref().filter(there).cloned()
    }

    pub(super) fn poll_batch(
        &mut self,
        context: &mut Context<'_>,
        lanes: &Lanes,
        lane: &Lane,
    ) -> Poll<Batch> {
        let batch = self.poll_shared(context, lanes, lane);
        // If the target is reached in some partitions while others are held up, the former must go on, as far as the
        // lane has come since. The task polls again instead of waiting, because the target may have been reached by
        // passing records that the client does not see.
        if batch.is_pending() && self.target.is_some() && (self.is_there() || self.retarget_to_head(lane)) {
            context.waker().wake_by_ref();
        }
        batch
    }

    /// Returns the batch that another client composed at the same position, or composes one and shares it.
    fn poll_shared(&mut self, context: &mut Context<'_>, lanes: &Lanes, lane: &Lane) -> Poll<Batch> {
        let before = if lane.uses_catch_up_cache() {
            self.place_snapshot(context)
        } else {
            None
        };
        let found = before.as_ref().and_then(|it| lane.catch_up_cache.lock().take(it));
        if let Some((batch, after)) = found {
            self.subscription.advance_to(&after);
            return Poll::Ready(batch);
        }
        let batch = ready!(self.subscription.poll_batch(context));
        lanes.note_composed(&batch);
        if let Some(before) = before
            && let after = self.subscription.snapshot()
            && batch.gaps.is_empty()
            && after.continues_from(&before)
        {
            lanes.cache_batch(lane, before, batch.clone(), after);
        }
        Poll::Ready(batch)
    }

    /// Returns the current position, if other clients can come to the same one.
    fn place_snapshot(&mut self, context: &mut Context<'_>) -> Option<Snapshot> {
        if !self.subscription.is_determined() {
            // Whatever is determined is kept, even if it is not everything.
            self.subscription.resolve_positions(context);
        }
        Some(self.subscription.snapshot()).filter(|place| place.resumable && place.is_current())
    }

    fn is_there(&self) -> bool {
        let target = self.target.as_ref();
        target.is_some_and(|head| self.subscription.is_at(&head.snapshot))
    }

    /// Stops wake-ups: the client has something to write, and will poll again after that.
    pub(super) fn stop_waking(&self) {
        self.shared_waker.clear();
        self.subscription.stop_waking();
    }

    /// Moves the target to the newest head, if that is another one and is reachable. Returns whether it did.
    fn retarget_to_head(&mut self, lane: &Lane) -> bool {
        let Some(head) = lane.head() else { return false };
        let is_target = |target: &LaneHead| Arc::ptr_eq(&target.snapshot, &head.snapshot);
        let goes_there = self.target.as_ref().is_some_and(is_target);
        if goes_there || !self.subscription.can_reach(&head.snapshot) {
            return false;
        }
        self.set_target(Some(head));
        true
    }

    /// Stops the subscription at this position if it is reachable, and removes the limit otherwise.
    fn set_target(&mut self, target: Option<LaneHead>) {
        self.target = target.filter(|head| self.subscription.can_reach(&head.snapshot));
        let limit = self.target.as_ref().map(|head| &*head.snapshot);
        self.subscription.set_limit(limit);
    }
}

impl CatchUpGuard {
    fn new(lane: &Arc<Lane>) -> Self {
        lane.catching_up.fetch_add(1, Relaxed);
        Self(Arc::clone(lane))
    }
}

impl Drop for CatchUpGuard {
    fn drop(&mut self) {
        // A client that is alone shares with no other, unless others follow soon.
        if self.0.catching_up.fetch_sub(1, Relaxed) == 2 {
            self.0.catch_up_cache.lock().set_idle();
        }
    }
}
