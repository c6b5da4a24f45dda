//! The counts that a crowd's thread shares while it runs.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counts over all clients.
#[derive(Debug, Default)]
pub struct ClientCounts {
    /// The number of connections whose stream has not begun.
    pub coming: AtomicU64,
    /// The number of streams that have begun and not ended.
    pub here: AtomicU64,
    /// The number of streams that ended without being closed by the client.
    pub ended: AtomicU64,
    /// The number of these that ended behind an event, with the last chunk. Only clients whose events are checked count.
    pub ended_whole: AtomicU64,
    /// The number of connections that got no stream.
    pub refused: AtomicU64,
    /// The number of bytes read, including heads and frames.
    pub bytes: AtomicU64,
    /// The number of bytes read by checked clients.
    pub judged_bytes: AtomicU64,
    /// The number of events of checked clients.
    pub judged_events: AtomicU64,
    /// The highest number that any client received.
    pub newest: AtomicU64,
    /// The number of gap events.
    pub gaps: AtomicU64,
    /// The number of TLS handshakes that began a session.
    pub full_handshakes: AtomicU64,
    /// The number of TLS handshakes that resumed one.
    pub resumed_handshakes: AtomicU64,
}

/// What was delivered up to a moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct DeliveredCounts {
    /// The bytes of all clients.
    pub bytes: u64,
    judged_bytes: u64,
    judged_events: u64,
}

impl ClientCounts {
    /// Returns the number of streams that ended and connections that got none, without those that
    /// reconnected.
    pub fn gone(&self) -> u64 {
        self.ended.load(Relaxed) + self.refused.load(Relaxed)
    }

    /// Returns the counts up to now.
    pub fn delivered(&self) -> DeliveredCounts {
        DeliveredCounts {
            bytes: self.bytes.load(Relaxed),
            judged_bytes: self.judged_bytes.load(Relaxed),
            judged_events: self.judged_events.load(Relaxed),
        }
    }

    pub(super) fn shaken(&self, resumed: bool) {
        let count = if resumed {
            &self.resumed_handshakes
        } else {
            &self.full_handshakes
        };
        count.fetch_add(1, Relaxed);
    }

    pub(super) fn judged(&self, events: u64, bytes: usize, newest: u64) {
        self.judged_events.fetch_add(events, Relaxed);
        self.judged_bytes.fetch_add(bytes as u64, Relaxed);
        self.newest.fetch_max(newest, Relaxed);
    }
}

impl DeliveredCounts {
    /// Returns the difference to `before`.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self {
            bytes: self.bytes - before.bytes,
            judged_bytes: self.judged_bytes - before.judged_bytes,
            judged_events: self.judged_events - before.judged_events,
        }
    }

    /// Returns the number of events of all clients: counted if all are checked, otherwise estimated from
    /// their bytes and those of the checked clients.
    pub fn events(self) -> f64 {
        if self.judged_bytes == 0 {
            return 0.0;
        }
        self.judged_events as f64 * (self.bytes as f64 / self.judged_bytes as f64)
    }

    /// Returns the number of bytes per event on the wire.
    pub fn event_bytes(self) -> f64 {
        self.judged_bytes as f64 / (self.judged_events as f64).max(1.0)
    }
}
