//! What was given to a client and is not written yet, for as long as that matters.
//!
//! Records that were deleted leave the memory within seconds, but for what a socket has half taken: cut in the middle, it would be
//! no event. So what is left of it has the stall deadline to go, however slowly it is taken.

use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::subscription::UnwrittenOffsets;

/// What is not written yet, if anything.
#[derive(Debug, Default)]
pub(in crate::http) struct PendingWrite {
    unwritten_offsets: Mutex<Option<UnwrittenOffsets>>,
    /// Whether there is any, for a look without the lock.
    is_set: AtomicBool,
}

impl PendingWrite {
    pub(in crate::http) fn set(&self, unwritten_offsets: UnwrittenOffsets) {
        *self.unwritten_offsets.lock() = Some(unwritten_offsets);
        self.is_set.store(true, Relaxed);
    }

    /// All is written.
    pub(in crate::http) fn clear(&self) {
        if self.is_set.swap(false, Relaxed) {
            *self.unwritten_offsets.lock() = None;
        }
    }

    pub(in crate::http) fn is_set(&self) -> bool {
        self.is_set.load(Relaxed)
    }

    /// Returns when it must be written, because some of it has been deleted.
    pub(in crate::http) fn due(&self, stall_timeout: Duration) -> Option<Instant> {
        if !self.is_set() {
            return None;
        }
        let deleted_at = self.unwritten_offsets.lock().as_ref()?.deleted_at()?;
        Some(Instant::from_std(deleted_at) + stall_timeout)
    }
}
