//! What one client that catches up has composed, for all others who come to the same place.
//!
//! What comes behind a place depends on it and on the wish alone. When a gateway restarts, thousands resume from a few ids:
//! the first of them composes, the others take its batches.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use super::{
    super::{Batch, standing::Standing},
    budget::Cost,
};
use crate::partition::PartitionLog;

/// Batches by the place they begin at, the newest of them.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    entries: HashMap<u64, Entry>,
    /// The keys, oldest first.
    order: VecDeque<u64>,
    /// What the entries cost.
    cost: Cost,
    /// Since when at most one is left for whom it is kept; `None` before there were two.
    idle: Option<Instant>,
}

#[derive(Debug)]
struct Entry {
    before: Standing,
    batch: Batch,
    after: Arc<Standing>,
}

impl Shelf {
    /// Notes that at most one is left for whom it is kept.
    pub(super) fn set_idle(&mut self) {
        self.idle = Some(Instant::now());
    }

    /// Whether it is kept although there are not two for whom it is: of those who come back one by one, each would find it empty.
    pub(super) fn is_kept(&self) -> bool {
        self.idle.is_some_and(|since| since.elapsed() < KEPT)
    }

    /// The batch that begins at `place`, and where it leads.
    pub(super) fn take(&self, place: &Standing) -> Option<(Batch, Arc<Standing>)> {
        let entry = self.entries.get(&place.fingerprint())?;
        let same = entry.before.is_same(place);
        same.then(|| (entry.batch.clone(), Arc::clone(&entry.after)))
    }

    /// Adds the batch that leads from `before` to `after`, in `budget` bytes at most: the oldest make room. What the shelf costs
    /// more now, and what it costs less.
    pub(super) fn put(
        &mut self,
        before: Standing,
        batch: Batch,
        after: Arc<Standing>,
        budget: usize,
    ) -> (Cost, Cost) {
        let key = before.fingerprint();
        let entry = Entry { before, batch, after };
        let cost = entry.cost();
        if cost.total() > budget {
            return (Cost::default(), Cost::default());
        }
        let mut freed = self.trim(budget - cost.total());
        self.cost += cost;
        match self.entries.insert(key, entry) {
            Some(old) => {
                self.cost -= old.cost();
                freed += old.cost();
            }
            None => self.order.push_back(key),
        }
        (cost, freed)
    }

    /// Drops the batches in which records may be that have been deleted from `log`; what that freed.
    pub(super) fn drop_deleted(&mut self, log: &Arc<PartitionLog>) -> Cost {
        let deleted = |entry: &mut Entry| entry.after.may_hold_deleted(Some(&entry.before), log);
        let mut freed = Cost::default();
        for (_, entry) in self.entries.extract_if(|_, entry| deleted(entry)) {
            freed += entry.cost();
        }
        if freed != Cost::default() {
            self.order.retain(|key| self.entries.contains_key(key));
            self.cost -= freed;
        }
        freed
    }

    /// What its entries cost.
    #[cfg(test)]
    pub(super) fn cost(&self) -> Cost {
        self.cost
    }

    /// Drops the oldest until the rest costs at most `budget` bytes; what that freed.
    pub(super) fn trim(&mut self, budget: usize) -> Cost {
        let mut freed = Cost::default();
        while self.cost.total() > budget
            && let Some(key) = self.order.pop_front()
        {
            let cost = self
                .entries
                .remove(&key)
                .map_or(Cost::default(), |entry| entry.cost());
            self.cost -= cost;
            freed += cost;
        }
        freed
    }
}

impl Entry {
    fn cost(&self) -> Cost {
        Cost {
            text: self.batch.size(),
            beside: self.before.bytes() + self.after.bytes() + ENTRY,
        }
    }
}

/// How long it is kept behind the last two for whom it was.
const KEPT: Duration = Duration::from_secs(5);

/// What an entry costs beside what it holds, in bytes: its places in the map and in the order, both of which grow by doubling.
const ENTRY: usize = 2 * (size_of::<Entry>() + 2 * size_of::<u64>()) + 128;
