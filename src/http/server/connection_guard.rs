//! A guard that counts an open connection.

use prometheus_client::metrics::gauge::Gauge;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::metrics::HttpMetrics;

/// Counts a connection while it is open, in hyper's hands or in a write task's: in the metrics, and for the listener, which
/// waits for its last connection when it ends.
#[derive(Debug)]
pub(in crate::http) struct ConnectionGuard {
    open: Gauge,
    _token: TaskTrackerToken,
}

impl ConnectionGuard {
    /// Counts one more connection until the guard is dropped.
    pub(in crate::http) fn new(metrics: &HttpMetrics, token: TaskTrackerToken) -> Self {
        let open = metrics.connections.clone();
        open.inc();
        Self { open, _token: token }
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.open.dec();
    }
}
