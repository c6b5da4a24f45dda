//! A record as it is kept here: its coordinates, and its SSE lines encoded **once**.
//!
//! Not here: where events are kept (`partition`), and the `id` before the lines, which differs from client to client
//! (`subscription`).

mod encode;
mod headers;
mod ndjson;

pub use encode::{EncodeError, MAX_DEPTH, MAX_VALUE_BYTES, encode};
pub use headers::{Headers, HeadersBuf, MAX_HEADERS_BYTES};
pub use ndjson::{json_document, write_json};

pub use crate::encoding::{Encoding, Payload, Tombstones};

use std::{ffi::CStr, ops::Range};

use crate::position::{Epoch, Offset, Timestamp};

/// A record as Kafka hands it over, borrowed from its buffers.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Its offset.
    pub offset: Offset,
    /// Its timestamp; -1 when it has none.
    pub timestamp: Timestamp,
    /// The leader epoch it was written under; -1 when the broker is too old to say.
    pub epoch: Epoch,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its headers.
    pub headers: Headers<'a>,
    /// Its value; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// Whether it bears [`CANARY_HEADER`].
    pub canary: bool,
}

/// The header of records that only a probe is to see: they are hidden from clients that do not ask for them with
/// `?canary=true`, whatever its value is. As C has strings, because librdkafka is asked for it once a record.
pub const CANARY_HEADER: &CStr = c"riverhead-canary";

/// What a record became.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// An `event: message`.
    Message,
    /// An `event: delete`.
    Delete,
    /// Nothing a client sees; its position still moves past it.
    Skipped,
}

/// One record in a page: coordinates, and where in the page's arena its lines are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The record's offset.
    pub offset: Offset,
    /// The record's timestamp; -1 when it has none.
    pub timestamp: Timestamp,
    /// The leader epoch it was written under; -1 when unknown.
    pub epoch: Epoch,
    /// What the record became.
    pub kind: EventKind,
    /// Whether it is hidden from all but probes; positions move past it all the same.
    pub canary: bool,
    /// The length of its key, which stands right before the lines; `None` when it has none, or nobody sees it.
    pub key: Option<u32>,
    /// The length of its headers, which stand before the key.
    pub headers: u32,
    /// Where its lines (`data: ...\n`, one or more, without the blank line) are in the arena.
    pub lines: Range<u32>,
}
