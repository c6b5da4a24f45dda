//! One client's way through its streams: by itself, or in a lane.

use std::{
    hint::black_box,
    mem,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll, ready},
};

use bytes::Bytes;

use super::{
    Lane, LaneGuard, Lanes,
    group_cursor::{BatchRun, GroupCursor},
    ring::{LaneHead, RingRead},
    stalled_streams::{ResetHandle, StallGuard, UnwrittenBytes},
};
use crate::{
    client::ClientKey,
    filter::FilterPermit,
    partition::SharedWaker,
    position::Timestamp,
    subscription::{Batch, Gap, SubscribeRequest, Subscription, UnwrittenOffsets, snapshot::Snapshot},
};

/// What one client gets: from a subscription of its own while it catches up, from its lane once it has.
pub struct LaneSubscriber {
    lane_guard: LaneGuard,
    /// On the heap, because most have none.
    _filter: Option<Box<FilterPermit>>,
    client: ClientKey,
    now: Timestamp,
    /// Whether a group waits for it while it is in the lane.
    in_group: bool,
    mode: SubscriberMode,
}

/// Names those in one lane, for as long as any of them is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LaneId(usize);

enum SubscriberMode {
    CatchingUp(Box<CatchUp>),
    Live(LaneReader),
}

/// A client with a subscription of its own, on the way into its lane.
struct CatchUp {
    subscription: Subscription,
    /// The place in the lane it goes to, and no further; `None` while there is none that it can get to.
    target: Option<LaneHead>,
    /// Woken when the head moves.
    shared_waker: Arc<SharedWaker>,
    _guard: CatchUpGuard,
}

/// One for whom the catch-up cache of a lane is kept.
struct CatchUpGuard(Arc<Lane>);

/// A client in its lane.
struct LaneReader {
    /// The number of the batch it wants next.
    number: u64,
    /// Where it stands before that.
    snapshot: Arc<Snapshot>,
    /// Where it stood when its client had taken all that it was given.
    written: Arc<Snapshot>,
    /// Woken when there is more; `None` as long as it never had to wait by itself.
    shared_waker: Option<Arc<SharedWaker>>,
}

impl LaneSubscriber {
    pub(super) fn new(
        lane_guard: LaneGuard,
        filter: Option<FilterPermit>,
        request: SubscribeRequest,
    ) -> Self {
        let (client, now) = (request.client, request.now);
        let head = lane_guard
            .lane
            .head()
            .filter(|head| request.is_from_now_on() && head.snapshot.is_live());
        let mode = match head {
            Some(head) => SubscriberMode::Live(LaneReader::new(head)),
            None => {
                let subscription = Subscription::start(&lane_guard.lanes.0.source, request);
                SubscriberMode::CatchingUp(Box::new(CatchUp::new(subscription, &lane_guard.lane)))
            }
        };
        Self {
            lane_guard,
            _filter: filter.map(Box::new),
            client,
            now,
            in_group: false,
            mode,
        }
    }

    /// The next events, as soon as there are any. It does not end by itself.
    pub fn poll_batch(&mut self, context: &mut Context<'_>) -> Poll<Batch> {
        loop {
            let lane = &self.lane_guard.lane;
            match &mut self.mode {
                SubscriberMode::CatchingUp(catch_up) => match catch_up.poll_join(context, lane) {
                    Some(reader) => self.mode = SubscriberMode::Live(reader),
                    None => {
                        let batch = catch_up.poll_batch(context, &self.lane_guard.lanes, lane);
                        if batch.is_ready() {
                            catch_up.stop_waking();
                            return batch;
                        }
                        if catch_up.subscription.is_at_end() {
                            self.lane_guard.mark_caught_up(self.now);
                        }
                        // Only now it knows where it stands, and that may be where the lane does.
                        match catch_up.poll_join(context, &self.lane_guard.lane) {
                            Some(reader) => self.mode = SubscriberMode::Live(reader),
                            None => return Poll::Pending,
                        }
                    }
                },
                SubscriberMode::Live(reader) => match reader.poll_ring(context, lane, self.in_group) {
                    Poll::Ready(Some(batch)) => return Poll::Ready(batch),
                    Poll::Ready(None) => {
                        let snapshot = Arc::clone(&reader.snapshot);
                        self.mode = self.leave_lane(&snapshot);
                    }
                    Poll::Pending => return Poll::Pending,
                },
            }
        }
    }

    /// Notes that its client has taken all that it was given.
    pub fn mark_written(&mut self) {
        match &mut self.mode {
            SubscriberMode::CatchingUp(catch_up) => catch_up.subscription.mark_written(),
            SubscriberMode::Live(reader) => reader.written = Arc::clone(&reader.snapshot),
        }
    }

    /// Returns what it was given since the last [`mark_written`](Self::mark_written).
    pub fn unwritten_offsets(&self) -> UnwrittenOffsets {
        match &self.mode {
            SubscriberMode::CatchingUp(catch_up) => catch_up.subscription.unwritten_offsets(),
            SubscriberMode::Live(reader) => UnwrittenOffsets::between(&reader.written, &reader.snapshot),
        }
    }

    /// Lets go of what it would need only if its client took something now.
    pub fn cancel_fetches(&mut self) {
        if let SubscriberMode::CatchingUp(catch_up) = &mut self.mode {
            catch_up.subscription.cancel_fetches();
        }
    }

