//! The memory budget of all lanes together, and of the clients that catch up.

use std::{
    ops::{AddAssign, SubAssign},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use crate::{
    filter::{FilterRegistry, MAX_FILTERS},
    subscription::BytesTracker,
};

/// The memory of all lanes of a process: their rings, catch-up caches and compressors, the filters in use, and every
/// batch that exists, be it in a ring or on its way into a socket.
///
/// What sockets hold is counted first. The rest is shared by the number of subscribers: a lane with thousands of them
/// keeps a long ring, and two thousand lanes of one hostile client take no more of it than two thousand subscribers'
/// part.
#[derive(Debug)]
pub(super) struct Budget {
    /// In bytes.
    pub(super) limit: usize,
    /// Counts the bytes of batches.
    pub(super) tracker: Arc<BytesTracker>,
    filters: FilterRegistry,
    /// The bytes of rings, catch-up caches and compressors that are not batches.
    overhead: AtomicUsize,
    /// The number of subscribers of all lanes.
    pub(super) subscribers: AtomicUsize,
}

/// The memory that something takes, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct MemoryCost {
    /// The bytes of batches, which are counted until the last holder drops them.
    pub(super) payload: usize,
    /// All other bytes.
    pub(super) overhead: usize,
}

impl MemoryCost {
    /// Creates a cost without batches.
    pub(super) fn overhead(bytes: usize) -> Self {
        Self {
            payload: 0,
            overhead: bytes,
        }
    }

    pub(super) fn total(self) -> usize {
        self.payload + self.overhead
    }
}

impl AddAssign for MemoryCost {
    fn add_assign(&mut self, other: Self) {
        self.payload += other.payload;
        self.overhead += other.overhead;
    }
}

impl SubAssign for MemoryCost {
    fn sub_assign(&mut self, other: Self) {
        self.payload -= other.payload;
        self.overhead -= other.overhead;
    }
}

impl Budget {
    /// Creates a budget of `limit` bytes, which the filters in `filters` count towards.
    pub(super) fn new(limit: usize, filters: FilterRegistry) -> Self {
        Self {
            limit,
            tracker: BytesTracker::new(limit),
            filters,
            overhead: AtomicUsize::new(0),
            subscribers: AtomicUsize::new(0),
        }
    }

    /// Returns the bytes that a lane with this many subscribers may keep, if it is about to keep `coming` bytes of a
    /// batch that are not kept yet.
    pub(super) fn share(&self, subscribers: usize, coming: usize) -> usize {
        let outside = self.tracker.bytes_outside_caches().saturating_sub(coming);
        let there = self.limit.saturating_sub(outside + self.of_filters());
        let all = self.subscribers.load(Relaxed).max(subscribers).max(1);
        // Both factors have up to 64 bits, so the product needs 128.
        (there as u128 * subscribers as u128 / all as u128) as usize
    }

    /// Returns the bytes in use, filters not included.
    pub(super) fn used(&self) -> usize {
        self.tracker.bytes() + self.overhead.load(Relaxed)
    }

    /// Returns the bytes that filters take from the limit.
    fn of_filters(&self) -> usize {
        self.filters.bytes().min(self.limit / FILTER_DIVISOR)
    }

    /// Returns the bytes in use beyond the limit.
    pub(super) fn excess(&self) -> usize {
        (self.used() + self.of_filters()).saturating_sub(self.limit)
    }

    /// Records that `added` is kept in addition, and `freed` no longer.
    pub(super) fn account(&self, added: MemoryCost, freed: MemoryCost) {
        self.overhead.fetch_add(added.overhead, Relaxed);
        self.overhead.fetch_sub(freed.overhead, Relaxed);
        self.tracker.account_kept(added.payload, freed.payload);
    }

    /// Records that `freed` is no longer kept.
    pub(super) fn free(&self, freed: MemoryCost) {
        self.account(MemoryCost::default(), freed);
    }
}

/// Returns the bytes that all filters may take of a budget of `budget` bytes: a quarter, or more if that is too little
/// for the maximum number of simple filters.
pub(super) fn for_filters(budget: usize) -> usize {
    (budget / FILTER_DIVISOR).max(MAX_FILTERS * SIMPLE_FILTER_BYTES)
}

/// Filters take at most the budget divided by this.
const FILTER_DIVISOR: usize = 4;

/// More than a filter of a few short tests takes, in bytes.
const SIMPLE_FILTER_BYTES: usize = 2048;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_of_all_lanes_together_are_never_more_than_there_is() {
        let budget = Budget::new(1000, FilterRegistry::default());
        let lanes = [1, 2, 3, 1];
        budget.subscribers.fetch_add(7, Relaxed);
        assert!(
            lanes
                .iter()
                .map(|subscribers| budget.share(*subscribers, 0))
                .sum::<usize>()
                <= 1000
        );
        assert_eq!(budget.share(7, 0), 1000);
        budget.subscribers.fetch_sub(5, Relaxed);
        assert_eq!(budget.share(1, 0), 500);
    }
}
