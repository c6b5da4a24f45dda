//! A client's subscription through lanes: its own while it catches up, then its lane's.

use std::{
    hint::black_box,
    mem,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll},
};

use bytes::Bytes;

use super::{
    ViewPermits,
    batch_source::{BatchSource, LaneId},
    catch_up::CatchUp,
    group_cursor::{BatchRun, GroupCursor},
    ring::{LaneHead, RingRead},
    stalled_streams::{ResetHandle, StallGuard, UnwrittenBytes},
    state::{Lane, LaneGuard},
};
use crate::{
    client::ClientKey,
    partition::SharedWaker,
    position::Timestamp,
    subscription::{Batch, Gap, Snapshot, SubscribeRequest, Subscription, UnwrittenOffsets},
};

/// A client's subscription: one of its own while the client catches up, and its lane's batches after that.
pub struct LaneSubscriber {
    guard: LaneGuard,
    /// Boxed, because most subscribers have none.
    _permits: Option<Box<ViewPermits>>,
    client: ClientKey,
    now: Timestamp,
    /// Whether a group waits on behalf of this subscriber while it is in the lane.
    in_group: bool,
    mode: SubscriberMode,
}

enum SubscriberMode {
    CatchingUp(Box<CatchUp>),
    Live(LaneReader),
}

impl LaneSubscriber {
    pub(super) fn new(
        guard: LaneGuard,
        permits: Option<Box<ViewPermits>>,
        request: SubscribeRequest,
    ) -> Self {
        let (client, now) = (request.client, request.now);
        let is_start = |head: &LaneHead| request.is_from_now_on() && head.snapshot.is_live();
        let head = guard.lane.head().filter(is_start);
        let mode = match head {
            Some(head) => SubscriberMode::Live(LaneReader::new(head)),
            None => {
                let subscription = Subscription::start(&guard.lanes.0.source, request);
                SubscriberMode::CatchingUp(Box::new(CatchUp::new(subscription, &guard.lane)))
            }
        };
        Self {
            guard,
            _permits: permits,
            client,
            now,
            in_group: false,
            mode,
        }
    }

    /// See [`Subscription::poll_gap_check`].
    pub fn poll_gap_check(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Gap>> {
        match &mut self.mode {
            SubscriberMode::CatchingUp(catch_up) => catch_up.subscription.poll_gap_check(context),
            SubscriberMode::Live(_) => Poll::Ready(Ok(())),
        }
    }

    fn leave_lane(&self, snapshot: &Snapshot) -> SubscriberMode {
        let LaneGuard { lanes, lane, .. } = &self.guard;
        let subscription = Subscription::from_snapshot(
            &lanes.0.source,
            snapshot,
            (self.client, self.now),
            lane.key.view.clone(),
        );
        SubscriberMode::CatchingUp(Box::new(CatchUp::new(subscription, lane)))
    }
}

impl BatchSource for LaneSubscriber {
    fn poll_batch(&mut self, context: &mut Context<'_>) -> Poll<Batch> {
        loop {
            let lane = &self.guard.lane;
            match &mut self.mode {
                SubscriberMode::CatchingUp(catch_up) => match catch_up.poll_join(context, lane) {
                    Some(head) => self.mode = SubscriberMode::Live(LaneReader::new(head)),
                    None => {
                        let batch = catch_up.poll_batch(context, &self.guard.lanes, lane);
                        if batch.is_ready() {
                            catch_up.stop_waking();
                            return batch;
                        }
                        if catch_up.subscription.is_at_end() {
                            self.guard.mark_caught_up(self.now);
                        }
                        // Polling has determined the position, which may be where the lane is.
                        match catch_up.poll_join(context, &self.guard.lane) {
                            Some(head) => self.mode = SubscriberMode::Live(LaneReader::new(head)),
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

    fn is_held(&self) -> bool {
        match &self.mode {
            SubscriberMode::CatchingUp(catch_up) => catch_up.subscription.is_held(),
            SubscriberMode::Live(_) => self.guard.lane.held.load(Relaxed),
        }
    }

    fn checkpoint(&mut self) -> Option<Batch> {
        match &mut self.mode {
            SubscriberMode::CatchingUp(catch_up) => catch_up.subscription.checkpoint_now(),
            SubscriberMode::Live(reader) => {
                let Lane { key, budget, .. } = &*self.guard.lane;
                reader.snapshot.checkpoint(&key.view, Some(&budget.tracker))
            }
        }
    }

    fn lane_id(&self) -> LaneId {
        LaneId(Arc::as_ptr(&self.guard.lane).addr())
    }

    fn join_group(&mut self, group_cursor: &mut Option<GroupCursor>) {
        group_cursor.get_or_insert_with(|| GroupCursor::new(&self.guard.lane));
        self.in_group = true;
    }

    fn is_in_lane(&self) -> bool {
        matches!(self.mode, SubscriberMode::Live(_))
    }

    fn cancel_fetches(&mut self) {
        if let SubscriberMode::CatchingUp(catch_up) = &mut self.mode {
            catch_up.subscription.cancel_fetches();
        }
    }

    fn mark_written(&mut self) {
        match &mut self.mode {
            SubscriberMode::CatchingUp(catch_up) => catch_up.subscription.mark_written(),
            SubscriberMode::Live(reader) => reader.written = Arc::clone(&reader.snapshot),
        }
    }

    fn unwritten_offsets(&self) -> UnwrittenOffsets {
        match &self.mode {
            SubscriberMode::CatchingUp(catch_up) => catch_up.subscription.unwritten_offsets(),
            SubscriberMode::Live(reader) => UnwrittenOffsets::between(&reader.written, &reader.snapshot),
        }
    }

    fn track_stalled(
        &self,
        unwritten: UnwrittenBytes,
        reset_handle: &dyn Fn() -> Arc<dyn ResetHandle>,
    ) -> Option<StallGuard> {
        self.guard.lanes.track_stalled(unwritten, reset_handle)
    }

    fn track_copy(&self, copy: Vec<u8>) -> Bytes {
        self.guard.lane.budget.tracker.track(copy)
    }

    fn prefetch(&self) {
        if let SubscriberMode::Live(reader) = &self.mode {
            black_box((reader.number, Arc::as_ptr(&reader.snapshot)));
        }
    }

    fn take_run(&mut self, batch_run: &BatchRun) -> Option<usize> {
        let SubscriberMode::Live(reader) = &mut self.mode else {
            // While it catches up it has wakers of its own.
            return Some(batch_run.batches().len());
        };
        let had = batch_run.count_before(reader.number)?;
        if had < batch_run.batches().len() {
            let (number, snapshot) = batch_run.end();
            reader.number = number;
            // Everything before the run has been written.
            reader.written = mem::replace(&mut reader.snapshot, Arc::clone(snapshot));
        }
        Some(had)
    }
}

/// A client in its lane.
struct LaneReader {
    /// The number of the next batch.
    number: u64,
    /// The position before that batch.
    snapshot: Arc<Snapshot>,
    /// The position at which the client's socket had last taken everything.
    written: Arc<Snapshot>,
    /// Woken when there is another batch; `None` until the client first has to wait on its own.
    shared_waker: Option<Arc<SharedWaker>>,
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

    /// Returns the next batch; `None` if it has left the ring. A reader that is `in_group` registers no waker, because
    /// its group is woken.
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
                // Beyond the last batch, if the lane has passed records that its clients do not see.
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
