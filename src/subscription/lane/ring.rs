//! The finished batches of one lane, and its head.

use std::{collections::VecDeque, sync::Arc};

use super::super::{Batch, standing::Standing};

/// The newest batches of a lane, by number, and what stands behind them.
#[derive(Debug, Default)]
pub(super) struct Ring {
    entries: VecDeque<Entry>,
    /// The number of the oldest batch that is here.
    first: u64,
    /// What the entries cost, in bytes.
    bytes: usize,
    /// Where the lane stands behind the newest batch; `None` before it has looked, and once it is closed.
    standing: Option<Arc<Standing>>,
}

#[derive(Debug)]
struct Entry {
    batch: Batch,
    after: Arc<Standing>,
}

/// What a ring has for a client.
#[derive(Debug)]
pub(super) enum Taken {
    /// The batch with the client's number, and where that leads.
    Batch(Batch, Arc<Standing>),
    /// Nothing yet; the lane stands there.
    Nothing(Arc<Standing>),
    /// The batch has left the ring, or the lane is closed: the client goes on by itself.
    Gone,
}

/// A lane's head: the number of its next batch, and where the lane stands before it.
#[derive(Clone, Debug)]
pub(super) struct Head {
    pub(super) number: u64,
    pub(super) standing: Arc<Standing>,
}

impl Ring {
    /// The head, if a client may go on from it.
    pub(super) fn head(&self) -> Option<Head> {
        let standing = self.standing.as_ref().filter(|standing| standing.is_settled())?;
        Some(Head {
            number: self.end(),
            standing: Arc::clone(standing),
        })
    }

    /// Whether one who wants the batch `number` next is in time for it.
    pub(super) fn reaches(&self, number: u64) -> bool {
        self.standing.is_some() && number >= self.first
    }

    /// What there is for one who wants the batch `number`, which is not beyond the head's.
    pub(super) fn take(&self, number: u64) -> Taken {
        let entry = number
            .checked_sub(self.first)
            .map(|index| self.entries.get(index as usize));
        match (entry, &self.standing) {
            (Some(Some(entry)), _) => Taken::Batch(entry.batch.clone(), Arc::clone(&entry.after)),
            (Some(None), Some(standing)) => Taken::Nothing(Arc::clone(standing)),
            _ => Taken::Gone,
        }
    }

    /// Moves the head without a batch.
    pub(super) fn stand(&mut self, standing: Arc<Standing>) {
        self.standing = Some(standing);
    }

    /// Adds a batch and moves the head behind it, in `budget` bytes at most: the oldest batches make room, and one that has
    /// none is missed by everybody. How many bytes more the ring costs now, and how many less.
    pub(super) fn push(&mut self, batch: Batch, after: Arc<Standing>, budget: usize) -> (usize, usize) {
        let cost = cost(&batch, &after);
        self.standing = Some(Arc::clone(&after));
        let freed = self.trim(budget.saturating_sub(cost));
        if cost > budget {
            self.first += 1;
            return (0, freed);
        }
        self.bytes += cost;
        self.entries.push_back(Entry { batch, after });
        (cost, freed)
    }

    /// Drops the oldest batches until the rest costs at most `budget` bytes; how many that freed.
    pub(super) fn trim(&mut self, budget: usize) -> usize {
        let before = self.bytes;
        while self.bytes > budget
            && let Some(entry) = self.entries.pop_front()
        {
            self.bytes -= cost(&entry.batch, &entry.after);
            self.first += 1;
        }
        before - self.bytes
    }

    /// Drops everything, and sends everybody away; how many bytes that freed.
    pub(super) fn close(&mut self) -> usize {
        self.standing = None;
        self.trim(0)
    }

    fn end(&self) -> u64 {
        self.first + self.entries.len() as u64
    }
}

/// What a batch costs in a ring, in bytes.
fn cost(batch: &Batch, after: &Standing) -> usize {
    let packed = batch.packed.as_ref().map_or(0, |packed| packed.bytes.len());
    batch.bytes.len() + packed + after.bytes() + size_of::<Entry>()
}
