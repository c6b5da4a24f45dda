//! Counting the bytes of batches until they are dropped: by a ring, a catch-up cache, or a client whose socket takes
//! nothing.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use bytes::Bytes;
use parking_lot::Mutex;

/// The bytes of all batches of a process that have not been dropped yet.
///
/// Rings and catch-up caches drop batches when there are too many. What sockets have not taken yet cannot be taken
/// back: while that alone is half of the limit, batches are small.
#[derive(Debug)]
pub(super) struct BytesTracker {
    limit: usize,
    /// The bytes of all batches.
    bytes: AtomicUsize,
    /// The bytes of the batches in rings and catch-up caches.
    kept: AtomicUsize,
    /// How many batches hold the lines of each large event, by address and length. The lines count once.
    shared: Mutex<HashMap<(usize, usize), usize>>,
}

impl BytesTracker {
    /// Creates a tracker whose batches should take at most `limit` bytes.
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit,
            bytes: AtomicUsize::new(0),
            kept: AtomicUsize::new(0),
            shared: Mutex::default(),
        })
    }

    /// Counts `text` until the last clone of the returned bytes is dropped.
    pub(super) fn track(self: &Arc<Self>, text: Vec<u8>) -> Bytes {
        if text.is_empty() {
            return Bytes::new();
        }
        self.bytes.fetch_add(text.len(), Relaxed);
        Bytes::from_owner(TrackedBytes {
            bytes: text,
            is_shared: false,
            tracker: Arc::clone(self),
        })
    }

    /// Counts the lines of a large event until the last clone of the returned bytes is dropped. Lines that several
    /// batches share count once.
    pub(super) fn track_shared(self: &Arc<Self>, lines: Bytes) -> Bytes {
        let mut shared = self.shared.lock();
        let holders = shared.entry(lines_id(&lines)).or_default();
        if *holders == 0 {
            self.bytes.fetch_add(lines.len(), Relaxed);
        }
        *holders += 1;
        drop(shared);
        Bytes::from_owner(TrackedBytes {
            bytes: lines,
            is_shared: true,
            tracker: Arc::clone(self),
        })
    }

    /// Returns the bytes of all batches.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Relaxed)
    }

    /// Records that rings and catch-up caches keep `added` bytes more, and `freed` bytes less.
    pub(super) fn account_kept(&self, added: usize, freed: usize) {
        self.kept.fetch_add(added, Relaxed);
        self.kept.fetch_sub(freed, Relaxed);
    }

    /// Returns the bytes that are neither in a ring nor in a catch-up cache.
    pub(super) fn bytes_outside_caches(&self) -> usize {
        self.bytes().saturating_sub(self.kept.load(Relaxed))
    }

    /// Returns whether batches take a quarter of the limit. Below that, clients cannot hold too much.
    pub(super) fn is_under_pressure(&self) -> bool {
        self.bytes() >= self.limit / 4
    }

    /// Returns the most bytes of a batch of several events.
    ///
    /// A batch may be the last that its client takes for a minute. While sockets hold half of the limit, every further
    /// one is given little; no other client waits for those that do not read.
    pub(super) fn max_batch_bytes(&self) -> usize {
        if self.bytes_outside_caches() >= self.limit / 2 {
            SMALL_BATCH_BYTES
        } else {
            MAX_BATCH_BYTES
        }
    }

    /// Removes one of the batches that hold these lines. Returns whether it was the last.
    fn remove_holder(&self, lines: &[u8]) -> bool {
        let mut shared = self.shared.lock();
        let Entry::Occupied(mut holders) = shared.entry(lines_id(lines)) else {
            return false;
        };
        *holders.get_mut() -= 1;
        let is_last = *holders.get() == 0;
        if is_last {
            holders.remove();
        }
        is_last
    }
}

/// Bytes that are counted until they are dropped.
struct TrackedBytes<T: AsRef<[u8]>> {
    bytes: T,
    /// Whether these are lines that several batches may hold.
    is_shared: bool,
    tracker: Arc<BytesTracker>,
}

impl<T: AsRef<[u8]>> AsRef<[u8]> for TrackedBytes<T> {
    fn as_ref(&self) -> &[u8] {
        self.bytes.as_ref()
    }
}

impl<T: AsRef<[u8]>> Drop for TrackedBytes<T> {
    fn drop(&mut self) {
        let bytes = self.bytes.as_ref();
        if !self.is_shared || self.tracker.remove_holder(bytes) {
            self.tracker.bytes.fetch_sub(bytes.len(), Relaxed);
        }
    }
}

/// Returns a key for `lines` that is unique while they exist.
fn lines_id(lines: &[u8]) -> (usize, usize) {
    (lines.as_ptr().addr(), lines.len())
}

/// The most bytes of a batch of several events: large enough that a replay needs few writes, small enough that a slow
/// client holds little. The design allows at most 64 KiB, or one event.
pub(super) const MAX_BATCH_BYTES: usize = 64 * 1024;

/// The most bytes of a batch while sockets hold a lot: a few events of the usual size.
const SMALL_BATCH_BYTES: usize = 4 * 1024;
