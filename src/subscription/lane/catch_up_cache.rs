//! Batches composed by one client that catches up, for all others that come to the same position.
//!
//! The batch after a position depends only on the position and the view. When a gateway restarts, thousands of clients
//! resume from a few ids: the first of them composes the batches, and the others take them from here.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use super::{Batch, Snapshot, budget::MemoryCost};
use crate::partition::PartitionLog;

/// Batches by the position at which they begin, the newest ones only.
#[derive(Debug, Default)]
pub(super) struct CatchUpCache {
    entries: HashMap<u64, CachedBatch>,
    /// The keys, oldest first.
    order: VecDeque<u64>,
    /// The memory taken by the entries.
    cost: MemoryCost,
    /// Since when at most one client uses the cache; `None` before two did.
    idle: Option<Instant>,
}

#[derive(Debug)]
struct CachedBatch {
    before: Snapshot,
    batch: Batch,
    after: Arc<Snapshot>,
}

impl CatchUpCache {
    /// Records that at most one client is left that uses the cache.
    pub(super) fn set_idle(&mut self) {
        self.idle = Some(Instant::now());
    }

    /// Returns whether the cache is kept although fewer than two clients use it. Otherwise clients that reconnect one
    /// after the other would each find it empty.
    pub(super) fn is_kept(&self) -> bool {
        self.idle.is_some_and(|since| since.elapsed() < KEEP_FOR)
    }

    /// Returns the batch that begins at `place`, and the position after it.
    pub(super) fn take(&self, place: &Snapshot) -> Option<(Batch, Arc<Snapshot>)> {
        let entry = self.entries.get(&place.fingerprint())?;
        let same = entry.before.is_equivalent(place);
        same.then(|| (entry.batch.clone(), Arc::clone(&entry.after)))
    }

    /// Adds the batch that leads from `before` to `after`. The oldest entries are dropped until all fit into `budget`
    /// bytes. Returns the memory added and the memory freed.
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

    /// Drops the batches that may contain records deleted from `log`. Returns the memory freed.
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

    /// Returns the memory taken by the entries.
    #[cfg(test)]
    pub(super) fn cost(&self) -> MemoryCost {
        self.cost
    }

    /// Drops the oldest entries until the rest takes at most `budget` bytes. Returns the memory freed.
    pub(super) fn trim(&mut self, budget: usize) -> MemoryCost {
        let mut freed = MemoryCost::default();
        while self.cost.total() > budget
            && let Some(key) = self.order.pop_front()
        {
            let entry = self.entries.remove(&key);
            let cost = entry.map_or(MemoryCost::default(), |entry| entry.cost());
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

/// How long the cache is kept after fewer than two clients are left that use it.
const KEEP_FOR: Duration = Duration::from_secs(5);

/// The memory of an entry beside its contents, in bytes: its slots in the map and in the queue, both of which grow by
/// doubling.
const ENTRY_OVERHEAD: usize = 2 * (size_of::<CachedBatch>() + 2 * size_of::<u64>()) + 128;
