//! The response to a request of the probe: its head, its body and the connection that carries it.

use std::time::Duration;

use http::response::Parts;
use hyper::body::Incoming;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::tls::TlsDetails;

/// A response, with the time that it took.
pub(super) struct ProbeResponse {
    pub(super) head: Parts,
    pub(super) body: Incoming,
    /// When the request began, with the look-up of the host.
    pub(super) begun: Instant,
    /// The time until there was a connection to write to.
    pub(super) connected: Duration,
    /// What was seen of the TLS handshake, if there was one.
    pub(super) tls: Option<TlsDetails>,
    pub(super) connection: AbortOnDropHandle<()>,
}
