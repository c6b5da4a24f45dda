//! A client's membership in a lane.

use std::{
    mem,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use super::{Lanes, state::Lane};
use crate::position::Timestamp;

/// One client's part in a lane; the lane ends with the last.
pub(super) struct LaneGuard {
    pub(super) lanes: Lanes,
    pub(super) lane: Arc<Lane>,
    pub(super) has_caught_up: bool,
}

impl LaneGuard {
    /// It has come to the end of all it reads.
    pub(super) fn mark_caught_up(&mut self, now: Timestamp) {
        if !mem::replace(&mut self.has_caught_up, true) {
            self.lanes.mark_caught_up(&self.lane, now);
        }
    }
}

impl Drop for LaneGuard {
    fn drop(&mut self) {
        if self.has_caught_up {
            self.lane.caught_up.fetch_sub(1, Relaxed);
        }
        self.lanes.leave(&self.lane);
    }
}
