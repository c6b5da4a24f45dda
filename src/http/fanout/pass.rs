//! Passes over all who get the same.

use super::chunks::{FramedBatches, WRITE_LIMIT};
use crate::subscription::{Batch, BatchLimit, BatchRun, GroupUpdate};

/// What passes over a group give to each, and how far the pass has come.
///
/// What comes during a pass is added, so that each gets what there is by its turn, as if it had asked. Those whose turn was
/// before get it in another pass.
#[derive(Debug)]
pub(super) struct BroadcastPass {
    /// `None` if each has to be polled.
    shared_batches: Option<SharedBatches>,
    /// How many of its batches there were when the pass began: all have had them when it ends.
    len_at_start: usize,
    /// The key of whose turn it is.
    next: usize,
}

/// Batches for all, composed and framed once.
#[derive(Debug)]
pub(super) struct SharedBatches {
    batch_run: BatchRun,
    framed: FramedBatches,
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

    /// How much may be added; nothing if each is polled, who takes what there is by itself.
    pub(super) fn remaining_capacity(&self) -> Option<BatchLimit> {
        self.shared_batches
            .as_ref()
            .and_then(SharedBatches::remaining_capacity)
    }

    /// Adds what came since.
    pub(in crate::http) fn add(&mut self, update: GroupUpdate) {
        match (&mut self.shared_batches, update) {
            (Some(shared_batches), GroupUpdate::BatchRun(batch_run)) => shared_batches.extend(batch_run),
            // Also those whose turn was before.
            (_, update) => *self = Self::new(update),
        }
    }

    /// The next key, as long as there is anything for whoever has it; there are keys up to `end`, and not all of them are
    /// somebody's.
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

    pub(super) fn shared_batches(&self) -> Option<&SharedBatches> {
        self.shared_batches.as_ref()
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

    /// A client gets what comes during one pass, and what is here comes during two.
    fn remaining_capacity(&self) -> Option<BatchLimit> {
        let batches = (2 * WRITE_LIMIT.batches).saturating_sub(self.len());
        let bytes = (2 * WRITE_LIMIT.bytes).saturating_sub(self.framed.len());
        (batches > 0 && bytes > 0).then_some(BatchLimit { batches, bytes })
    }

    pub(in crate::http) fn batch_run(&self) -> &BatchRun {
        &self.batch_run
    }

    /// What is to be written to one who has had `already_sent` of its batches.
    pub(super) fn bytes_after(&self, already_sent: usize) -> &[u8] {
        self.framed.bytes_after(already_sent)
    }

    /// The same, as batches.
    pub(super) fn batches_after(&self, already_sent: usize) -> &[Batch] {
        &self.batch_run.batches()[already_sent..]
    }
}

fn frame(batch_run: &BatchRun, framed: &mut FramedBatches) {
    let data = batch_run.batches().iter().map(|batch| &batch.bytes);
    data.for_each(|data| framed.push(data));
}
