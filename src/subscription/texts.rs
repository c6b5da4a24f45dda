//! Counts the bytes of what was composed for as long as anybody holds them: a ring, a shelf, or a client whose socket takes nothing.

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
/// Rings and shelves give up what they keep when there is too much of it. What sockets have not taken yet nobody can take back:
/// while that alone is half of the limit, batches are small.
#[derive(Debug)]
pub(super) struct Texts {
    limit: usize,
    /// All of them, in bytes.
    bytes: AtomicUsize,
    /// What rings and shelves keep of them, in bytes.
    kept: AtomicUsize,
    /// How many hold the lines of each large event, by address and length: they count once.
    shared: Mutex<HashMap<(usize, usize), usize>>,
}

impl Texts {
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
    pub(super) fn count(self: &Arc<Self>, text: Vec<u8>) -> Bytes {
        if text.is_empty() {
            return Bytes::new();
        }
        self.bytes.fetch_add(text.len(), Relaxed);
        Bytes::from_owner(Text {
            text,
            texts: Arc::clone(self),
        })
    }

    /// Counts the lines of a large event, once however many share them, until the last copy of what this returns is dropped.
    pub(super) fn share(self: &Arc<Self>, lines: Bytes) -> Bytes {
        let mut shared = self.shared.lock();
        let holders = shared.entry(name(&lines)).or_default();
        if *holders == 0 {
            self.bytes.fetch_add(lines.len(), Relaxed);
        }
        *holders += 1;
        drop(shared);
        Bytes::from_owner(Lines {
            lines,
            texts: Arc::clone(self),
        })
    }

    /// All of them, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Relaxed)
    }

    /// Notes that rings and shelves keep so many bytes more, and less.
    pub(super) fn keep(&self, added: usize, freed: usize) {
        self.kept.fetch_add(added, Relaxed);
        self.kept.fetch_sub(freed, Relaxed);
    }

    /// What is neither in a ring nor on a shelf, in bytes.
    pub(super) fn outside(&self) -> usize {
        self.bytes().saturating_sub(self.kept.load(Relaxed))
    }

    /// Whether they are a quarter of the limit: as long as they are not, what clients hold cannot be too much.
    pub(super) fn are_many(&self) -> bool {
        self.bytes() >= self.limit / 4
    }

    /// The most bytes of a batch of several events.
    ///
    /// A batch may be the last that its client takes for a minute. While sockets hold half of the limit, each more of them gets
    /// little; nobody waits for those who do not read.
    pub(super) fn batch(&self) -> usize {
        if self.outside() >= self.limit / 2 {
            SMALL
        } else {
            BATCH
        }
    }

    fn release(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Relaxed);
    }
}

/// A text that is counted while this lives.
struct Text {
    text: Vec<u8>,
    texts: Arc<Texts>,
}

impl AsRef<[u8]> for Text {
    fn as_ref(&self) -> &[u8] {
        &self.text
    }
}

impl Drop for Text {
    fn drop(&mut self) {
        self.texts.release(self.text.len());
    }
}

/// The lines of a large event, which are counted while any like this lives.
struct Lines {
    lines: Bytes,
    texts: Arc<Texts>,
}

impl AsRef<[u8]> for Lines {
    fn as_ref(&self) -> &[u8] {
        &self.lines
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        let mut shared = self.texts.shared.lock();
        let Entry::Occupied(mut holders) = shared.entry(name(&self.lines)) else {
            return;
        };
        *holders.get_mut() -= 1;
        if *holders.get() == 0 {
            holders.remove();
            drop(shared);
            self.texts.release(self.lines.len());
        }
    }
}

/// Names lines for as long as anybody holds them.
fn name(lines: &Bytes) -> (usize, usize) {
    (lines.as_ptr().addr(), lines.len())
}

/// The most bytes of a batch of several events: large enough that a replay costs few writes, small enough that a client that reads
/// slowly holds little. DESIGN: at most 64 KiB, or one event.
pub(super) const BATCH: usize = 64 * 1024;

/// The same while sockets hold a lot: a few events of the usual size.
const SMALL: usize = 4 * 1024;
