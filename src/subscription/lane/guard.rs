//! A subscriber's membership in a lane.

use std::{
    mem,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use super::{Lanes, state::Lane};
use crate::position::Timestamp;

/// A subscriber's membership in a lane, ended on drop. The lane ends with its last member.
pub(super) struct LaneGuard {
    pub(super) lanes: Lanes,
    pub(super) lane: Arc<Lane>,
    has_caught_up: bool,
}

impl LaneGuard {
    pub(super) fn new(lanes: Lanes, lane: Arc<Lane>) -> Self {
        Self {
            lanes,
            lane,
            has_caught_up: false,
        }
    }

    /// Records, once, that the client has reached the end of everything it reads.
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
