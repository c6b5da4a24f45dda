//! Memory for all rings together.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// What all rings of a process may cost, shared out by audience: a lane that thousands follow keeps a long ring, and two
/// thousand lanes of one stranger take from it no more than two thousand followers' part.
#[derive(Debug)]
pub(super) struct Budget {
    limit: usize,
    used: AtomicUsize,
    followers: AtomicUsize,
}

impl Budget {
    /// One of so many bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            used: AtomicUsize::new(0),
            followers: AtomicUsize::new(0),
        }
    }

    /// What a lane with so many followers may use, in bytes.
    pub(super) fn share(&self, followers: usize) -> usize {
        let all = self.followers.load(Relaxed).max(followers).max(1);
        // Of 64 bits each, so that the product fits.
        (self.limit as u128 * followers as u128 / all as u128) as usize
    }

    /// What is used, in bytes.
    pub(super) fn used(&self) -> usize {
        self.used.load(Relaxed)
    }

    /// Whether the lanes together use more than there is: somebody's share has shrunk since it was used.
    pub(super) fn is_exceeded(&self) -> bool {
        self.used() > self.limit
    }

    /// Notes that a ring costs so many bytes more, and less.
    pub(super) fn account(&self, (added, freed): (usize, usize)) {
        self.used.fetch_add(added, Relaxed);
        self.used.fetch_sub(freed, Relaxed);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_of_all_lanes_together_are_never_more_than_there_is() {
        let budget = Budget::new(1000);
        let lanes = [1, 2, 3, 1];
        (0..7).for_each(|_| budget.come());
        assert!(
            lanes
                .iter()
                .map(|followers| budget.share(*followers))
                .sum::<usize>()
                <= 1000
        );
        assert_eq!(budget.share(7), 1000);
        (0..5).for_each(|_| budget.go());
        assert_eq!(budget.share(1), 500);
    }
}
