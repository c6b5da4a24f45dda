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
};

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub(in crate::http) struct Timeouts {
    /// After this long without one byte taken a connection is reset.
    pub(in crate::http) stall_timeout: Duration,
    /// A stream's silence is at most this long, so that a live peer acknowledges something this often.
    pub(in crate::http) heartbeat: Duration,
    /// How long a request's head may take, the first with all that comes before it.
    pub(in crate::http) head_timeout: Duration,
}

/// How the connections of one listener are treated.
#[derive(Debug)]
pub(in crate::http) struct ListenerConfig {
    pub(in crate::http) timeouts: Timeouts,
    /// What connections without a stream count under; nothing on a listener that strangers do not reach.
    pub(in crate::http) admission: Option<Arc<Admission>>,
    /// Where they wait.
    pub(in crate::http) idle_connections: fn(&Admission) -> &IdleConnections,
    /// Whose word is taken.
    pub(in crate::http) proxies: TrustedProxies,
    /// Whether every connection begins with a PROXY header.
    pub(in crate::http) proxy_protocol: bool,
    /// Which way streams of HTTP/1.1 leave.
    pub(in crate::http) sink: Sink,
    pub(in crate::http) metrics: HttpMetrics,
}

impl ListenerConfig {
    /// Where connections without a stream wait, if they are counted.
    pub(in crate::http) fn idle_connections(&self) -> Option<&IdleConnections> {
        self.admission.as_deref().map(self.idle_connections)
    }
}

/// How a connection is told that the process is going.
#[derive(Debug, Default)]
pub(in crate::http) struct ShutdownSignals {
    /// Answer what is being asked, then close.
    pub(super) graceful: CancellationToken,
    /// Wait for nobody's first request any more.
    pub(in crate::http) close_idle: CancellationToken,
    /// Close, whatever is going on.
    pub(in crate::http) abort: CancellationToken,
}

/// A listener, as each of its connections sees it.
#[derive(Debug)]
pub(in crate::http) struct ServerContext {
    pub(in crate::http) config: ListenerConfig,
    pub(in crate::http) shutdown: ShutdownSignals,
    /// Who takes over the connections that hyper gives back; nobody where it keeps them all.
    pub(super) writers: Option<WriterPool>,
}

impl ServerContext {
    /// One with a writer pool if its configuration wants it. Inside a runtime.
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
