//! The interface between a delivery and the source of its events.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;

use crate::subscription::{
    Batch, BatchRun, GroupCursor, LaneId, LaneSubscriber, ResetHandle, StallGuard, UnwrittenBytes,
    UnwrittenOffsets,
};

/// A source of batches for one client: a [`LaneSubscriber`], or a test's.
pub(in crate::http) trait BatchSource {
    /// See [`LaneSubscriber::poll_batch`].
    fn poll_batch(&mut self, context: &mut Context<'_>) -> Poll<Batch>;

    /// See [`LaneSubscriber::is_held`].
    fn is_held(&self) -> bool;

    /// See [`LaneSubscriber::checkpoint`].
    fn checkpoint(&mut self) -> Option<Batch> {
        None
    }

    /// See [`LaneSubscriber::lane_id`].
    fn lane_id(&self) -> LaneId {
        LaneId::default()
    }

    /// See [`LaneSubscriber::join_group`].
    fn join_group(&mut self, _group_cursor: &mut Option<GroupCursor>) {}

    /// Whether the batches are shared with other clients: see [`LaneSubscriber::is_in_lane`].
    fn is_shared(&self) -> bool {
        true
    }

    /// See [`LaneSubscriber::cancel_fetches`].
    fn cancel_fetches(&mut self) {}

    /// See [`LaneSubscriber::mark_written`].
    fn mark_written(&mut self) {}

    /// See [`LaneSubscriber::unwritten_offsets`].
    fn unwritten_offsets(&self) -> UnwrittenOffsets {
        UnwrittenOffsets::default()
    }

    /// See [`LaneSubscriber::track_stalled`].
    fn track_stalled(
        &self,
        _unwritten: UnwrittenBytes,
        _reset_handle: &dyn Fn() -> Arc<dyn ResetHandle>,
    ) -> Option<StallGuard> {
        None
    }

    /// See [`LaneSubscriber::track_copy`].
    fn track_copy(&self, copy: Vec<u8>) -> Bytes {
        copy.into()
    }

    /// See [`LaneSubscriber::prefetch`].
    fn prefetch(&self) {}

    /// See [`LaneSubscriber::take_run`].
    fn take_run(&mut self, _batch_run: &BatchRun) -> Option<usize> {
        None
    }
}

impl BatchSource for LaneSubscriber {
    fn poll_batch(&mut self, context: &mut Context<'_>) -> Poll<Batch> {
        self.poll_batch(context)
    }

    fn is_held(&self) -> bool {
        self.is_held()
    }

    fn checkpoint(&mut self) -> Option<Batch> {
        self.checkpoint()
    }

    fn lane_id(&self) -> LaneId {
        self.lane_id()
    }

    fn join_group(&mut self, group_cursor: &mut Option<GroupCursor>) {
        self.join_group(group_cursor);
    }

    fn is_shared(&self) -> bool {
        self.is_in_lane()
    }

    fn cancel_fetches(&mut self) {
        self.cancel_fetches();
    }

    fn mark_written(&mut self) {
        self.mark_written();
    }

    fn unwritten_offsets(&self) -> UnwrittenOffsets {
        self.unwritten_offsets()
    }

    fn track_stalled(
        &self,
        unwritten: UnwrittenBytes,
        reset_handle: &dyn Fn() -> Arc<dyn ResetHandle>,
    ) -> Option<StallGuard> {
        self.track_stalled(unwritten, reset_handle)
    }

    fn track_copy(&self, copy: Vec<u8>) -> Bytes {
        self.track_copy(copy)
    }

    fn prefetch(&self) {
        self.prefetch();
    }

    fn take_run(&mut self, batch_run: &BatchRun) -> Option<usize> {
        self.take_run(batch_run)
    }
}
