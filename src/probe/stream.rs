//! The reader of an event stream, which checks it against the contract.

use std::time::Duration;

use http::response::Parts;
use http_body_util::BodyExt;
use hyper::body::{Bytes, Incoming};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::{Deadline, IdPositions, ProbeError, TlsDetails};
use crate::sse::{PRELUDE, SseMessage, SseReader};

/// A response to a request of the probe, and the connection that carries it.
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

/// A stream whose prelude was read. Dropping it closes the connection, even in the middle of an event.
pub(super) struct EventStream {
    body: Incoming,
    reader: SseReader,
    /// The deadline of the next item.
    pub(super) deadline: Deadline,
    _connection: AbortOnDropHandle<()>,
}

/// An item of a stream.
#[derive(Clone, Debug)]
pub(super) enum StreamItem {
    Event(ReceivedEvent),
    /// The data of an `event: gap`.
    Gap(String),
}

/// An event that carries a record.
#[derive(Clone, Debug)]
pub(super) struct ReceivedEvent {
    /// When the event was read.
    pub(super) at: Instant,
    pub(super) id: String,
    pub(super) positions: IdPositions,
    /// The type and the data of the event, which must not depend on how it is requested.
    pub(super) message: (String, String),
}

impl EventStream {
    /// Reads the prelude, which must match to the byte.
    pub(super) async fn begin(answer: ProbeResponse, deadline: Deadline) -> Result<Self, ProbeError> {
        let mut body = answer.body;
        if answer.head.status != http::StatusCode::OK {
            let detail = refusal_detail(&mut body, deadline).await;
            return Err(ProbeError::Status(answer.head.status.as_u16(), detail));
        }
        let mut start = Vec::new();
        while start.len() < PRELUDE.len() && PRELUDE.starts_with(&start) {
            let bytes = deadline.on("prelude", next_bytes(&mut body)).await??;
            start.extend_from_slice(&bytes);
        }
        if !start.starts_with(PRELUDE) {
            start.truncate(PRELUDE_SHOWN);
            return Err(ProbeError::Prelude(start));
        }
        let mut reader = SseReader::new(MAX_EVENT_BYTES);
        reader.push(&start)?;
        Ok(Self {
            body,
            reader,
            deadline,
            _connection: answer.connection,
        })
    }

    /// Reads the next event or gap. Cancelling loses nothing.
    pub(super) async fn next(&mut self) -> Result<StreamItem, ProbeError> {
        loop {
            if let Some(message) = self.reader.next_message() {
                return StreamItem::of(message);
            }
            let bytes = self.deadline.on("event", next_bytes(&mut self.body)).await??;
            self.reader.push(&bytes)?;
        }
    }
}

impl StreamItem {
    fn of(message: SseMessage) -> Result<Self, ProbeError> {
        let SseMessage { event, id, data } = message;
        if event == "gap" {
            return Ok(Self::Gap(data));
        }
        let id = id.ok_or(ProbeError::NoId)?;
        Ok(Self::Event(ReceivedEvent {
            at: Instant::now(),
            positions: IdPositions::read(&id)?,
            id,
            message: (event, data),
        }))
    }
}

async fn next_bytes(body: &mut Incoming) -> Result<Bytes, ProbeError> {
    loop {
        let frame = body.frame().await.ok_or(ProbeError::Ended)?;
        // Trailers are ignored.
        if let Ok(bytes) = frame.map_err(ProbeError::Broken)?.into_data() {
            return Ok(bytes);
        }
    }
}

/// Returns the reason in a refusal: the `detail` of its JSON, if there is one.
async fn refusal_detail(body: &mut Incoming, deadline: Deadline) -> String {
    let mut text = Vec::new();
    while let Ok(Ok(bytes)) = deadline.on("explanation", next_bytes(body)).await {
        text.extend_from_slice(&bytes);
        if text.len() > MAX_EXPLANATION_BYTES {
            break;
        }
    }
    let problem: Option<serde_json::Value> = serde_json::from_slice(&text).ok();
    let detail = problem.as_ref().and_then(|it| it.get("detail")?.as_str());
    detail.map_or_else(String::new, |detail| format!(": {detail}"))
}

/// In bytes. Above the largest event of a gateway: 8 MiB of value, with every byte escaped in the worst case.
const MAX_EVENT_BYTES: usize = 64 * 1024 * 1024;

/// How much of a refusal is read, in bytes. Ours are below one KiB.
const MAX_EXPLANATION_BYTES: usize = 16 * 1024;

/// How much of a wrong prelude is shown, in bytes: enough to recognise the page of a proxy.
const PRELUDE_SHOWN: usize = 40;
