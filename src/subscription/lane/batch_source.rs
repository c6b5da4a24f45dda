//! The interface of a source of batches for one client.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;

use super::{
    group_cursor::{BatchRun, GroupCursor},
    stalled_streams::{ResetHandle, StallGuard, UnwrittenBytes},
};
use crate::subscription::{Batch, ReadEndReason, UnwrittenOffsets};

/// Identifies a lane, for as long as it has subscribers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct LaneId(pub(super) usize);

#[cfg(test)]
impl LaneId {
    /// Returns the id of some lane.
    pub(crate) fn of(number: usize) -> Self {
        Self(number)
    }
}

/// A source of batches for one client: a [`LaneSubscriber`](super::LaneSubscriber), or a test's.
pub trait BatchSource {
    /// Waits for the next events. The sequence of batches has no end, except that of a [bounded read](Self::end).
    fn poll_batch(&mut self, context: &mut Context<'_>) -> Poll<Batch>;

    /// Returns why the read has ended, once its end was given and the socket has taken it: the stream would otherwise lose its place in
    /// the limits before. Only bounded reads end.
    fn end(&self) -> Option<ReadEndReason> {
        None
    }

    /// See [`Subscription::is_held`](crate::subscription::Subscription::is_held).
    fn is_held(&self) -> bool;

    /// Returns a batch with only a checkpoint of the current position, for a client without an id so far; `None` while
    /// there is no position to resume from. It must be sent after everything given before.
    fn checkpoint(&mut self) -> Option<Batch> {
        None
    }

    /// Returns the id of the lane. Subscribers with the same id get the same events.
    fn lane_id(&self) -> LaneId {
        LaneId::default()
    }

    /// Lets `group_cursor`, created if there is none yet, wait on behalf of this subscriber: while it is in the lane,
    /// it no longer registers a waker. The caller must poll it once more, and then hand it everything that the group
    /// finds. All subscribers of one group have the same [`LaneId`].
    fn join_group(&mut self, _group_cursor: &mut Option<GroupCursor>) {}

    /// Returns whether the batches are those of a lane, which its other clients get too.
    fn is_in_lane(&self) -> bool {
        true
    }

    /// Drops what is only needed if the client takes something now.
    fn cancel_fetches(&mut self) {}

    /// Records that the client's socket has taken everything it was given.
    fn mark_written(&mut self) {}

    /// Returns the offsets of the events given since the last [`mark_written`](Self::mark_written).
    fn unwritten_offsets(&self) -> UnwrittenOffsets {
        UnwrittenOffsets::default()
    }

    /// See [`Lanes::track_stalled`](super::Lanes::track_stalled).
    fn track_stalled(
        &self,
        _unwritten: UnwrittenBytes,
        _reset_handle: &dyn Fn() -> Arc<dyn ResetHandle>,
    ) -> Option<StallGuard> {
        None
    }

    /// Counts the bytes of a copy of a batch that was made for this client alone.
    fn track_copy(&self, copy: Vec<u8>) -> Bytes {
        copy.into()
    }

    /// Loads what [`take_run`](Self::take_run) will read into the CPU cache, so that the loads of many subscribers
    /// overlap.
    fn prefetch(&self) {}

    /// Takes the batches of `batch_run` that are new to this subscriber. Returns how many were not. Returns `None` if
    /// the subscriber must be polled itself.
    fn take_run(&mut self, _batch_run: &BatchRun) -> Option<usize> {
        None
    }
}
