//! What a crowd's thread tells others while it works.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counts over all clients.
#[derive(Debug, Default)]
pub struct ClientCounts {
    /// Connections whose stream has not begun.
    pub coming: AtomicU64,
    /// Streams that have begun and not ended.
    pub here: AtomicU64,
    /// Streams that ended without being left.
    pub ended: AtomicU64,
    /// Connections that got no stream.
    pub refused: AtomicU64,
    /// Bytes read, heads and frames and all.
    pub bytes: AtomicU64,
    /// Of them, those of clients that are judged.
    pub judged_bytes: AtomicU64,
    /// Events of clients that are judged.
    pub judged_events: AtomicU64,
    /// The highest number that anybody got.
    pub newest: AtomicU64,
    /// Gap events.
    pub gaps: AtomicU64,
}

/// What was delivered up to a moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct DeliveredCounts {
    /// Bytes of all clients.
    pub bytes: u64,
    judged_bytes: u64,
    judged_events: u64,
}

impl ClientCounts {
    /// Streams that ended and connections that got none, without those that came back.
    pub fn gone(&self) -> u64 {
        self.ended.load(Relaxed) + self.refused.load(Relaxed)
    }

    /// Up to now.
    pub fn delivered(&self) -> DeliveredCounts {
        DeliveredCounts {
            bytes: self.bytes.load(Relaxed),
            judged_bytes: self.judged_bytes.load(Relaxed),
            judged_events: self.judged_events.load(Relaxed),
        }
    }

    pub(super) fn judged(&self, events: u64, bytes: usize, newest: u64) {
        self.judged_events.fetch_add(events, Relaxed);
        self.judged_bytes.fetch_add(bytes as u64, Relaxed);
        self.newest.fetch_max(newest, Relaxed);
    }
}

impl DeliveredCounts {
    /// What came since `before`.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self {
            bytes: self.bytes - before.bytes,
            judged_bytes: self.judged_bytes - before.judged_bytes,
            judged_events: self.judged_events - before.judged_events,
        }
    }

    /// Events of all clients: counted where all are judged, else as many bytes as those of the judged make.
    pub fn events(self) -> f64 {
        if self.judged_bytes == 0 {
            return 0.0;
        }
        self.judged_events as f64 * (self.bytes as f64 / self.judged_bytes as f64)
    }

    /// Bytes of an event on the wire.
    pub fn event_bytes(self) -> f64 {
        self.judged_bytes as f64 / (self.judged_events as f64).max(1.0)
    }
}
