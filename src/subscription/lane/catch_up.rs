//! A client with a subscription of its own, on the way into its lane.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll, ready},
};

use super::{Lanes, lane_reader::LaneReader, ring::LaneHead, state::Lane};
use crate::{
    partition::SharedWaker,
    subscription::{Batch, Subscription, snapshot::Snapshot},
};

/// A client with a subscription of its own, on the way into its lane.
pub(super) struct CatchUp {
    pub(super) subscription: Subscription,
    /// The place in the lane it goes to, and no further; `None` while there is none that it can get to.
    target: Option<LaneHead>,
    /// Woken when the head moves.
    shared_waker: Arc<SharedWaker>,
    _guard: CatchUpGuard,
}

/// One for whom the catch-up cache of a lane is kept.
struct CatchUpGuard(Arc<Lane>);

impl CatchUp {
    pub(super) fn new(mut subscription: Subscription, lane: &Arc<Lane>) -> Self {
        subscription.set_tracker(lane.budget.tracker());
        let shared_waker = SharedWaker::new();
        lane.head_watchers.add(&shared_waker);
        Self {
            subscription,
            target: None,
            shared_waker,
            _guard: CatchUpGuard::new(lane),
        }
    }

    /// A seat in the lane, once it stands where the lane stood, and the ring still has what came then.
    pub(super) fn poll_join(&mut self, context: &Context<'_>, lane: &Lane) -> Option<LaneReader> {
        self.shared_waker.register(context);
        let still_good =
            |head: &LaneHead| lane.reaches(head.number) && self.subscription.can_reach(&head.snapshot);
        if !self.target.as_ref().is_some_and(still_good) {
            // The oldest place of all: what lies behind it is composed already, and all who come from the same places go to the same
            // one, and so share what leads there.
            let first = lane.first_ahead(|place| self.subscription.can_reach(place));
            self.set_target(first.or_else(|| lane.head()));
        }
        let there = |head: &&LaneHead| self.subscription.is_at(&head.snapshot);
        let head = self.target.as_ref().filter(there)?;
        Some(LaneReader::new(head.clone()))
    }

    pub(super) fn poll_batch(
        &mut self,
        context: &mut Context<'_>,
        lanes: &Lanes,
        lane: &Lane,
    ) -> Poll<Batch> {
        let batch = self.poll_shared(context, lanes, lane);
        // At the limit in some partitions, and held up in others: those must flow on, as far as the lane has come since.
        // It is looked at again, rather than waited for, because it may be there by passing what nobody sees.
        if batch.is_pending() && self.target.is_some() && (self.is_there() || self.retarget_to_head(lane)) {
            context.waker().wake_by_ref();
        }
        batch
    }

    /// What another has composed at the same place, or what it composes itself, for others as well.
    fn poll_shared(&mut self, context: &mut Context<'_>, lanes: &Lanes, lane: &Lane) -> Poll<Batch> {
        let before = if lane.uses_catch_up_cache() {
            self.place_snapshot(context)
        } else {
            None
        };
        let found = before
            .as_ref()
            .and_then(|place| lane.catch_up_cache.lock().take(place));
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

    /// Where it stands, if others can come to the same place.
    fn place_snapshot(&mut self, context: &mut Context<'_>) -> Option<Snapshot> {
        if !self.subscription.is_determined() {
            // What it finds out is kept, also when it is not all.
            self.subscription.resolve_positions(context);
        }
        Some(self.subscription.snapshot()).filter(|place| place.is_resumable() && place.is_current())
    }

    fn is_there(&self) -> bool {
        let target = self.target.as_ref();
        target.is_some_and(|head| self.subscription.is_at(&head.snapshot))
    }

    /// It has something, and will ask again: until then nobody need wake it.
    pub(super) fn stop_waking(&self) {
        self.shared_waker.clear();
        self.subscription.stop_waking();
    }

    /// Goes on to the newest head, if that is another than it goes to and it leads there; whether it does.
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

    /// Goes to this place and no further, if it leads there, else on and on.
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
        // For one alone nobody composes, unless others follow soon.
        if self.0.catching_up.fetch_sub(1, Relaxed) == 2 {
            self.0.catch_up_cache.lock().set_idle();
        }
    }
}
