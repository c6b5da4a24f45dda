//! What `limits` counts.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

/// Who was let in, and who was not.
#[derive(Clone, Debug, Default)]
pub struct LimitMetrics {
    admitted: Gauge,
    refusals: Family<ReasonLabel, Counter>,
    held_back: Counter,
    unforwarded: Counter,
    waiting: Gauge,
    admin_waiting: Gauge,
    sent_away: Family<ReasonLabel, Counter>,
}

impl LimitMetrics {
    /// Registers all of them.
    pub fn register(registry: &mut Registry) -> Self {
        let own = Self::default();
        registry.register(
            "streams_admitted",
            "Streams that count against the limits now",
            own.admitted.clone(),
        );
        registry.register(
            "refusals",
            "Requests over a limit, by which",
            own.refusals.clone(),
        );
        registry.register(
            "refusals_held_back",
            "Refusals that were answered late on purpose",
            own.held_back.clone(),
        );
        registry.register(
            "http_unforwarded",
            "Requests of a trusted proxy whose headers do not tell for whom; they count as somebody behind that proxy",
            own.unforwarded.clone(),
        );
        registry.register(
            "http_connections_without_stream",
            "Connections that have asked nothing yet, or are between two requests",
            own.waiting.clone(),
        );
        registry.register(
            "http_connections_sent_away",
            "Connections without a stream that had to go for newer ones: their own client had too many, or the host, or the \
             admin listener",
            own.sent_away.clone(),
        );
        registry.register(
            "http_admin_connections",
            "Connections to the admin listener that have asked nothing yet, or are between two requests",
            own.admin_waiting.clone(),
        );
        own
    }

    /// Counts a stream that was let in.
    pub fn admitted(&self) {
        self.admitted.inc();
    }

    /// Counts a stream whose slot is free again.
    pub fn released(&self) {
        self.admitted.dec();
    }

    /// Counts a request that was over a limit; `reason` is one of a few words of ours.
    pub fn refused(&self, reason: &'static str) {
        self.refusals.get_or_create(&ReasonLabel { reason }).inc();
    }

    /// Counts a refusal that is answered late.
    pub fn held_back(&self) {
        self.held_back.inc();
    }

    /// How many connections have no stream.
    pub fn set_waiting(&self, count: usize) {
        self.waiting.set(count as i64);
    }

    /// How many connections to the admin listener wait.
    pub fn set_admin_waiting(&self, count: usize) {
        self.admin_waiting.set(count as i64);
    }

    /// Counts a connection without a stream that had to go; `reason` is one of a few words of ours.
    pub fn sent_away(&self, reason: &'static str) {
        self.sent_away.get_or_create(&ReasonLabel { reason }).inc();
    }

    /// Counts a request of which a trusted proxy does not say for whom it is.
    pub fn unforwarded(&self) {
        self.unforwarded.inc();
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}
