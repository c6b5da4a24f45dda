//! The open streams of one client.

use std::{fmt, sync::Weak, time::Duration};

use tokio::time::Instant;

use super::quotas::QuotaGuard;

/// What limits may ask of a stream that was let in, and tell it.
pub trait Evictable: Send + Sync {
    /// Whether its client is gone without a word: for longer than a heartbeat it has acknowledged nothing of what was sent.
    fn is_dead(&self) -> bool;

    /// Ends it. Its place is given to somebody else at once; told twice, it need not do more.
    fn evict(&self, why: EvictReason);
}

/// Why a stream that was let in has to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EvictReason {
    /// Its client is gone, and is back on another connection.
    Dead,
    /// The host is full, its client has more than others, and somebody has none.
    HostFull,
}

/// One open stream.
pub(super) struct StreamSlot {
    /// Larger than that of every stream let in before, on the whole host.
    pub(super) number: u64,
    pub(super) opened: Instant,
    pub(super) stream: Weak<dyn Evictable>,
    /// Held for its drop.
    pub(super) _quota: QuotaGuard,
}

/// A stream, and what it is found by in its holder.
pub(super) type NumberedStream = (u64, Weak<dyn Evictable>);

impl StreamSlot {
    fn numbered(&self) -> NumberedStream {
        (self.number, Weak::clone(&self.stream))
    }
}

impl fmt::Debug for StreamSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamSlot")
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}

/// The open streams of one client, oldest first; never none.
#[derive(Debug)]
pub(super) struct ClientStreams(Vec<StreamSlot>);

impl ClientStreams {
    pub(super) fn new(first: StreamSlot) -> Self {
        // Not by pushing, which makes room for four: most clients have one.
        Self(vec![first])
    }

    pub(super) fn len(&self) -> u32 {
        self.0.len() as u32
    }

    pub(super) fn push(&mut self, slot: StreamSlot) {
        self.0.push(slot);
    }

    /// Takes one out, if it is still there. Whoever takes the last one removes the holder.
    pub(super) fn remove(&mut self, number: u64) -> Option<StreamSlot> {
        let at = self.0.binary_search_by_key(&number, |slot| slot.number).ok()?;
        Some(self.0.remove(at))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The stream that was opened last.
    pub(super) fn newest(&self) -> Option<NumberedStream> {
        self.0.last().map(StreamSlot::numbered)
    }

    /// How long ago the oldest and the newest were opened.
    pub(super) fn ages(&self) -> Option<(Duration, Duration)> {
        let (oldest, newest) = (self.0.first()?, self.0.last()?);
        Some((oldest.opened.elapsed(), newest.opened.elapsed()))
    }

    /// At most `most` of the streams, in a row from any of them on.
    pub(super) fn sample(&self, most: usize) -> Vec<NumberedStream> {
        let from = if self.0.len() > most {
            fastrand::usize(..self.0.len())
        } else {
            0
        };
        let slots = self.0[from..].iter().chain(&self.0[..from]).take(most);
        slots.map(StreamSlot::numbered).collect()
    }
}
