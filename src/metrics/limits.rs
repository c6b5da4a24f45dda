//! Metrics of the `limits` module.
//!
//! Not here: the limits (`limits`).

use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use super::{Label, metric_set};

metric_set! {
    /// Admissions and refusals.
    pub struct LimitMetrics {
        /// Streams that count against the limits.
        pub admitted: Gauge = "streams_admitted", "Streams that count against the limits now";
        refusals: Family<Label<&'static str>, Counter> = "refusals",
            "Requests refused by the limits, by reason";
        /// Refusals that were delayed on purpose.
        pub held_back: Counter = "refusals_held_back", "Refusals delayed by the tarpit";
        /// Requests whose trusted proxy does not report the client address.
        pub unforwarded: Counter = "http_unforwarded",
            "Requests of a trusted proxy whose headers do not name the client; all of them count as one \
             client per proxy";
        /// Connections without a stream.
        pub waiting: Gauge = "http_connections_without_stream",
            "Connections that have sent no request yet, or are between two requests";
        sent_away: Family<Label<&'static str>, Counter> = "http_connections_sent_away",
            "Connections without a stream closed to make room for newer ones, by where there were too \
             many: of one client, of the host or of the admin listener";
        /// Admin connections without a request.
        pub admin_waiting: Gauge = "http_admin_connections",
            "Connections to the admin listener that have sent no request yet, or are between two requests";
    }
}

impl LimitMetrics {
    /// Registers all metrics.
    pub fn register(registry: &mut Registry) -> Self {
        let own = Self::default();
        own.add_to(registry);
        own
    }

    /// Counts a request that was over a limit. `reason` is one of a few fixed words.
    pub fn refused(&self, reason: &'static str) {
        self.refusals.get_or_create(&[("reason", reason)]).inc();
    }

    /// Counts a connection without a stream that was evicted. `reason` is one of a few fixed words.
    pub fn sent_away(&self, reason: &'static str) {
        self.sent_away.get_or_create(&[("reason", reason)]).inc();
    }
}
