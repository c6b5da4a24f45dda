//! The view of a stream: the format, ids, coding and filter that a client wants.

use crate::{filter::Filter, position::IdForm};

/// How a client wants its events. Clients of the same topics with equal views get the same bytes, and can share a lane.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StreamView {
    /// The format of events.
    pub format: EventFormat,
    /// The form of ids.
    pub form: IdForm,
    /// The content coding. With gzip, a lane compresses its batches once for all its clients.
    pub coding: ContentCoding,
    /// The filter that selects events; `None` selects all.
    pub filter: Option<Filter>,
    /// Whether the client sees canary records. Its position moves past them in either case.
    pub shows_canaries: bool,
}

/// The format of events on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum EventFormat {
    /// Server-Sent Events.
    #[default]
    Sse,
    /// Newline-delimited JSON: one document a line.
    Ndjson,
}

/// The content coding of a response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ContentCoding {
    /// Not compressed.
    #[default]
    Identity,
    /// Compressed with gzip.
    Gzip,
}
