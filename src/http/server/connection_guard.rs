//! That a connection is open.

use prometheus_client::metrics::gauge::Gauge;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::metrics::HttpMetrics;

/// Counts a connection while it is open, whoever serves it: in the metrics, and for the listener that waits for its last one.
#[derive(Debug)]
pub(in crate::http) struct ConnectionGuard {
    open: Gauge,
    _token: TaskTrackerToken,
}

impl ConnectionGuard {
    pub(in crate::http) fn new(metrics: &HttpMetrics, token: TaskTrackerToken) -> Self {
        let open = metrics.connections().clone();
        open.inc();
        Self { open, _token: token }
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.open.dec();
    }
}
