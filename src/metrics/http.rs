//! Metrics of the `http` module.
//!
//! Not here: what is measured when (`http`).

use std::sync::Arc;

use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use super::{
    EventStreamsMetrics, Label, StreamMetrics, label_value::written_by_name, metric_set,
    stream::StreamFamilies,
};

metric_set! {
    /// HTTP metrics, summed over all streams or labelled by stream.
    pub struct HttpMetrics {
        streams: StreamFamilies;
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
    }
}

impl HttpMetrics {
    /// Registers all metrics.
    pub fn register(registry: &mut Registry) -> Self {
        let own = Self::default();
        own.streams.series.add_to(registry);
        own.add_to(registry);
        // Created at start, so that the first refusal shows as an increase.
        for reason in AdminRefusal::ALL {
            _ = own.admin_refusals.get_or_create(&[("reason", reason)]);
        }
        own
    }

    /// Returns the metrics of `stream`: a name in the catalog, or [`COMPOSITE`](super::COMPOSITE).
    pub fn stream(&self, stream: &str) -> Arc<StreamMetrics> {
        self.streams.of(stream)
    }

    /// Removes the series of streams that are in the catalog no longer, as soon as nobody reads them any more.
    pub fn keep_streams(&self, is_there: impl Fn(&str) -> bool) {
        self.streams.keep(&is_there);
        if let Some(eventstreams) = &self.eventstreams {
            eventstreams.keep_streams(is_there);
        }
    }

    /// Returns how many open streams wait for Kafka.
    pub fn held(&self) -> i64 {
        self.streams.series.held.get()
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

written_by_name!(AdminRefusal, ConnectionRefusal);
