//! Memory for all lanes together, and for those who catch up.

use std::{
    ops::{AddAssign, SubAssign},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use crate::{
    filter::{Filters, MAX_FILTERS},
    subscription::texts::Texts,
};

/// What all lanes of a process may cost: their rings, shelves and packers, the filters in use, and every text that somebody holds,
/// be it in a ring or on its way into a socket.
///
/// What sockets hold goes first. The rest is shared out by audience: a lane that thousands follow keeps a long ring, and two
/// thousand lanes of one stranger take from it no more than two thousand followers' part.
#[derive(Debug)]
pub(super) struct Budget {
    limit: usize,
    texts: Arc<Texts>,
    filters: Filters,
    /// What rings, shelves and packers cost beside texts, in bytes.
    beside: AtomicUsize,
    followers: AtomicUsize,
}

/// What something costs, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cost {
    /// Of texts, which are counted for as long as anybody holds them.
    pub(super) text: usize,
    /// Of all else.
    pub(super) beside: usize,
}

impl Cost {
    /// Of something that is no text.
    pub(super) fn beside(bytes: usize) -> Self {
        Self {
            text: 0,
            beside: bytes,
        }
    }

    pub(super) fn total(self) -> usize {
        self.text + self.beside
    }
}

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        self.text += other.text;
        self.beside += other.beside;
    }
}

impl SubAssign for Cost {
    fn sub_assign(&mut self, other: Self) {
        self.text -= other.text;
        self.beside -= other.beside;
    }
}

impl Budget {
    /// One of so many bytes, from which what `filters` admits is taken.
    pub(super) fn new(limit: usize, filters: Filters) -> Self {
        Self {
            limit,
            texts: Texts::new(limit),
            filters,
            beside: AtomicUsize::new(0),
            followers: AtomicUsize::new(0),
        }
    }

    /// Where texts are counted.
    pub(super) fn texts(&self) -> &Arc<Texts> {
        &self.texts
    }

    /// What a lane with so many followers may keep, in bytes, when it is about to keep `coming` bytes of text that are not kept yet.
    pub(super) fn share(&self, followers: usize, coming: usize) -> usize {
        let outside = self.texts.outside().saturating_sub(coming);
        let there = self.limit.saturating_sub(outside + self.of_filters());
        let all = self.followers.load(Relaxed).max(followers).max(1);
        // Of 64 bits each, so that the product fits.
        (there as u128 * followers as u128 / all as u128) as usize
    }

    /// What is used, the filters not counted, in bytes.
    pub(super) fn used(&self) -> usize {
        self.texts.bytes() + self.beside.load(Relaxed)
    }

    /// What the filters take of the limit, in bytes.
    fn of_filters(&self) -> usize {
        self.filters.bytes().min(self.limit / FILTERS)
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
    pub(super) fn account(&self, added: Cost, freed: Cost) {
        self.beside.fetch_add(added.beside, Relaxed);
        self.beside.fetch_sub(freed.beside, Relaxed);
        self.texts.keep(added.text, freed.text);
    }

    /// Notes that less is kept.
    pub(super) fn free(&self, freed: Cost) {
        self.account(Cost::default(), freed);
    }

    /// Notes a follower that came.
    pub(super) fn come(&self) {
        self.followers.fetch_add(1, Relaxed);
    }

    /// Notes a follower that went.
    pub(super) fn go(&self) {
        self.followers.fetch_sub(1, Relaxed);
    }
}

/// What all filters may cost of `budget` bytes for lanes: a quarter, but room for as many simple ones as there may be in any case.
pub(super) fn for_filters(budget: usize) -> usize {
    (budget / FILTERS).max(MAX_FILTERS * SIMPLE)
}

/// Filters take at most one part in so many of the budget.
const FILTERS: usize = 4;

/// More than a filter of a few short tests costs, in bytes.
const SIMPLE: usize = 2048;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_of_all_lanes_together_are_never_more_than_there_is() {
        let budget = Budget::new(1000, Filters::default());
        let lanes = [1, 2, 3, 1];
        (0..7).for_each(|_| budget.come());
        assert!(
            lanes
                .iter()
                .map(|followers| budget.share(*followers, 0))
                .sum::<usize>()
                <= 1000
        );
        assert_eq!(budget.share(7, 0), 1000);
        (0..5).for_each(|_| budget.go());
        assert_eq!(budget.share(1, 0), 500);
    }
}
