//! The answer to a request of the probe: its head, its body and the connection that carries it.

use std::time::{Duration, SystemTime};

use http::response::Parts;
use hyper::body::Incoming;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

/// The head of an answer, and what it took to get it.
pub(super) struct ProbeResponse {
    pub(super) head: Parts,
    pub(super) body: Incoming,
    /// When the first step was taken.
    pub(super) begun: Instant,
    /// Until there was a connection to write to.
    pub(super) connected: Duration,
    pub(super) certificate_ends: Option<SystemTime>,
    pub(super) connection: AbortOnDropHandle<()>,
}
