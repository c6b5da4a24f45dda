//! What the task of a dispatcher does at each poll.

use std::{
    collections::HashMap,
    convert::Infallible,
    future::poll_fn,
    mem,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll},
};

use tokio::time::Instant;

use super::{
    checkpoints::Checkpoints,
    members::{Member, Members},
};
use crate::{
    position::IdForm,
    subscription::{
        Batch, BatchBuilder, EventFormat, Gap, MAX_BATCH_BYTES, Snapshot, SubscribeRequest,
        filter_state::CHECKPOINT_INTERVAL,
        lane::{
            Lanes,
            dispatcher::{Change, Dispatcher},
            state::Lane,
        },
        reader::{MergedPartitions, SCAN_FILTERED},
    },
};

/// Reads and publishes for all lanes of the dispatcher, until none is left.
pub(in crate::subscription::lane) async fn run(
    lanes: Lanes,
    dispatcher: Arc<Dispatcher<Lane>>,
    request: SubscribeRequest,
) {
    let mut task = DispatchTask {
        merged: MergedPartitions::start_proven(lanes.source(), request),
        members: Members::new(&dispatcher.key.fields),
        checkpoints: Checkpoints::default(),
        is_held: false,
        dispatcher: Arc::clone(&dispatcher),
        lanes,
    };
    tokio::select! {
        () = dispatcher.ended.cancelled() => {}
        never = poll_fn(|context| task.poll(context)) => match never {},
    }
}

struct DispatchTask {
    lanes: Lanes,
    dispatcher: Arc<Dispatcher<Lane>>,
    merged: MergedPartitions,
    members: Members,
    checkpoints: Checkpoints,
    is_held: bool,
}

impl DispatchTask {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Infallible> {
        self.dispatcher.task_waker.register(context);
        if self.dispatcher.must_repack.swap(false, Relaxed) {
            self.members.iter_mut().for_each(Member::release_deleted);
        }
        let mut rounds = 0;
        while rounds < BURST && self.poll_round(context) {
            rounds += 1;
        }
        if rounds == BURST {
            context.waker().wake_by_ref();
        }
        let mut has_moved = self.move_head() || rounds > 0;
        has_moved |= self.apply_changes();
        if has_moved {
            self.dispatcher.head_watchers.wake_all();
        }
        self.send_checkpoints(context);
        self.tell_held();
        Poll::Pending
    }

    /// Gives the lanes what has come, as far as their batches have room. Returns whether there may be more.
    fn poll_round(&mut self, context: &mut Context<'_>) -> bool {
        self.merged.begin_poll(context);
        let Poll::Ready(mut heads) = self.merged.poll_heads(context) else {
            return false;
        };
        if !self.merged.gaps.is_empty() {
            self.publish_gaps();
            return true;
        }
        let tracker = Arc::clone(&self.lanes.0.budget.tracker);
        self.members.begin_round(tracker.max_batch_bytes());
        let more = self
            .merged
            .merge(context, &mut heads, SCAN_FILTERED, &mut self.members);
        let batches = self.members.take_batches(&tracker);
        if batches.is_empty() {
            return more;
        }
        let (after, seen) = (Arc::new(self.merged.snapshot()), self.members.seen());
        for (number, batch) in batches {
            if let Some(member) = self.members.get_mut(number) {
                member.record_id(seen);
                publish(&self.lanes, member, batch, &after);
            }
        }
        self.dispatcher.head.advance(after);
        true
    }

    /// Tells all lanes of some gaps. They are sent before the events after them.
    fn publish_gaps(&mut self) {
        let count = self.merged.gaps.len().min(MAX_GAPS);
        let gaps: Vec<_> = self.merged.gaps.drain(..count).collect();
        let after = Arc::new(self.merged.snapshot());
        let (sse, ndjson) = (
            self.gap_batch(&gaps, EventFormat::Sse),
            self.gap_batch(&gaps, EventFormat::Ndjson),
        );
        for member in self.members.iter_mut() {
            let batch = match member.lane.key.view.format {
                EventFormat::Sse => &sse,
                EventFormat::Ndjson => &ndjson,
            };
            if let Some(batch) = batch {
                publish(&self.lanes, member, batch.clone(), &after);
            }
        }
        self.dispatcher.head.advance(after);
    }

    fn gap_batch(&self, gaps: &[Gap], format: EventFormat) -> Option<Batch> {
        let mut batch = BatchBuilder::with_capacity_hint(0, MAX_BATCH_BYTES, format);
        batch.gaps(&mut gaps.to_vec());
        batch.finish(Some(&self.lanes.0.budget.tracker))
    }

