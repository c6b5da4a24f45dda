//! What makes two clients share a lane.

use crate::{
    client::ClientKey,
    position::{Timestamp, TopicSet},
    subscription::{ContentCoding, StreamView, SubscribeRequest},
};

/// What all clients of a lane want alike.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct LaneKey {
    pub(super) topics: TopicSet,
    pub(super) view: StreamView,
}

impl LaneKey {
    pub(super) fn of(request: &SubscribeRequest) -> Self {
        Self {
            topics: request.topics.clone(),
            view: request.view.clone(),
        }
    }

    /// How many at the end it takes to open the lane. For one alone there is nothing to share; but only lanes pack.
    pub(super) fn min_subscribers(&self) -> usize {
        match self.view.coding {
            ContentCoding::Identity => 2,
            ContentCoding::Gzip => 1,
        }
    }

    /// The same, from now on.
    pub(super) fn request(&self, client: ClientKey, now: Timestamp) -> SubscribeRequest {
        SubscribeRequest {
            topics: self.topics.clone(),
            position: None,
            since: None,
            view: self.view.clone(),
            client,
            now,
        }
    }
}
