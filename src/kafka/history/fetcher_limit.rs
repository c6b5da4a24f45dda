//! Limit on what the readers of one cluster have fetched ahead, and so on the memory that librdkafka's fetch queues hold.
//!
//! Not here: which partitions are started and stopped (`fetchers`).

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// The bytes that the started partitions of all readers of a cluster may have fetched ahead, beyond those of the one that each
/// reader is reading.
#[derive(Debug)]
pub(super) struct FetcherLimit {
    pub(super) reserved: AtomicUsize,
    max: usize,
    readers: AtomicUsize,
}

impl FetcherLimit {
    /// Creates a limit of half of `budget` bytes. Each reader may still read one partition.
    pub(super) fn new(budget: usize) -> Arc<Self> {
        Arc::new(Self {
            reserved: AtomicUsize::new(0),
            max: budget / 2,
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

    /// Reserves `bytes` for a partition. Returns `false` if they exceed the limit.
    pub(super) fn try_acquire(&self, bytes: usize) -> bool {
        self.reserved
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |reserved| {
                let reserved = reserved.checked_add(bytes)?;
                (reserved <= self.max).then_some(reserved)
            })
            .is_ok()
    }

    /// Returns whether `bytes` more would be within the limit.
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        self.reserved.load(Ordering::Relaxed).saturating_add(bytes) <= self.max
    }

    /// Returns the number of bytes that may have been fetched ahead for the started partitions.
    pub(super) fn bytes(&self) -> usize {
        self.reserved.load(Ordering::Relaxed).min(self.max)
    }

    /// Returns how many bytes one reader may reserve for partitions that are read next, so that a reader with many partitions
    /// leaves some for the others.
    pub(super) fn per_reader_limit(&self) -> usize {
        self.max / self.readers.load(Ordering::Relaxed).max(1)
    }

    /// Reserves `bytes` beyond the limit: a reader that has nothing to stop still needs the one partition that it reads.
    pub(super) fn acquire_beyond_limit(&self, bytes: usize) {
        self.reserved.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Gives `bytes` back.
    pub(super) fn release(&self, bytes: usize) {
        self.reserved.fetch_sub(bytes, Ordering::Relaxed);
    }
}
