//! The open streams of one client.
//!
//! Not here: the table of all clients (`open_streams`).

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::time::Instant;

use super::quotas::QuotaGuard;

/// An admitted stream, as far as the limits can query and end it.
pub trait Evictable: Send + Sync {
    /// Returns whether the client is gone without closing: it has acknowledged nothing that was sent for longer than a heartbeat.
    fn is_dead(&self) -> bool;

    /// Ends the stream. Its slot is given to another stream at once. A second call may do nothing.
    fn evict(&self, why: EvictReason);
}

/// Why an admitted stream is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EvictReason {
    /// Its client is gone, and is back on another connection.
    Dead,
    /// The host is full, its client has more streams than others, and a client without any asks for one.
    HostFull,
    /// The credential that it came with was revoked.
    Revoked,
    /// The credential that it came with is not accepted any more, by its own time.
    Expired,
    /// One of its streams is not in the catalog any more.
    Removed,
    /// Its client may not read one of its streams any more.
    AccessEnded,
    /// One of its streams gives other records now. Its client gets them when it comes back.
    Changed,
}

/// One open stream.
#[derive(Debug)]
pub(super) struct StreamSlot {
    /// Larger than the number of every stream that was admitted before, on the whole host.
    pub(super) number: u64,
    pub(super) opened: Instant,
    pub(super) stream: Weak<dyn Evictable>,
    /// The name of the principal that it is for, if its client has one. It takes one word, because most have none.
    pub(super) principal: Option<Arc<String>>,
    /// Held only for its drop.
    pub(super) _quota: QuotaGuard,
}

/// A stream, and its number among the streams of its client.
pub(super) type NumberedStream = (u64, Weak<dyn Evictable>);

impl StreamSlot {
    fn numbered(&self) -> NumberedStream {
        (self.number, Weak::clone(&self.stream))
    }
}

/// The open streams of one client, oldest first. Never empty.
#[derive(Debug)]
pub(super) struct ClientStreams(Vec<StreamSlot>);

impl ClientStreams {
    pub(super) fn new(first: StreamSlot) -> Self {
        // `vec!` and not `push`, which would allocate for four: most clients have one.
        Self(vec![first])
    }

    pub(super) fn len(&self) -> u32 {
        self.0.len() as u32
    }

    /// Adds a stream. Returns its number.
    pub(super) fn push(&mut self, slot: StreamSlot) -> u64 {
        let number = slot.number;
        self.0.push(slot);
        number
    }

    /// Removes and returns a stream. Returns `None` if it is gone already. The caller drops the whole list when it is empty.
    pub(super) fn remove(&mut self, number: u64) -> Option<StreamSlot> {
        let at = self.0.binary_search_by_key(&number, |slot| slot.number).ok()?;
        Some(self.0.remove(at))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the stream that was opened last.
    pub(super) fn newest(&self) -> Option<NumberedStream> {
        self.0.last().map(StreamSlot::numbered)
    }

    /// Returns the name of the principal of the newest stream.
    pub(super) fn principal(&self) -> Option<&str> {
        self.0.last()?.principal.as_deref().map(String::as_str)
    }

    /// Returns the ages of the oldest and of the newest stream.
    pub(super) fn ages(&self) -> Option<(Duration, Duration)> {
        let (oldest, newest) = (self.0.first()?, self.0.last()?);
        Some((oldest.opened.elapsed(), newest.opened.elapsed()))
    }

    /// Returns at most `most` streams, consecutive ones from a random start.
    pub(super) fn sample(&self, most: usize) -> Vec<NumberedStream> {
        let count = self.0.len();
        let from = if count > most { fastrand::usize(..count) } else { 0 };
        let slots = self.0[from..].iter().chain(&self.0[..from]).take(most);
        slots.map(StreamSlot::numbered).collect()
    }
}
