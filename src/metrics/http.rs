//! Metrics of the `http` module.
//!
//! Not here: what is measured when (`http`).

use std::{collections::HashMap, fmt, sync::Arc};

use parking_lot::Mutex;
use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use super::{EventStreamsMetrics, Label, metric_set};

metric_set! {
    /// HTTP metrics, summed over all streams or labelled by stream.
    pub struct HttpMetrics {
        open: Family<Label<String>, Gauge> = "streams_open", "Streams that clients read now";
        /// Open streams that wait for Kafka.
        pub held: Gauge = "streams_held", "Open streams that wait for Kafka";
        started: Family<StartLabels, Counter> = "streams_started", "Streams started, by starting point";
        ended: Family<EndLabels, Counter> = "streams_ended", "Streams ended, by reason";
        events: Family<Label<String>, Counter> = "events_sent", "Events written to clients";
        bytes: Family<Label<String>, Counter> = "bytes_sent", "Bytes of streams written to clients";
        gaps: Family<Label<&'static str>, Counter> = "gaps_sent", "Gaps reported to clients, by reason";
        responses: Family<Label<u16>, Counter> = "http_responses", "HTTP responses, by status";
        /// Open connections.
        pub connections: Gauge = "http_connections", "Connections open now";
        /// Requests that panicked.
        pub panics: Counter = "http_panics", "Requests that panicked, which is a bug in riverhead";
        /// Failures to accept a connection.
        pub accept_failures: Counter = "http_accept_failures", "Failed attempts to accept a connection";
        turned_away: Family<Label<ConnectionRefusal>, Counter> = "http_connections_turned_away",
            "Connections closed because their PROXY header was missing, malformed or from an untrusted \
             peer, by reason";
        admin_refusals: Family<Label<AdminRefusal>, Counter> = "admin_refusals",
            "Requests that the admin listener refused because of their host, origin or token, by reason";
        /// Connections that hyper returned, so that their stream is written to the bare socket.
        pub taken_over: Counter = "http_connections_taken_over",
            "Connections taken over from hyper, so that their stream is written directly to the socket";
        /// The metrics of EventStreams, if they are asked for.
        pub eventstreams: Option<EventStreamsMetrics>;
        /// The streams that were used so far, by name.
        streams: Arc<Mutex<HashMap<String, Arc<StreamMetrics>>>>;
    }
}

impl HttpMetrics {
    /// Registers all metrics.
    pub fn register(registry: &mut Registry) -> Self {
        let own = Self::default();
        own.add_to(registry);
        // Created at start, so that the first refusal shows as an increase.
        for reason in AdminRefusal::ALL {
            _ = own.admin_refusals.get_or_create(&[("reason", reason)]);
        }
        own
    }

    /// Returns the metrics of `stream`: a name in the catalog, or [`COMPOSITE`].
    pub fn stream(&self, stream: &str) -> Arc<StreamMetrics> {
        let mut streams = self.streams.lock();
        if let Some(known) = streams.get(stream) {
            return Arc::clone(known);
        }
        let label = [("stream", stream.to_owned())];
        let metrics = Arc::new(StreamMetrics {
            open: self.open.get_or_create_owned(&label),
            events: self.events.get_or_create_owned(&label),
            bytes: self.bytes.get_or_create_owned(&label),
            gaps: self.gaps.clone(),
            held: self.held.clone(),
            started: self.started.clone(),
            ended: self.ended.clone(),
            stream: stream.to_owned(),
        });
        streams.insert(stream.into(), Arc::clone(&metrics));
        metrics
    }

    /// Counts a response.
    pub fn response(&self, status: u16) {
        self.responses.get_or_create(&[("status", status)]).inc();
    }

    /// Counts a connection that was closed before its first request.
    pub fn turned_away(&self, reason: ConnectionRefusal) {
        self.turned_away.get_or_create(&[("reason", reason)]).inc();
    }

    /// Counts a request that the admin listener refused.
    pub fn admin_refused(&self, reason: AdminRefusal) {
        self.admin_refusals.get_or_create(&[("reason", reason)]).inc();
    }
}

/// Label of clients that read several streams at once. They choose the combination, so all combinations share one label.
pub const COMPOSITE: &str = "composite";

/// Metrics of one stream, shared by all its clients.
#[derive(Debug)]
pub struct StreamMetrics {
    stream: String,
    open: Gauge,
    events: Counter,
    bytes: Counter,
    gaps: Family<Label<&'static str>, Counter>,
    held: Gauge,
    started: Family<StartLabels, Counter>,
    ended: Family<EndLabels, Counter>,
}

impl StreamMetrics {
    /// Counts the start of a client's stream.
    pub fn started(&self, from: StartPoint) {
        let stream = self.stream.clone();
        self.started.get_or_create(&StartLabels { stream, from }).inc();
        self.open.inc();
    }

