//! The settings and the shared state of one listener, as each of its connections sees them.
//!
//! Not here: accepting connections (`listener`) and serving one (`connection`).

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::{
    client::TrustedProxies,
    http::{fanout::pool::WriterPool, settings::Sink},
    limits::{Admission, IdleConnections},
    metrics::HttpMetrics,
    tls::TlsServer,
};

/// The deadlines of a connection.
#[derive(Clone, Copy, Debug)]
pub(in crate::http) struct Timeouts {
    /// A connection is reset if its socket takes no byte for this long.
    pub(in crate::http) stall_timeout: Duration,
    /// A stream is silent for at most this long, so a live peer acknowledges something this often.
    pub(in crate::http) heartbeat: Duration,
    /// How long a request's head may take. For the first request that includes everything before it.
    pub(in crate::http) head_timeout: Duration,
}

/// The configuration of one listener.
#[derive(Debug)]
pub(in crate::http) struct ListenerConfig {
    pub(in crate::http) timeouts: Timeouts,
    /// The limits that connections without a stream count against. `None` for a listener that strangers do not reach.
    pub(in crate::http) admission: Option<Arc<Admission>>,
    /// Selects the list of idle connections of this listener.
    pub(in crate::http) idle_connections: fn(&Admission) -> &IdleConnections,
    /// The proxies that are trusted to name the client.
    pub(in crate::http) proxies: TrustedProxies,
    /// Whether every connection begins with a PROXY header.
    pub(in crate::http) proxy_protocol: bool,
    /// The certificates of a listener with TLS.
    pub(in crate::http) tls: Option<TlsServer>,
    /// The sink for streams of HTTP/1.1. With a version of TLS before 1.3 it is always hyper.
    pub(in crate::http) sink: Sink,
    pub(in crate::http) metrics: HttpMetrics,
}

impl ListenerConfig {
    /// Returns the list of connections without a stream. Returns `None` if they are not counted.
    pub(in crate::http) fn idle_connections(&self) -> Option<&IdleConnections> {
        self.admission.as_deref().map(self.idle_connections)
    }
}

/// The three steps of a shutdown, as signals to each connection.
#[derive(Debug, Default)]
pub(in crate::http) struct ShutdownSignals {
    /// Finish the requests in progress, then close.
    pub(super) graceful: CancellationToken,
    /// Wait no longer for the first bytes of a connection.
    pub(in crate::http) close_idle: CancellationToken,
    /// Close at once, whatever is in progress.
    pub(in crate::http) abort: CancellationToken,
}

/// The state that all connections of a listener share.
#[derive(Debug)]
pub(in crate::http) struct ServerContext {
    pub(in crate::http) config: ListenerConfig,
    pub(in crate::http) shutdown: ShutdownSignals,
    /// The write tasks for connections that hyper gives back. `None` if hyper keeps them all.
    pub(super) writers: Option<WriterPool>,
}

impl ServerContext {
    /// Creates the state, and starts a writer pool if the sink is the socket. Must be called inside a runtime.
    pub(in crate::http) fn open(config: ListenerConfig) -> Self {
        let shutdown = ShutdownSignals::default();
        let writers =
            (config.sink == Sink::Socket).then(|| WriterPool::start(&config.metrics, &shutdown.abort));
        Self {
            config,
            shutdown,
            writers,
        }
    }
}
