//! One client's request to subscribe.

use super::view::StreamView;
use crate::{
    client::ClientKey,
    position::{Position, Timestamp, TopicSet},
};

/// What one client asked for.
#[derive(Clone, Debug)]
pub struct SubscribeRequest {
    /// The topics of its streams.
    pub topics: TopicSet,
    /// Where it wants to go on; `None` is from now on, or from `since`. Its topics are among `topics`.
    pub position: Option<Position>,
    /// Where topics start that `position` does not speak of: all, when there is none; else a time as those in `position` are.
    pub since: Option<Timestamp>,
    /// How the client wants its events.
    pub view: StreamView,
    /// Who asks: history takes turns by it.
    pub client: ClientKey,
    /// The time of the request: what a partition that is not determined yet starts from.
    pub now: Timestamp,
}

impl SubscribeRequest {
    /// Whether it wants nothing that is past.
    pub(super) fn is_from_now_on(&self) -> bool {
        self.position.is_none() && self.since.is_none()
    }
}
