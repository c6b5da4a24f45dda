//! Counts the bytes of what was composed for as long as anybody holds them: a ring, a catch-up cache, or a client whose socket takes nothing.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use bytes::Bytes;
use parking_lot::Mutex;

/// The texts of a process that are composed and not dropped yet.
///
/// Rings and catch-up caches give up what they keep when there is too much of it. What sockets have not taken yet nobody can take back:
/// while that alone is half of the limit, batches are small.
#[derive(Debug)]
pub(super) struct BytesTracker {
    limit: usize,
    /// All of them, in bytes.
    bytes: AtomicUsize,
    /// What rings and catch-up caches keep of them, in bytes.
    kept: AtomicUsize,
    /// How many hold the lines of each large event, by address and length: they count once.
    shared: Mutex<HashMap<(usize, usize), usize>>,
}

impl BytesTracker {
    /// None yet, of `limit` bytes at most.
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit,
            bytes: AtomicUsize::new(0),
            kept: AtomicUsize::new(0),
            shared: Mutex::default(),
        })
    }

    /// Counts a text until the last copy of what this returns is dropped.
    pub(super) fn track(self: &Arc<Self>, text: Vec<u8>) -> Bytes {
        if text.is_empty() {
            return Bytes::new();
        }
        self.bytes.fetch_add(text.len(), Relaxed);
        Bytes::from_owner(TrackedText {
            text,
            tracker: Arc::clone(self),
        })
    }

    /// Counts the lines of a large event, once however many share them, until the last copy of what this returns is dropped.
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

    /// All of them, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Relaxed)
    }

    /// Notes that rings and catch-up caches keep so many bytes more, and less.
    pub(super) fn account_kept(&self, added: usize, freed: usize) {
        self.kept.fetch_add(added, Relaxed);
        self.kept.fetch_sub(freed, Relaxed);
    }

    /// What is neither in a ring nor on a catch-up cache, in bytes.
    pub(super) fn bytes_outside_caches(&self) -> usize {
        self.bytes().saturating_sub(self.kept.load(Relaxed))
    }

    /// Whether they are a quarter of the limit: as long as they are not, what clients hold cannot be too much.
    pub(super) fn is_under_pressure(&self) -> bool {
        self.bytes() >= self.limit / 4
    }

    /// The most bytes of a batch of several events.
    ///
    /// A batch may be the last that its client takes for a minute. While sockets hold half of the limit, each more of them gets
    /// little; nobody waits for those who do not read.
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

/// A text that is counted while this lives.
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
        self.tracker.release(self.text.len());
    }
}

/// The lines of a large event, which are counted while any like this lives.
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

/// Names lines for as long as anybody holds them.
fn lines_id(lines: &Bytes) -> (usize, usize) {
    (lines.as_ptr().addr(), lines.len())
}

/// The most bytes of a batch of several events: large enough that a replay costs few writes, small enough that a client that reads
/// slowly holds little. DESIGN: at most 64 KiB, or one event.
pub(super) const MAX_BATCH_BYTES: usize = 64 * 1024;

/// The same while sockets hold a lot: a few events of the usual size.
const SMALL_BATCH_BYTES: usize = 4 * 1024;
