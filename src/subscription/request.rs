//! A client's request to subscribe, and the view of the stream that it wants: format, ids, coding, filter, fields and partitions.

use std::{ops::Range, sync::Arc};

use crate::{
    client::ClientKey,
    filter::Filter,
    position::{IdForm, Position, Restriction, RestrictionTag, Timestamp, TopicSet},
    projection::Projection,
};

/// What one client asked for.
#[derive(Clone, Debug)]
pub struct SubscribeRequest {
    /// The topics of the client's streams.
    pub topics: TopicSet,
    /// The position to resume from, with no topics but those in `topics`. `None` starts at `since`, or live.
    pub position: Option<Position>,
    /// For each topic of `topics`, the range of its entries in `position`; `None` if they have not been looked up yet.
    pub ranges: Option<Vec<Range<usize>>>,
    /// The start of topics that `position` lacks: of all topics if there is no position. Otherwise it is a time like
    /// those in `position`.
    pub since: Option<Timestamp>,
    /// How the client wants its events.
    pub view: StreamView,
    /// The client. Reads of history take turns between clients.
    pub client: ClientKey,
    /// The time of the request in milliseconds. Partitions that are not determined yet start from it.
    pub now: Timestamp,
}

impl SubscribeRequest {
    /// Returns whether the client wants only what arrives from now on.
    pub(super) fn is_from_now_on(&self) -> bool {
        self.position.is_none() && self.since.is_none()
    }
}

/// How a client wants its events. Clients of the same topics with equal views get the same bytes, and can share a lane.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct StreamView {
    /// The format of events.
    pub format: EventFormat,
    /// The form of ids.
    pub form: IdForm,
    /// The content coding. With gzip, a lane compresses its batches once for all its clients.
    pub coding: ContentCoding,
    /// The filter that selects events; `None` selects all.
    pub filter: Option<Filter>,
    /// The fields that are sent of each event that is a JSON document; `None` sends all. The filter sees all of them.
    pub fields: Option<Arc<Projection>>,
    /// The partitions that are read, of those of the topics; `None` reads all.
    pub restriction: Option<Restriction>,
    /// Whether the client sees canary records. Its position moves past them in either case.
    pub shows_canaries: bool,
}

impl StreamView {
    /// Returns how ids name the restriction.
    pub(super) fn restriction_tag(&self) -> Option<RestrictionTag> {
        self.restriction.as_ref().map(Restriction::tag)
    }

    /// Whether the client may know how many events were filtered out.
    pub(super) fn tells_skipped(&self) -> bool {
        self.filter.as_ref().is_none_or(|filter| !filter.is_restricted())
    }
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
