//! One client's cursors over all partitions of its streams: one order, one position, finished bytes.
//!
//! Not here: sockets, deadlines and heartbeats (`http::delivery`).

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;

use crate::{
    client::ClientKey,
    partition::{Directory, History},
    position::{Position, Timestamp},
};

pub use crate::position::IdForm;

/// What every subscription of a process shares.
#[derive(Clone)]
pub struct Source {
    /// Which logs are current.
    pub directory: Arc<Directory>,
    /// Reads of what is no longer in memory.
    pub history: Arc<dyn History>,
}

/// What one client asked for.
#[derive(Clone, Debug)]
pub struct Request {
    /// The topics of its streams, sorted, each once.
    pub topics: Vec<Arc<str>>,
    /// Where it wants to go on; `None` is from now on, or from `since`. Its topics are among `topics`.
    pub position: Option<Position>,
    /// Where partitions start that `position` does not speak for, when there is no position at all.
    pub since: Option<Timestamp>,
    /// How ids are written.
    pub form: IdForm,
    /// What an event looks like.
    pub format: Format,
    /// Who asks: history takes turns by it.
    pub client: ClientKey,
    /// The time of the request: what a partition that is not determined yet starts from.
    pub now: Timestamp,
}

/// What an event looks like on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Server-Sent Events.
    #[default]
    Sse,
    /// One JSON document a line.
    Ndjson,
}

/// Whole events, ready to be written.
#[derive(Clone, Debug)]
pub struct Batch {
    /// At most 64 KiB, or one event.
    pub bytes: Bytes,
    /// How many events it holds, gap events not counted.
    pub events: u32,
    /// How many gap events it holds.
    pub gaps: u32,
}

/// A client's place in its streams.
pub struct Subscription {}

impl Subscription {
    /// Begins at the request's position. Never waits: what needs Kafka is found out while it is polled.
    pub fn start(_source: &Source, _request: Request) -> Self {
        Self {}
    }

    /// The next events, as soon as there are any. It does not end by itself.
    pub fn poll_batch(&mut self, _context: &mut Context<'_>) -> Poll<Batch> {
        Poll::Pending
    }

    /// Whether the position could be resumed without a gap: ready once every partition is determined, or one has a gap.
    /// For `?on_gap=fail`, before the first [`poll_batch`](Self::poll_batch).
    pub fn poll_verdict(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Gap>> {
        Poll::Pending
    }

    /// What of the streams is not determined yet: the topics and partitions whose leader has not answered, and the
    /// topics nothing is known of. A stream for which all is waiting "is held".
    pub fn is_held(&self) -> bool {
        true
    }
}

/// Something was lost, or may be repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The JSON object that is the event's data.
    pub data: String,
}
