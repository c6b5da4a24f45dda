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

use super::buffer_pool::{BUFFER_BYTES, BufferPool, MIN_TEXT_BYTES};

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
    /// Where the buffers of catch-up batches come from and go back to.
    buffers: BufferPool,
}

impl BytesTracker {
    /// Creates a tracker whose batches should take at most `limit` bytes.
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit,
            bytes: AtomicUsize::new(0),
            kept: AtomicUsize::new(0),
            shared: Mutex::default(),
            buffers: BufferPool::default(),
        })
    }

    /// Returns an empty buffer for a batch of about [`MAX_BATCH_BYTES`].
    pub(super) fn buffer(&self) -> Vec<u8> {
        self.buffers.take()
    }

    /// Returns `text` in memory of its own size. A [`buffer`](Self::buffer) that is nearly full stays as it is; one that
    /// is not goes back.
    pub(super) fn fit(&self, mut text: Vec<u8>) -> Vec<u8> {
        if text.capacity() != BUFFER_BYTES {
            text.shrink_to_fit();
            return text;
        }
        if text.len() >= MIN_TEXT_BYTES {
            return text;
        }
        let fitting = text.as_slice().to_vec();
        self.buffers.put(text);
        fitting
    }

    /// Counts the memory of `text` until the last clone of the returned bytes is dropped.
    pub(super) fn track(self: &Arc<Self>, text: Vec<u8>) -> Bytes {
        if text.is_empty() {
            return Bytes::new();
        }
        self.bytes.fetch_add(text.capacity(), Relaxed);
        Bytes::from_owner(TrackedText {
            text,
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
        Bytes::from_owner(TrackedLines {
            lines,
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

    fn release(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Relaxed);
    }
}

/// Text that is counted until it is dropped.
struct TrackedText {
    text: Vec<u8>,
    tracker: Arc<BytesTracker>,
}

impl AsRef<[u8]> for TrackedText {
    fn as_ref(&self) -> &[u8] {
        &self.text
    }
}

impl Drop for TrackedText {
    fn drop(&mut self) {
        let text = std::mem::take(&mut self.text);
        self.tracker.release(text.capacity());
        self.tracker.buffers.put(text);
    }
}

/// The lines of a large event, counted until the last holder is dropped.
struct TrackedLines {
    lines: Bytes,
    tracker: Arc<BytesTracker>,
}

impl AsRef<[u8]> for TrackedLines {
    fn as_ref(&self) -> &[u8] {
        &self.lines
    }
}

impl Drop for TrackedLines {
    fn drop(&mut self) {
        let mut shared = self.tracker.shared.lock();
        let Entry::Occupied(mut holders) = shared.entry(lines_id(&self.lines)) else {
            return;
        };
        *holders.get_mut() -= 1;
        if *holders.get() == 0 {
            holders.remove();
            drop(shared);
            self.tracker.release(self.lines.len());
        }
    }
}

/// Returns a key for `lines` that is unique while they exist.
fn lines_id(lines: &Bytes) -> (usize, usize) {
    (lines.as_ptr().addr(), lines.len())
}

/// The most bytes of a batch of several events: large enough that a replay needs few writes, small enough that a slow
/// client holds little. The design allows at most 64 KiB, or one event.
pub(super) const MAX_BATCH_BYTES: usize = BUFFER_BYTES;

/// The most bytes of a batch while sockets hold a lot: a few events of the usual size.
const SMALL_BATCH_BYTES: usize = 4 * 1024;