    /// Counts the end of a client's stream.
    pub fn ended(&self, reason: EndReason) {
        let stream = self.stream.clone();
        self.ended.get_or_create(&EndLabels { stream, reason }).inc();
        self.open.dec();
    }

    /// Counts events and bytes that were written.
    pub fn sent(&self, bytes: u64, events: u64) {
        self.bytes.inc_by(bytes);
        self.events.inc_by(events);
    }

    /// Counts a gap that a client is told of. `reason` is one of a few fixed words.
    pub fn gap(&self, reason: &'static str) {
        self.gaps.get_or_create(&[("reason", reason)]).inc();
    }

    /// Counts a stream that starts to wait for Kafka.
    pub fn held(&self) {
        self.held.inc();
    }

    /// Counts a stream that no longer waits for Kafka.
    pub fn released(&self) {
        self.held.dec();
    }
}

named! {
    /// Where a client's stream starts.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum StartPoint {
        /// Behind the event named by its id.
        Id = "id",
        /// At a time.
        Since = "since",
        /// With the next event.
        Live = "live",
    }
}

named! {
    /// Why a stream ended.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum EndReason {
        /// The client closed or reset its connection.
        ClientClosed = "client_closed",
        /// The client's socket accepted no byte until the stall deadline.
        Stalled = "stalled",
        /// The client's host no longer acknowledges data.
        Vanished = "vanished",
        /// The process is shutting down.
        Drained = "drained",
        /// The stream waited for Kafka for longer than the hold limit.
        HeldTooLong = "held_too_long",
        /// There was a gap, and the client had asked to fail on gaps (`?on_gap=fail`).
        Gap = "gap",
        /// The client vanished without closing its connection, and has reconnected on another one.
        Replaced = "replaced",
        /// The host was full, and the slot was given to a client that had no stream.
        Evicted = "evicted",
        /// The clients held more than `memory.lanes`, and of all sockets this one's had accepted nothing for longest.
        Memory = "memory",
        /// The credential that it came with has expired.
        Expired = "expired",
        /// The credential that it came with was revoked.
        Revoked = "revoked",
        /// The client got as many events as it had asked for (`?limit=`).
        Limit = "limit",
        /// The client got everything before the end that it had asked for (`?until=`).
        Until = "until",
        /// A panic.
        Panicked = "panicked",
    }
}

named! {
    /// Why a connection is closed before its first request.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum ConnectionRefusal {
        /// A PROXY header was required, and the peer is not allowed to send one.
        Untrusted = "untrusted",
        /// A PROXY header was required, and the peer sent none or a malformed one.
        BadProxyHeader = "bad_proxy_header",
    }
}

named! {
    /// Why the admin listener refuses a request by its apparent sender.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum AdminRefusal {
        /// The request's host is missing or ambiguous.
        Malformed = "malformed",
        /// The request's host is not one that is known.
        Host = "host",
        /// The request comes from a page of another origin.
        Origin = "origin",
        /// The request is a command without the token.
        Token = "token",
        /// The request is a command, and its client has sent too many wrong tokens for another one to be checked.
        Guesses = "guesses",
    }
}

/// Writes values by the same name in logs and in labels.
macro_rules! written_by_name {
    ($($type:ty),*) => {$(
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }

        impl EncodeLabelValue for $type {
            fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
                self.name().encode(encoder)
            }
        }
    )*};
}

written_by_name!(AdminRefusal, StartPoint, EndReason, ConnectionRefusal);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StartLabels {
    stream: String,
    from: StartPoint,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndLabels {
    stream: String,
    reason: EndReason,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{registry, render};

    #[test]
    fn a_stream_that_came_and_went_leaves_the_gauge_where_it_was() {
        let mut registry = registry();
        let metrics = HttpMetrics::register(&mut registry);
        let stream = metrics.stream("recentchange");
        stream.started(StartPoint::Id);
        stream.sent(700, 1);
        assert!(
            render(&registry)
                .unwrap()
                .contains("riverhead_streams_open{stream=\"recentchange\"} 1\n")
        );
        stream.ended(EndReason::Stalled);

        let text = render(&registry).unwrap();
        for line in [
            "riverhead_streams_open{stream=\"recentchange\"} 0",
            "riverhead_streams_started_total{stream=\"recentchange\",from=\"id\"} 1",
            "riverhead_streams_ended_total{stream=\"recentchange\",reason=\"stalled\"} 1",
            "riverhead_bytes_sent_total{stream=\"recentchange\"} 700",
        ] {
            assert!(text.contains(&format!("{line}\n")), "{line} is not in\n{text}");
        }
    }
}
