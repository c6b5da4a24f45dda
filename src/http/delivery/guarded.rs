//! A delivery together with what carries it: whoever drops it has ended it.

use std::{
    sync::Arc,
    task::{Context, Poll},
    thread,
};

use super::{BatchSource, Delivery, handle::ConnHandle, segments::Segments};
use crate::{
    metrics::EndReason,
    subscription::{
        BatchRun, GroupCursor, LaneId, ResetHandle, StallGuard, UnwrittenBytes, UnwrittenOffsets,
    },
};

/// What a sink asks of a delivery, whatever feeds it.
pub(in crate::http) trait DynDelivery: Send {
    /// See [`Delivery::poll_next`].
    fn poll_next(&mut self, context: &mut Context<'_>, blocked: bool) -> Poll<Option<Segments>>;

    /// See [`Delivery::close`].
    fn close(&mut self, reason: EndReason);

    /// See [`BatchSource::is_shared`].
    fn is_shared(&self) -> bool;

    /// See [`BatchSource::mark_written`].
    fn mark_written(&mut self);

    /// See [`BatchSource::unwritten_offsets`].
    fn unwritten_offsets(&self) -> UnwrittenOffsets;

    /// See [`BatchSource::track_stalled`].
    fn track_stalled(
        &self,
        unwritten: UnwrittenBytes,
        reset_handle: &dyn Fn() -> Arc<dyn ResetHandle>,
    ) -> Option<StallGuard>;

    /// See [`BatchSource::lane_id`].
    fn lane_id(&self) -> LaneId;

    /// See [`BatchSource::join_group`].
    fn join_group(&mut self, group_cursor: &mut Option<GroupCursor>);

    /// See [`Delivery::prefetch`].
    fn prefetch(&self);

    /// See [`Delivery::take_run`].
    fn take_run(&mut self, batch_run: &BatchRun) -> Option<usize>;
}

impl<F: BatchSource + Send> DynDelivery for Delivery<F> {
    fn poll_next(&mut self, context: &mut Context<'_>, blocked: bool) -> Poll<Option<Segments>> {
        self.poll_next(context, blocked)
    }

    fn close(&mut self, reason: EndReason) {
        self.close(reason);
    }

    fn is_shared(&self) -> bool {
        self.is_shared()
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

    fn lane_id(&self) -> LaneId {
        self.lane_id()
    }

    fn join_group(&mut self, group_cursor: &mut Option<GroupCursor>) {
        self.join_group(group_cursor);
    }

    fn prefetch(&self) {
        self.prefetch();
    }

    fn take_run(&mut self, batch_run: &BatchRun) -> Option<usize> {
        self.take_run(batch_run)
    }
}

/// A delivery in a sink. One that is dropped before it has ended by itself was ended by its connection, which knows why.
pub(in crate::http) struct GuardedDelivery<D: DynDelivery + ?Sized> {
    pub(in crate::http) handle: ConnHandle,
    pub(in crate::http) delivery: D,
}

impl<D: DynDelivery + ?Sized> GuardedDelivery<D> {
    /// Notes what its socket does not take: see [`BatchSource::track_stalled`].
    pub(in crate::http) fn track_stalled(&self, unwritten: UnwrittenBytes) -> Option<StallGuard> {
        self.delivery
            .track_stalled(unwritten, &|| Arc::new(self.handle.downgrade()))
    }
}

impl<D: DynDelivery + ?Sized> Drop for GuardedDelivery<D> {
    fn drop(&mut self) {
        let reason = if thread::panicking() {
            EndReason::Panicked
        } else {
            self.handle.end_reason()
        };
        self.delivery.close(reason);
    }
}
