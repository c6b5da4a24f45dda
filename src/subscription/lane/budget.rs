//! Memory for all lanes together, and for those who catch up.

use std::{
    ops::{AddAssign, SubAssign},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use crate::{
    filter::{FilterRegistry, MAX_FILTERS},
    subscription::tracker::BytesTracker,
};

/// What all lanes of a process may cost: their rings, catch-up caches and compressors, the filters in use, and every text that somebody holds,
/// be it in a ring or on its way into a socket.
///
/// What sockets hold goes first. The rest is shared out by audience: a lane that thousands follow keeps a long ring, and two
/// thousand lanes of one stranger take from it no more than two thousand subscribers' part.
#[derive(Debug)]
pub(super) struct Budget {
    limit: usize,
    tracker: Arc<BytesTracker>,
    filters: FilterRegistry,
    /// What rings, catch-up caches and compressors cost beside texts, in bytes.
    overhead: AtomicUsize,
    subscribers: AtomicUsize,
}

/// What something costs, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct MemoryCost {
    /// Of texts, which are counted for as long as anybody holds them.
    pub(super) payload: usize,
    /// Of all else.
    pub(super) overhead: usize,
}

impl MemoryCost {
    /// Of something that is no text.
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
    /// One of so many bytes, from which what `filters` admits is taken.
    pub(super) fn new(limit: usize, filters: FilterRegistry) -> Self {
        Self {
            limit,
            tracker: BytesTracker::new(limit),
            filters,
            overhead: AtomicUsize::new(0),
            subscribers: AtomicUsize::new(0),
        }
    }

    /// Where texts are counted.
    pub(super) fn tracker(&self) -> &Arc<BytesTracker> {
        &self.tracker
    }

    /// What a lane with so many subscribers may keep, in bytes, when it is about to keep `coming` bytes of text that are not kept yet.
    pub(super) fn share(&self, subscribers: usize, coming: usize) -> usize {
        let outside = self.tracker.bytes_outside_caches().saturating_sub(coming);
        let there = self.limit.saturating_sub(outside + self.of_filters());
        let all = self.subscribers.load(Relaxed).max(subscribers).max(1);
        // Of 64 bits each, so that the product fits.
        (there as u128 * subscribers as u128 / all as u128) as usize
    }

    /// What is used, the filters not counted, in bytes.
    pub(super) fn used(&self) -> usize {
        self.tracker.bytes() + self.overhead.load(Relaxed)
    }

    /// What the filters take of the limit, in bytes.
    fn of_filters(&self) -> usize {
        self.filters.bytes().min(self.limit / FILTER_DIVISOR)
    }

    /// Whether more is used than there is: somebody's share has shrunk since it was used, or sockets hold a lot.
    pub(super) fn is_exceeded(&self) -> bool {
        self.excess() > 0
    }

    /// What all may cost, in bytes.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// How much more is used than there is, in bytes.
    pub(super) fn excess(&self) -> usize {
        (self.used() + self.of_filters()).saturating_sub(self.limit)
    }

    /// Notes what is kept more, and what less.
    pub(super) fn account(&self, added: MemoryCost, freed: MemoryCost) {
        self.overhead.fetch_add(added.overhead, Relaxed);
        self.overhead.fetch_sub(freed.overhead, Relaxed);
        self.tracker.account_kept(added.payload, freed.payload);
    }

    /// Notes that less is kept.
    pub(super) fn free(&self, freed: MemoryCost) {
        self.account(MemoryCost::default(), freed);
    }

    /// Notes a subscriber that came.
    pub(super) fn add_subscriber(&self) {
        self.subscribers.fetch_add(1, Relaxed);
    }

    /// Notes a subscriber that went.
    pub(super) fn remove_subscriber(&self) {
        self.subscribers.fetch_sub(1, Relaxed);
    }
}

/// What all filters may cost of `budget` bytes for lanes: a quarter, but room for as many simple ones as there may be in any case.
pub(super) fn for_filters(budget: usize) -> usize {
    (budget / FILTER_DIVISOR).max(MAX_FILTERS * SIMPLE_FILTER_BYTES)
}

/// Filters take at most one part in so many of the budget.
const FILTER_DIVISOR: usize = 4;

/// More than a filter of a few short tests costs, in bytes.
const SIMPLE_FILTER_BYTES: usize = 2048;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_of_all_lanes_together_are_never_more_than_there_is() {
        let budget = Budget::new(1000, FilterRegistry::default());
        let lanes = [1, 2, 3, 1];
        (0..7).for_each(|_| budget.add_subscriber());
        assert!(
            lanes
                .iter()
                .map(|subscribers| budget.share(*subscribers, 0))
                .sum::<usize>()
                <= 1000
        );
        assert_eq!(budget.share(7, 0), 1000);
        (0..5).for_each(|_| budget.remove_subscriber());
        assert_eq!(budget.share(1, 0), 500);
    }
}
