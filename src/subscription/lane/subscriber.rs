//! One client's way through its streams: by itself, or in a lane.

use std::{
    hint::black_box,
    mem,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll},
};

use bytes::Bytes;

use super::{
    catch_up::CatchUp,
    group_cursor::{BatchRun, GroupCursor},
    guard::LaneGuard,
    lane_reader::LaneReader,
    stalled_streams::{ResetHandle, StallGuard, UnwrittenBytes},
    state::Lane,
};
use crate::{
    client::ClientKey,
    filter::FilterPermit,
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
                reader.snapshot.checkpoint(&key.view, tracker)
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
            lane.key.view.clone(),
        );
        SubscriberMode::CatchingUp(Box::new(CatchUp::new(subscription, lane)))
    }
}
