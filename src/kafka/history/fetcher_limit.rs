//! A cap on the partitions that the readers of a cluster keep started, and on the memory that these hold.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// How many partitions all readers of a cluster keep started beyond the one each reads.
#[derive(Debug)]
pub(super) struct FetcherLimit {
    pub(super) open: AtomicUsize,
    max: usize,
    readers: AtomicUsize,
}

impl FetcherLimit {
    /// One that takes at most half of `budget` bytes, but lets each reader read.
    pub(super) fn new(budget: usize) -> Arc<Self> {
        Arc::new(Self {
            open: AtomicUsize::new(0),
            max: budget / 2 / FETCHED_AHEAD_BYTES,
            readers: AtomicUsize::new(0),
        })
    }

    /// Counts one more reader that shares the limit.
    pub(super) fn add_reader(&self) {
        self.readers.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts one reader less.
    pub(super) fn remove_reader(&self) {
        self.readers.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn try_acquire(&self) -> bool {
        self.open
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |open| {
                (open < self.max).then_some(open + 1)
            })
            .is_ok()
    }

    /// What may have been fetched ahead for those that are open, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.open.load(Ordering::Relaxed).min(self.max) * FETCHED_AHEAD_BYTES
    }

    /// What one reader may start ahead, so that one with many partitions does not take it all from the others.
    pub(super) fn per_reader_limit(&self) -> usize {
        self.max / self.readers.load(Ordering::Relaxed).max(1)
    }

    /// A reader that has nothing to give up still needs the one partition it reads.
    pub(super) fn acquire_beyond_limit(&self) {
        self.open.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn release(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a started partition may hold that was fetched ahead: a full queue, and a fetch or one record more.
const FETCHED_AHEAD_BYTES: usize = 2 << 20;
