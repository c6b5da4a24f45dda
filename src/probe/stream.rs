//! The reader of an event stream, which checks it against the contract.

use tokio::time::Instant;

use super::{Deadline, IdPositions, RequestOptions, StreamClient, StreamError, StreamResponse};
use crate::{
    sse::{PRELUDE, SseMessage, SseReader},
    stream_client::MAX_EVENT_BYTES,
};

/// A stream whose prelude was read. Dropping it closes the connection, even in the middle of an event.
pub(super) struct EventStream {
    response: StreamResponse,
    reader: SseReader,
    /// The deadline of the next item.
    pub(super) deadline: Deadline,
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
    /// Requests a stream, and reads its prelude.
    pub(super) async fn open(client: &StreamClient, request: &RequestOptions) -> Result<Self, StreamError> {
        Self::begin(client.open(request).await?, client.deadline).await
    }

    /// Reads the prelude, which must match to the byte.
    pub(super) async fn begin(mut response: StreamResponse, deadline: Deadline) -> Result<Self, StreamError> {
        if response.head.status != http::StatusCode::OK {
            return Err(response.refusal(deadline).await);
        }
        let mut start = Vec::new();
        while start.len() < PRELUDE.len() && PRELUDE.starts_with(&start) {
            let bytes = deadline.on("prelude", response.next_bytes()).await??;
            start.extend_from_slice(&bytes);
        }
        if !start.starts_with(PRELUDE) {
            start.truncate(PRELUDE_SHOWN);
            return Err(StreamError::Prelude(start));
        }
        let mut reader = SseReader::new(MAX_EVENT_BYTES);
        reader.push(&start)?;
        Ok(Self {
            response,
            reader,
            deadline,
        })
    }

    /// Reads the next event or gap. Cancelling loses nothing.
    pub(super) async fn next(&mut self) -> Result<StreamItem, StreamError> {
        loop {
            if let Some(message) = self.reader.next_message() {
                return StreamItem::of(message);
            }
            let bytes = self.deadline.on("event", self.response.next_bytes()).await??;
            self.reader.push(&bytes)?;
        }
    }
}

impl StreamItem {
    fn of(message: SseMessage) -> Result<Self, StreamError> {
        let SseMessage { event, id, data } = message;
        if event == "gap" {
            return Ok(Self::Gap(data));
        }
        let id = id.ok_or(StreamError::NoId)?;
        Ok(Self::Event(ReceivedEvent {
            at: Instant::now(),
            positions: IdPositions::read(&id)?,
            id,
            message: (event, data),
        }))
    }
}

/// How much of a wrong prelude is shown, in bytes: enough to recognise the page of a proxy.
const PRELUDE_SHOWN: usize = 40;
