//! The key by which clients share a lane: topics and view.

use crate::{
    client::ClientKey,
    position::{Timestamp, TopicSet},
    subscription::{ContentCoding, StreamView, SubscribeRequest},
};

/// The topics and the view that all clients of a lane have in common.
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

    /// Returns how many clients must have caught up before the lane starts. One alone has nothing to share, but only
    /// lanes compress.
    pub(super) fn min_subscribers(&self) -> usize {
        match self.view.coding {
            ContentCoding::Identity => 2,
            ContentCoding::Gzip => 1,
        }
    }

    /// Returns a request for the lane's own subscription, which starts live.
    pub(super) fn request(&self, client: ClientKey, now: Timestamp) -> SubscribeRequest {
        SubscribeRequest {
            topics: self.topics.clone(),
            position: None,
            ranges: None,
            since: None,
            view: self.view.clone(),
            client,
            now,
        }
    }
}
