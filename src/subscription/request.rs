//! A client's request to subscribe.

use std::ops::Range;

use super::view::StreamView;
use crate::{
    client::ClientKey,
    position::{Position, Timestamp, TopicSet},
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
