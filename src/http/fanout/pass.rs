//! The pass that gives batches to all members of a group.

use super::chunks::{FramedBatches, WRITE_LIMIT};
use crate::subscription::{BatchLimit, BatchRun, GroupUpdate};

/// The batches that a pass gives to each member of a group, and how far the pass has come.
///
/// Batches that come during a pass are added to it, so that each member gets what there is by its turn, as if it were polled
/// then. The members whose turn was before get them in another round.
#[derive(Debug)]
pub(super) struct BroadcastPass {
    /// The batches for all. `None` if each member has to be polled.
    pub(super) shared_batches: Option<SharedBatches>,
    /// How many batches there were when the round began. All members have had them when it ends.
    len_at_start: usize,
    /// The key whose turn is next.
    next: usize,
}

/// Batches for all members, composed and framed once.
#[derive(Debug)]
pub(super) struct SharedBatches {
    pub(super) batch_run: BatchRun,
    pub(super) framed: FramedBatches,
}

impl BroadcastPass {
    pub(in crate::http) fn new(update: GroupUpdate) -> Self {
        let shared_batches = match update {
            GroupUpdate::BatchRun(batch_run) => Some(SharedBatches::of(batch_run)),
            GroupUpdate::PollEach => None,
        };
        Self {
            len_at_start: shared_batches.as_ref().map_or(0, SharedBatches::len),
            shared_batches,
            next: 0,
        }
    }

    /// Returns how much may be added. Returns `None` if nothing may, or if each member is polled and takes what there is itself.
    pub(super) fn remaining_capacity(&self) -> Option<BatchLimit> {
        let shared_batches = self.shared_batches.as_ref();
        shared_batches.and_then(SharedBatches::remaining_capacity)
    }

    /// Adds what has come since the pass began.
    pub(in crate::http) fn add(&mut self, update: GroupUpdate) {
        match (&mut self.shared_batches, update) {
            (Some(shared_batches), GroupUpdate::BatchRun(batch_run)) => shared_batches.extend(batch_run),
            // Begins anew, so that the members whose turn was before are polled too.
            (_, update) => *self = Self::new(update),
        }
    }

    /// Returns the next key, below `end`. Returns `None` when all members have had everything. A key may have no member.
    pub(in crate::http) fn next_key(&mut self, end: usize) -> Option<usize> {
        if self.next >= end {
            let shared_batches = self.shared_batches.as_mut()?;
            shared_batches.drop_first(self.len_at_start);
            self.len_at_start = shared_batches.len();
            self.next = 0;
            if self.len_at_start == 0 {
                return None;
            }
        }
        let key = self.next;
        self.next += 1;
        (key < end).then_some(key)
    }
}

impl SharedBatches {
    fn of(batch_run: BatchRun) -> Self {
        let mut framed = FramedBatches::default();
        frame(&batch_run, &mut framed);
        Self { batch_run, framed }
    }

    fn extend(&mut self, next: BatchRun) {
        frame(&next, &mut self.framed);
        self.batch_run.extend(next);
    }

    fn drop_first(&mut self, count: usize) {
        self.batch_run.drop_first(count);
        self.framed.drop_first(count);
    }

    fn len(&self) -> usize {
        self.batch_run.batches().len()
    }

    /// Returns how much may be added. Returns `None` if nothing may. A member gets what comes during one round, and the batches
    /// here are those of two.
    fn remaining_capacity(&self) -> Option<BatchLimit> {
        let batches = (2 * WRITE_LIMIT.batches).saturating_sub(self.len());
        let bytes = (2 * WRITE_LIMIT.bytes).saturating_sub(self.framed.len());
        (batches > 0 && bytes > 0).then_some(BatchLimit { batches, bytes })
    }
}

fn frame(batch_run: &BatchRun, framed: &mut FramedBatches) {
    let data = batch_run.batches().iter().map(|batch| &batch.bytes);
    data.for_each(|data| framed.push(data));
}
