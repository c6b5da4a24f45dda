//! The position that all lanes of a dispatcher have reached.

use std::sync::Arc;

use parking_lot::Mutex;

use super::Snapshot;

/// The position that all lanes of a dispatcher have reached. Each of them would otherwise be told of every event of the others.
///
/// It moves in rounds: the dispatcher adds what has come to the rings of the lanes that it is for, each with the position after the
/// round, and then moves the head there. So a ring that was added to in a round is ahead of the head until the round ends.
#[derive(Debug, Default)]
pub(super) struct SharedHead(Mutex<HeadState>);

#[derive(Debug, Default)]
struct HeadState {
    /// The number of rounds so far.
    round: u64,
    /// `None` before the first round.
    snapshot: Option<Arc<Snapshot>>,
}

impl SharedHead {
    /// Ends a round at this position.
    pub(super) fn advance(&self, snapshot: Arc<Snapshot>) {
        let mut state = self.0.lock();
        state.round += 1;
        state.snapshot = Some(snapshot);
    }

    /// Returns the number of the last round.
    pub(super) fn round(&self) -> u64 {
        self.0.lock().round
    }

    /// Returns the position.
    pub(super) fn snapshot(&self) -> Option<Arc<Snapshot>> {
        self.0.lock().snapshot.clone()
    }

    /// Returns the position, if rounds have ended since this one.
    pub(super) fn snapshot_since(&self, round: u64) -> Option<Arc<Snapshot>> {
        let state = self.0.lock();
        state.snapshot.clone().filter(|_| state.round > round)
    }
}