    /// Moves the head to where the merge is. Returns whether that was a change.
    fn move_head(&mut self) -> bool {
        let is_there = |head: Arc<Snapshot>| head.resumable && self.merged.is_at(&head);
        let moved = !self.dispatcher.head.snapshot().is_some_and(is_there);
        if moved {
            self.dispatcher.head.advance(Arc::new(self.merged.snapshot()));
        }
        moved
    }

    /// Begins to serve the lanes that have come, from the head on, and forgets those that have gone. Returns whether any came.
    fn apply_changes(&mut self) -> bool {
        let mut came = false;
        for change in self.dispatcher.take_changes() {
            match change {
                Change::Added(number, lane) => {
                    lane.follow(&self.dispatcher.head);
                    lane.wake(false, false, self.is_held);
                    // Lanes that come at the same time are told at different ones.
                    let (now, earlier) = (Instant::now(), CHECKPOINT_INTERVAL.mul_f32(fastrand::f32() / 2.0));
                    let last_id = now.checked_sub(earlier).unwrap_or(now);
                    if lane.key.view.format == EventFormat::Sse {
                        self.checkpoints.push(last_id + CHECKPOINT_INTERVAL, number);
                    }
                    self.members.insert(number, lane, last_id);
                    came = true;
                }
                Change::Removed(number) => self.members.remove(number),
            }
        }
        came
    }

    /// Sends checkpoints to lanes that have had no id for a while. The work does not depend on the number of events.
    fn send_checkpoints(&mut self, context: &mut Context<'_>) {
        let (mut sent, mut alike) = (0, HashMap::new());
        while self.merged.gaps.is_empty()
            && let Poll::Ready(number) = self.checkpoints.poll_due(context)
        {
            let seen = self.members.seen();
            let Some(member) = self.members.get_mut(number) else {
                continue;
            };
            let due = member.last_id + CHECKPOINT_INTERVAL;
            let is_due = due <= Instant::now();
            let skipped = member.skipped(seen);
            if is_due && skipped > 0 {
                self.send_checkpoint(number, skipped, &mut alike);
                sent += 1;
            }
            let next = if is_due {
                Instant::now() + CHECKPOINT_INTERVAL
            } else {
                due
            };
            self.checkpoints.push(next, number);
            if sent == MAX_CHECKPOINTS {
                context.waker().wake_by_ref();
                return;
            }
        }
    }

    /// Sends a checkpoint to a lane. Lanes whose clients are not told what was skipped share one, by the form of ids.
    fn send_checkpoint(&mut self, number: u64, skipped: u64, alike: &mut HashMap<IdForm, Batch>) {
        let (seen, positions) = (self.members.seen(), self.merged.positions());
        let Some(view) = self
            .members
            .get_mut(number)
            .map(|member| member.lane.key.view.clone())
        else {
            return;
        };
        let skipped = view.tells_skipped().then_some(skipped);
        let known = alike.get(&view.form).filter(|_| skipped.is_none()).cloned();
        let batch = known.or_else(|| {
            let mut batch = BatchBuilder::with_capacity_hint(0, MAX_BATCH_BYTES, view.format);
            batch.checkpoint(skipped, self.members.ids.of(&view).at(positions));
            batch.finish(Some(&self.lanes.0.budget.tracker))
        });
        let (Some(batch), Some(after)) = (batch, self.dispatcher.head.snapshot()) else {
            return;
        };
        if skipped.is_none() {
            alike.entry(view.form).or_insert_with(|| batch.clone());
        }
        if let Some(member) = self.members.get_mut(number) {
            member.record_id(seen);
            member.lane.trim_idle();
            publish(&self.lanes, member, batch, &after);
        }
        self.dispatcher.head.advance(after);
    }

    /// Tells the lanes when Kafka stops to answer, and when it answers again.
    fn tell_held(&mut self) {
        let held = self.merged.is_held();
        if mem::replace(&mut self.is_held, held) != held {
            self.members
                .iter_mut()
                .for_each(|member| member.lane.wake(false, false, held));
        }
    }
}

/// Closes the lanes when the task ends, for whatever reason: their clients then continue on their own.
impl Drop for DispatchTask {
    fn drop(&mut self) {
        self.dispatcher.close();
        self.members.iter_mut().for_each(|member| member.lane.close());
    }
}

/// Adds a batch to a lane's ring, and wakes the clients that wait for it.
fn publish(lanes: &Lanes, member: &mut Member, batch: Batch, after: &Arc<Snapshot>) {
    let batch = member.pack(batch);
    lanes.publish(&member.lane, batch, Arc::clone(after));
    member.lane.batch_waiters.wake_all();
}

/// The most rounds before other tasks get a turn. See the task of a lane (`run`).
const BURST: usize = 8;

/// The most gaps in a batch. Each has 512 bytes at most.
const MAX_GAPS: usize = 64;

/// The most checkpoints in one poll, so that thousands of lanes that are due do not delay an event.
const MAX_CHECKPOINTS: usize = 128;
