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
    unwritten: Mutex<Unwritten>,
    /// Whether there are any, for a check without the lock.
    is_set: AtomicBool,
}

#[derive(Debug, Default)]
struct Unwritten {
    given: Option<UnwrittenOffsets>,
    /// What was given before and may be written in part only: see [`hand_over`](PendingWrite::hand_over).
    handed_over: Option<UnwrittenOffsets>,
}

impl PendingWrite {
    /// Records what was given.
    pub(in crate::http) fn set(&self, unwritten_offsets: UnwrittenOffsets) {
        self.unwritten.lock().given = Some(unwritten_offsets);
        self.is_set.store(true, Relaxed);
    }

    /// Records that all is written.
    pub(in crate::http) fn clear(&self) {
        if self.is_set.swap(false, Relaxed) {
            *self.unwritten.lock() = Unwritten::default();
        }
    }

    /// Records that the last piece of what was given was handed over to HTTP/2, which may still hold it.
    pub(in crate::http) fn hand_over(&self) {
        if self.is_set() {
            let mut unwritten = self.unwritten.lock();
            unwritten.handed_over = unwritten.given.take().or(unwritten.handed_over.take());
        }
    }

    /// Records that all is written that was [handed over](Self::hand_over).
    pub(in crate::http) fn clear_handed_over(&self) {
        if self.is_set() {
            let mut unwritten = self.unwritten.lock();
            unwritten.handed_over = None;
            self.is_set.store(unwritten.given.is_some(), Relaxed);
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
        let unwritten = self.unwritten.lock();
        let all = [&unwritten.given, &unwritten.handed_over].into_iter().flatten();
        let deleted_at = all.filter_map(UnwrittenOffsets::deleted_at).min()?;
        Some(Instant::from_std(deleted_at) + stall_timeout)
    }
}
