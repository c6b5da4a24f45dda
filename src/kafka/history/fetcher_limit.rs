//! Limit on the partitions that the readers of one cluster keep started, and so on the memory that librdkafka's fetch queues
//! hold.
//!
//! Not here: which partitions are started and stopped (`fetchers`).

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// The number of partitions that all readers of a cluster keep started, beyond the one that each reader is reading.
#[derive(Debug)]
pub(super) struct FetcherLimit {
    pub(super) open: AtomicUsize,
    max: usize,
    readers: AtomicUsize,
}

impl FetcherLimit {
    /// Creates a limit that takes at most half of `budget` bytes. Each reader may still read one partition.
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

    /// Counts one reader fewer.
    pub(super) fn remove_reader(&self) {
        self.readers.fetch_sub(1, Ordering::Relaxed);
    }

    /// Takes a slot. Returns `false` if all slots are taken.
    pub(super) fn try_acquire(&self) -> bool {
        self.open
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |open| {
                (open < self.max).then_some(open + 1)
            })
            .is_ok()
    }

    /// Returns the number of bytes that may have been fetched ahead for the started partitions.
    pub(super) fn bytes(&self) -> usize {
        self.open.load(Ordering::Relaxed).min(self.max) * FETCHED_AHEAD_BYTES
    }

    /// Returns how many partitions one reader may keep started, so that a reader with many partitions leaves slots for the
    /// others.
    pub(super) fn per_reader_limit(&self) -> usize {
        self.max / self.readers.load(Ordering::Relaxed).max(1)
    }

    /// Counts a slot beyond the limit: a reader that has nothing to stop still needs the one partition that it reads.
    pub(super) fn acquire_beyond_limit(&self) {
        self.open.fetch_add(1, Ordering::Relaxed);
    }

    /// Gives a slot back.
    pub(super) fn release(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Bytes that a started partition may hold fetched ahead: a full queue, and one fetch or one record more.
const FETCHED_AHEAD_BYTES: usize = 2 << 20;
