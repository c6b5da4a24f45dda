//! A delivery with the connection that carries it. Dropping it ends the stream, for the reason that the connection knows.

use std::{sync::Arc, thread};

use super::{handle::ConnHandle, source::BatchSource, state_machine::Delivery};
use crate::{
    metrics::EndReason,
    subscription::{StallGuard, UnwrittenBytes},
};

/// A delivery in a sink, and the handle of its connection. If it is dropped before the stream has ended by itself, the
/// connection ended it and knows why.
pub(in crate::http) struct GuardedDelivery<S: BatchSource + ?Sized> {
    pub(in crate::http) handle: ConnHandle,
    pub(in crate::http) delivery: Delivery<S>,
}

impl<S: BatchSource + ?Sized> GuardedDelivery<S> {
    /// Counts the bytes that the socket does not take: see [`BatchSource::track_stalled`].
    pub(in crate::http) fn track_stalled(&self, unwritten: UnwrittenBytes) -> Option<StallGuard> {
        self.delivery
            .source()
            .track_stalled(unwritten, &|| Arc::new(self.handle.downgrade()))
    }
}

impl<S: BatchSource + ?Sized> Drop for GuardedDelivery<S> {
    fn drop(&mut self) {
        let reason = if thread::panicking() {
            EndReason::Panicked
        } else {
            self.handle.end_reason()
        };
        self.delivery.close(reason);
    }
}
