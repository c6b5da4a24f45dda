//! Events: records of Kafka as the gateway keeps them, with their coordinates and with their SSE lines encoded **once**
//! for all clients.
//!
//! Not here: where events are kept (`partition`), and the `id:` line before the lines, which differs from client to
//! client (`subscription`).
//!
//! ```
//! use riverhead::event::{Encoding, EventKind, Headers, Record, encode};
//!
//! let record = Record {
//!     offset: 7,
//!     timestamp: 1_700_000_000_000,
//!     epoch: 3,
//!     key: None,
//!     headers: Headers::default(),
//!     value: Some(b"{\"title\": \"Main Page\"}"),
//!     canary: false,
//! };
//! let mut lines = Vec::new();
//! assert_eq!(encode(Encoding::default(), &record, &mut lines)?, EventKind::Message);
//! assert_eq!(lines, b"data: {\"title\": \"Main Page\"}\n");
//! # Ok::<(), riverhead::event::EncodeError>(())
//! ```

mod encode;
mod headers;
mod ndjson;
mod transform;

pub use encode::{EncodeError, MAX_VALUE_BYTES, check_document, encode};
pub use headers::{Headers, HeadersBuf, MAX_HEADERS_BYTES};
pub use ndjson::{json_document, write_json};
pub use transform::{RecordOrigin, Transform, TransformBuffers, TransformCounts, Transformed};

pub use crate::encoding::{Encoding, MAX_DEPTH, Payload, Tombstones};

use std::{ffi::CStr, ops::Range};

use crate::position::{Epoch, Offset, Timestamp};

/// A record as Kafka delivers it, borrowed from the buffers of the Kafka client.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// The record's offset.
    pub offset: Offset,
    /// The record's timestamp in milliseconds; -1 if it has none.
    pub timestamp: Timestamp,
    /// The epoch of the leader that appended the record; -1 if the broker is too old to say.
    pub epoch: Epoch,
    /// The record's key.
    pub key: Option<&'a [u8]>,
    /// The record's headers.
    pub headers: Headers<'a>,
    /// The record's value; `None` for a tombstone.
    pub value: Option<&'a [u8]>,
    /// Whether the record has the header [`CANARY_HEADER`].
    pub canary: bool,
}

#[cfg(test)]
impl<'a> Record<'a> {
    /// Returns a record without a key and headers, at time 0 in epoch 0, for the unit tests that need only some record.
    pub(crate) fn bare(offset: Offset, value: Option<&'a [u8]>) -> Self {
        Self {
            offset,
            timestamp: 0,
            epoch: 0,
            key: None,
            headers: Headers::default(),
            value,
            canary: false,
        }
    }
}

/// The header that marks canary records, whatever its value: clients do not see them unless they ask with
/// `?canary=true`. A C string, because librdkafka is asked for it once for each record.
pub const CANARY_HEADER: &CStr = c"riverhead-canary";

/// The kind of event that a record became.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// An `event: message`.
    Message,
    /// An `event: delete`.
    Delete,
    /// An event that no client sees. Positions still move past it.
    Skipped,
}

/// One record in a page: its coordinates, and the place of its lines in the page's arena.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The record's offset.
    pub offset: Offset,
    /// The record's timestamp in milliseconds; -1 if it has none.
    pub timestamp: Timestamp,
    /// The epoch of the leader that appended the record; -1 if unknown.
    pub epoch: Epoch,
    /// The kind of event that the record became.
    pub kind: EventKind,
    /// Whether only clients that ask for canaries see the event. Positions move past it in either case.
    pub canary: bool,
    /// The length of the key in bytes. The key stands right before the lines. `None` if the record has no key, or if no
    /// client sees the event.
    pub key: Option<u32>,
    /// The length of the headers in bytes. They stand right before the key.
    pub headers: u32,
    /// The range of the lines in the arena: one or more `data: ...\n`, without the blank line.
    pub lines: Range<u32>,
}
