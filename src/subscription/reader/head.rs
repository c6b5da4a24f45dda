//! The page that a merge takes the next event of one partition from.

use std::sync::Arc;

use crate::{
    event::Event,
    partition::Page,
    position::{Offset, Timestamp},
    subscription::partition_reader::PartitionPoll,
};

/// A page that a part gives from.
pub(super) struct MergeHead {
    pub(super) page: Arc<Page>,
    /// Of its next event.
    pub(super) index: usize,
    /// Behind the last event that is given.
    pub(super) end: usize,
    /// The offset that the part stands at behind that.
    pub(super) next: Offset,
}

impl MergeHead {
    pub(super) fn of(give: PartitionPoll) -> Option<Self> {
        match give {
            PartitionPoll::Page(page, range) => Some(Self {
                index: page.index_of(range.start),
                end: page.index_of(range.end),
                next: range.end,
                page,
            }),
            PartitionPoll::Fetching | PartitionPoll::Idle => None,
        }
    }

    /// The next event; `None` when there is only a hole left.
    pub(super) fn event(&self) -> Option<&Event> {
        self.page.events()[..self.end].get(self.index)
    }

    /// What the merge orders by; a hole comes first, because passing it costs nothing.
    pub(super) fn timestamp(&self) -> Timestamp {
        self.event_time().unwrap_or(Timestamp::MIN)
    }

    /// Returns the time of the next event.
    pub(super) fn event_time(&self) -> Option<Timestamp> {
        self.event().map(|event| event.timestamp)
    }
}
