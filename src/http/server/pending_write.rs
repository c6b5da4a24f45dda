//! The records that a client was given and that are not written to its socket yet.
//!
//! Records that were deleted in Kafka leave our memory within seconds, except for events that a socket has taken in part: cut in
//! the middle, they would be no events. The rest of such an event must be written within the stall deadline, however slowly the
//! client reads.

use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::subscription::UnwrittenOffsets;

/// The offsets of what is not written yet, if there is anything.
#[derive(Debug, Default)]
pub(in crate::http) struct PendingWrite {
    unwritten_offsets: Mutex<Option<UnwrittenOffsets>>,
    /// Whether there are any, for a check without the lock.
    is_set: AtomicBool,
}

impl PendingWrite {
    /// Records what was given.
    pub(in crate::http) fn set(&self, unwritten_offsets: UnwrittenOffsets) {
        *self.unwritten_offsets.lock() = Some(unwritten_offsets);
        self.is_set.store(true, Relaxed);
    }

    /// Records that all is written.
    pub(in crate::http) fn clear(&self) {
        if self.is_set.swap(false, Relaxed) {
            *self.unwritten_offsets.lock() = None;
        }
    }

    /// Whether something is not written yet.
    pub(in crate::http) fn is_set(&self) -> bool {
        self.is_set.load(Relaxed)
    }

    /// Returns the time by which it must be written, because some of it has been deleted. Returns `None` if none has.
    pub(in crate::http) fn due(&self, stall_timeout: Duration) -> Option<Instant> {
        if !self.is_set() {
            return None;
        }
        let deleted_at = self.unwritten_offsets.lock().as_ref()?.deleted_at()?;
        Some(Instant::from_std(deleted_at) + stall_timeout)
    }
}
