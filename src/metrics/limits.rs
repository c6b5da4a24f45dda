//! Metrics of the `limits` module.
//!
//! Not here: the limits (`limits`).

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

/// Admissions and refusals.
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
    /// Registers all metrics.
    pub fn register(registry: &mut Registry) -> Self {
        let own = Self::default();
        registry.register(
            "streams_admitted",
            "Streams that count against the limits now",
            own.admitted.clone(),
        );
        registry.register(
            "refusals",
            "Requests refused by the limits, by reason",
            own.refusals.clone(),
        );
        registry.register(
            "refusals_held_back",
            "Refusals delayed by the tarpit",
            own.held_back.clone(),
        );
        registry.register(
            "http_unforwarded",
            "Requests of a trusted proxy whose headers do not name the client; all of them count as one \
             client per proxy",
            own.unforwarded.clone(),
        );
        registry.register(
            "http_connections_without_stream",
            "Connections that have sent no request yet, or are between two requests",
            own.waiting.clone(),
        );
        registry.register(
            "http_connections_sent_away",
            "Connections without a stream closed to make room for newer ones, by where there were too many: \
             of one client, of the host or of the admin listener",
            own.sent_away.clone(),
        );
        registry.register(
            "http_admin_connections",
            "Connections to the admin listener that have sent no request yet, or are between two requests",
            own.admin_waiting.clone(),
        );
        own
    }

    /// Counts an admitted stream.
    pub fn admitted(&self) {
        self.admitted.inc();
    }

    /// Counts a stream that has ended and freed its slot.
    pub fn released(&self) {
        self.admitted.dec();
    }

    /// Counts a request that was over a limit. `reason` is one of a few fixed words.
    pub fn refused(&self, reason: &'static str) {
        self.refusals.get_or_create(&ReasonLabel { reason }).inc();
    }

    /// Counts a refusal that is delayed on purpose.
    pub fn held_back(&self) {
        self.held_back.inc();
    }

    /// Sets the number of connections without a stream.
    pub fn set_waiting(&self, count: usize) {
        self.waiting.set(count as i64);
    }

    /// Sets the number of admin connections without a request.
    pub fn set_admin_waiting(&self, count: usize) {
        self.admin_waiting.set(count as i64);
    }

    /// Counts a connection without a stream that was evicted. `reason` is one of a few fixed words.
    pub fn sent_away(&self, reason: &'static str) {
        self.sent_away.get_or_create(&ReasonLabel { reason }).inc();
    }

    /// Counts a request whose trusted proxy does not report the client address.
    pub fn unforwarded(&self) {
        self.unforwarded.inc();
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}
