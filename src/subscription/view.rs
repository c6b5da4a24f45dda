//! How a client wants its events: their format, ids, coding and filter.

use crate::{filter::Filter, position::IdForm};

/// How a client wants its events. Clients of the same topics with equal views get the same bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StreamView {
    /// What an event looks like.
    pub format: EventFormat,
    /// How ids are written.
    pub form: IdForm,
    /// Whether what many want alike is to be packed for them.
    pub coding: ContentCoding,
    /// Which events it wants; `None` is all.
    pub filter: Option<Filter>,
    /// Whether records that are marked as a probe's are shown; its position moves past them in either case.
    pub shows_canaries: bool,
}

/// What an event looks like on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum EventFormat {
    /// Server-Sent Events.
    #[default]
    Sse,
    /// One JSON document a line.
    Ndjson,
}

/// How the bytes of a stream are packed on their way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ContentCoding {
    /// Not at all.
    #[default]
    Identity,
    /// As gzip.
    Gzip,
}
