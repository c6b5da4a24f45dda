//! A response, and the connection that carries it.

use std::time::Duration;

use http::response::Parts;
use http_body_util::BodyExt;
use hyper::body::{Bytes, Incoming};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::{Deadline, StreamError, TlsDetails};
use crate::catalog::ticket_parameter::mask_tickets;

/// A response to a request, and the connection that carries it. Dropping it closes the connection, even in the middle of an event.
pub(crate) struct StreamResponse {
    pub(crate) head: Parts,
    pub(crate) body: Incoming,
    /// When the request began, with the look-up of the host.
    pub(crate) begun: Instant,
    /// The time until there was a connection to write to.
    pub(crate) connected: Duration,
    /// What was seen of the TLS handshake, if there was one.
    pub(crate) tls: Option<TlsDetails>,
    pub(super) _connection: AbortOnDropHandle<()>,
}

impl StreamResponse {
    /// Reads the next bytes of the body. Cancelling loses nothing.
    pub(crate) async fn next_bytes(&mut self) -> Result<Bytes, StreamError> {
        loop {
            let frame = self.body.frame().await.ok_or(StreamError::Ended)?;
            // Trailers are ignored.
            if let Ok(bytes) = frame.map_err(StreamError::Broken)?.into_data() {
                return Ok(bytes);
            }
        }
    }

    /// Returns this response as the error that it is if it is not 200, with the `detail` of its JSON if there is one.
    pub(crate) async fn refusal(mut self, deadline: Deadline) -> StreamError {
        let mut text = Vec::new();
        while let Ok(Ok(bytes)) = deadline.on("explanation", self.next_bytes()).await {
            text.extend_from_slice(&bytes);
            if text.len() > MAX_EXPLANATION_BYTES {
                break;
            }
        }
        let problem: Option<serde_json::Value> = serde_json::from_slice(&text).ok();
        let detail = problem.as_ref().and_then(|it| it.get("detail")?.as_str());
        let detail = detail.map_or_else(String::new, |detail| format!(": {}", mask_tickets(detail)));
        StreamError::Status(self.head.status.as_u16(), detail)
    }
}

/// How much of a refusal is read, in bytes. Ours are below one KiB.
const MAX_EXPLANATION_BYTES: usize = 16 * 1024;
