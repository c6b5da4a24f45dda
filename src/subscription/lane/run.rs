//! The task of a lane, which reads and publishes for all its clients.

use std::{
    convert::Infallible,
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll},
};

use super::{Lanes, compressor::LaneCompressor, state::Lane};
use crate::{position::Timestamp, subscription::Subscription};

/// Reads and publishes for all clients of the lane, until none is left.
pub(super) async fn run(lanes: Lanes, lane: Arc<Lane>, now: Timestamp) {
    // Dropped even if this task panics: the clients then continue on their own.
    let closing = LaneCloseGuard(&lane);
    let mut compressor = LaneCompressor::of(&lane);
    let mut subscription = Subscription::start_proven(&lanes.0.source, lane.key.request(now));
    subscription.set_tracker(&lane.budget.tracker);
    tokio::select! {
        () = lane.ended.cancelled() => {}
        never = poll_fn(|context| poll(context, &lanes, &mut compressor, &lane, &mut subscription)) => match never {},
    }
    drop(compressor);
    drop(closing);
}

/// Publishes all batches that are ready, and wakes the waiting clients once.
fn poll(
    context: &mut Context<'_>,
    lanes: &Lanes,
    compressor: &mut LaneCompressor,
    lane: &Lane,
    subscription: &mut Subscription,
) -> Poll<Infallible> {
    lane.task_waker.register(context);
    compressor.release_deleted();
    let mut batches = 0;
    while batches < BURST
        && let Poll::Ready(batch) = subscription.poll_batch(context)
    {
        lanes.publish(lane, compressor.pack(batch), Arc::new(subscription.snapshot()));
        batches += 1;
    }
    if batches == BURST {
        context.waker().wake_by_ref();
    }
    let moved = lane.move_head(subscription);
    lane.wake(moved, batches > 0, subscription.is_held());
    Poll::Pending
}

/// Closes a lane when its task ends, for whatever reason.
struct LaneCloseGuard<'a>(&'a Lane);

impl Drop for LaneCloseGuard<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// The most batches composed before other tasks get a turn. A lane that is behind must advance faster than clients that
/// catch up on their own, or they would never meet.
const BURST: usize = 8;