    /// Leaves it to `group_cursor`, which is begun if there is none yet, to wait for its lane: while it is in the lane it does not see to
    /// it any more that anybody is woken. Whoever has it asks it once more, and then gives it what the group finds. All in one group
    /// are one [`LaneId`].
    pub fn join_group(&mut self, group_cursor: &mut Option<GroupCursor>) {
        group_cursor.get_or_insert_with(|| GroupCursor::new(&self.lane_guard.lane));
        self.in_group = true;
    }

    /// Reads what [`take_run`](Self::take_run) will, so that many wait for it at once.
    pub fn prefetch(&self) {
        if let SubscriberMode::Live(reader) = &self.mode {
            black_box((reader.number, Arc::as_ptr(&reader.snapshot)));
        }
    }

    /// Takes the batches of `batch_run` that are new to it; how many were not. `None` when it has to be asked itself.
    pub fn take_run(&mut self, batch_run: &BatchRun) -> Option<usize> {
        let SubscriberMode::Live(reader) = &mut self.mode else {
            // It has its own wakers.
            return Some(batch_run.batches().len());
        };
        let had = batch_run.count_before(reader.number)?;
        if had < batch_run.batches().len() {
            let (number, snapshot) = batch_run.end();
            reader.number = number;
            // All before it is written.
            reader.written = mem::replace(&mut reader.snapshot, Arc::clone(snapshot));
        }
        Some(had)
    }

    /// See [`Subscription::poll_gap_check`].
    pub fn poll_gap_check(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Gap>> {
        match &mut self.mode {
            SubscriberMode::CatchingUp(catch_up) => catch_up.subscription.poll_gap_check(context),
            SubscriberMode::Live(_) => Poll::Ready(Ok(())),
        }
    }

    /// Returns an event that tells the client where it stands, for one that has had no id yet; `None` while that cannot be
    /// said. Behind all that was given before.
    pub fn checkpoint(&mut self) -> Option<Batch> {
        match &mut self.mode {
            SubscriberMode::CatchingUp(catch_up) => catch_up.subscription.checkpoint_now(),
            SubscriberMode::Live(reader) => {
                let Lane { key, budget, .. } = &*self.lane_guard.lane;
                let tracker = Some(budget.tracker());
                reader.snapshot.checkpoint(key.format, key.form, tracker)
            }
        }
    }

    /// See [`Subscription::is_held`].
    pub fn is_held(&self) -> bool {
        match &self.mode {
            SubscriberMode::CatchingUp(catch_up) => catch_up.subscription.is_held(),
            SubscriberMode::Live(_) => self.lane_guard.lane.held.load(Relaxed),
        }
    }

    /// Whether it gets what a lane has composed.
    pub fn is_in_lane(&self) -> bool {
        matches!(self.mode, SubscriberMode::Live(_))
    }

    /// See [`Lanes::track_stalled`].
    pub fn track_stalled(
        &self,
        unwritten: UnwrittenBytes,
        reset_handle: impl FnOnce() -> Arc<dyn ResetHandle>,
    ) -> Option<StallGuard> {
        self.lane_guard.lanes.track_stalled(unwritten, reset_handle)
    }

    /// See [`Lanes::track_copy`].
    pub fn track_copy(&self, copy: Vec<u8>) -> Bytes {
        self.lane_guard.lanes.track_copy(copy)
    }

    /// Who gets the same as this client.
    pub fn lane_id(&self) -> LaneId {
        LaneId(Arc::as_ptr(&self.lane_guard.lane).addr())
    }

    fn leave_lane(&self, snapshot: &Snapshot) -> SubscriberMode {
        let LaneGuard { lanes, lane, .. } = &self.lane_guard;
        let subscription = Subscription::from_snapshot(
            &lanes.0.source,
            snapshot,
            (self.client, self.now),
            lane.key.view(),
        );
        SubscriberMode::CatchingUp(Box::new(CatchUp::new(subscription, lane)))
    }
}

impl CatchUp {
    fn new(mut subscription: Subscription, lane: &Arc<Lane>) -> Self {
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
    fn poll_join(&mut self, context: &Context<'_>, lane: &Lane) -> Option<LaneReader> {
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

    fn poll_batch(&mut self, context: &mut Context<'_>, lanes: &Lanes, lane: &Lane) -> Poll<Batch> {
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
    fn stop_waking(&self) {
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

impl LaneReader {
    fn new(head: LaneHead) -> Self {
        Self {
            number: head.number,
            written: Arc::clone(&head.snapshot),
            snapshot: head.snapshot,
            shared_waker: None,
        }
    }

    /// What comes next; `None` when that has left the ring. One `in_group` is not woken.
    fn poll_ring(&mut self, context: &Context<'_>, lane: &Lane, in_group: bool) -> Poll<Option<Batch>> {
        let mut waits = in_group;
        loop {
            match lane.take(self.number) {
                RingRead::Batches(batches) => {
                    self.number += batches.count;
                    self.snapshot = batches.after;
                    return Poll::Ready(Some(batches.batch));
                }
                RingRead::Gone => return Poll::Ready(None),
                // Further than behind its last batch, if the lane has passed what nobody sees.
                RingRead::Empty(snapshot) => self.snapshot = snapshot,
            }
            if waits {
                return Poll::Pending;
            }
            let shared_waker = self.shared_waker.get_or_insert_with(SharedWaker::new);
            shared_waker.register(context);
            lane.batch_waiters.add(shared_waker);
            waits = true;
        }
    }
}
