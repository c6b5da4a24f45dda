//! What one client that catches up has composed, for all others who come to the same place.
//!
//! What comes behind a place depends on it and on the wish alone. When a gateway restarts, thousands resume from a few ids:
//! the first of them composes, the others take its batches.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use super::super::{Batch, standing::Standing};

/// Batches by the place they begin at, the newest of them.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    entries: HashMap<u64, Entry>,
    /// The keys, oldest first.
    order: VecDeque<u64>,
    /// What the entries cost, in bytes.
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    before: Standing,
    batch: Batch,
    after: Arc<Standing>,
}

impl Shelf {
    /// The batch that begins at `place`, and where it leads.
    pub(super) fn take(&self, place: &Standing) -> Option<(Batch, Arc<Standing>)> {
        let entry = self.entries.get(&place.fingerprint())?;
        let same = entry.before.is_same(place);
        same.then(|| (entry.batch.clone(), Arc::clone(&entry.after)))
    }

    /// Adds the batch that leads from `before` to `after`, in `budget` bytes at most: the oldest make room. How many bytes
    /// more the shelf costs now, and how many less.
    pub(super) fn put(
        &mut self,
        before: Standing,
        batch: Batch,
        after: Arc<Standing>,
        budget: usize,
    ) -> (usize, usize) {
        let key = before.fingerprint();
        let entry = Entry { before, batch, after };
        let cost = entry.cost();
        if cost > budget {
            return (0, 0);
        }
        let mut freed = self.trim(budget - cost);
        self.bytes += cost;
        match self.entries.insert(key, entry) {
            Some(old) => {
                self.bytes -= old.cost();
                freed += old.cost();
            }
            None => self.order.push_back(key),
        }
        (cost, freed)
    }

    /// Drops the oldest until the rest costs at most `budget` bytes; how many that freed.
    pub(super) fn trim(&mut self, budget: usize) -> usize {
        let before = self.bytes;
        while self.bytes > budget
            && let Some(key) = self.order.pop_front()
        {
            self.bytes -= self.entries.remove(&key).map_or(0, |entry| entry.cost());
        }
        before - self.bytes
    }
}

impl Entry {
    fn cost(&self) -> usize {
        self.batch.bytes.len() + self.before.bytes() + self.after.bytes() + size_of::<Self>()
    }
}
