//! What one client that catches up has composed, for all others who come to the same place.
//!
//! What comes behind a place depends on it and on the view alone. When a gateway restarts, thousands resume from a few ids:
//! the first of them composes, the others take its batches.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use super::{
    super::{Batch, snapshot::Snapshot},
    budget::MemoryCost,
};
use crate::partition::PartitionLog;

/// Batches by the place they begin at, the newest of them.
#[derive(Debug, Default)]
pub(super) struct CatchUpCache {
    entries: HashMap<u64, CachedBatch>,
    /// The keys, oldest first.
    order: VecDeque<u64>,
    /// What the entries cost.
    cost: MemoryCost,
    /// Since when at most one is left for whom it is kept; `None` before there were two.
    idle: Option<Instant>,
}

#[derive(Debug)]
struct CachedBatch {
    before: Snapshot,
    batch: Batch,
    after: Arc<Snapshot>,
}

impl CatchUpCache {
    /// Notes that at most one is left for whom it is kept.
    pub(super) fn set_idle(&mut self) {
        self.idle = Some(Instant::now());
    }

    /// Whether it is kept although there are not two for whom it is: of those who come back one by one, each would find it empty.
    pub(super) fn is_kept(&self) -> bool {
        self.idle.is_some_and(|since| since.elapsed() < KEEP_FOR)
    }

    /// The batch that begins at `place`, and where it leads.
    pub(super) fn take(&self, place: &Snapshot) -> Option<(Batch, Arc<Snapshot>)> {
        let entry = self.entries.get(&place.fingerprint())?;
        let same = entry.before.is_equivalent(place);
        same.then(|| (entry.batch.clone(), Arc::clone(&entry.after)))
    }

    /// Adds the batch that leads from `before` to `after`, in `budget` bytes at most: the oldest make room. What the catch-up cache costs
    /// more now, and what it costs less.
    pub(super) fn put(
        &mut self,
        before: Snapshot,
        batch: Batch,
        after: Arc<Snapshot>,
        budget: usize,
    ) -> (MemoryCost, MemoryCost) {
        let key = before.fingerprint();
        let entry = CachedBatch { before, batch, after };
        let cost = entry.cost();
        if cost.total() > budget {
            return (MemoryCost::default(), MemoryCost::default());
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
    pub(super) fn drop_deleted(&mut self, log: &Arc<PartitionLog>) -> MemoryCost {
        let deleted = |entry: &mut CachedBatch| entry.after.may_hold_deleted(Some(&entry.before), log);
        let mut freed = MemoryCost::default();
        for (_, entry) in self.entries.extract_if(|_, entry| deleted(entry)) {
            freed += entry.cost();
        }
        if freed != MemoryCost::default() {
            self.order.retain(|key| self.entries.contains_key(key));
            self.cost -= freed;
        }
        freed
    }

    /// What its entries cost.
    #[cfg(test)]
    pub(super) fn cost(&self) -> MemoryCost {
        self.cost
    }

    /// Drops the oldest until the rest costs at most `budget` bytes; what that freed.
    pub(super) fn trim(&mut self, budget: usize) -> MemoryCost {
        let mut freed = MemoryCost::default();
        while self.cost.total() > budget
            && let Some(key) = self.order.pop_front()
        {
            let cost = self
                .entries
                .remove(&key)
                .map_or(MemoryCost::default(), |entry| entry.cost());
            self.cost -= cost;
            freed += cost;
        }
        freed
    }
}

impl CachedBatch {
    fn cost(&self) -> MemoryCost {
        MemoryCost {
            payload: self.batch.size(),
            overhead: self.before.bytes() + self.after.bytes() + ENTRY_OVERHEAD,
        }
    }
}

/// How long it is kept behind the last two for whom it was.
const KEEP_FOR: Duration = Duration::from_secs(5);

/// What an entry costs beside what it holds, in bytes: its places in the map and in the order, both of which grow by doubling.
const ENTRY_OVERHEAD: usize = 2 * (size_of::<CachedBatch>() + 2 * size_of::<u64>()) + 128;
