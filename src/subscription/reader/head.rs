//! The heads of a merge: for each partition the page with its next event.

use std::sync::Arc;

use crate::{
    event::Event,
    partition::Page,
    position::{Offset, Timestamp},
    subscription::PartitionPoll,
};

/// A page from which the merge takes the events of one partition.
pub(in crate::subscription) struct MergeHead {
    pub(super) page: Arc<Page>,
    /// The index of the next event.
    pub(super) index: usize,
    /// The index after the last event to be taken.
    pub(super) end: usize,
    /// The offset at which the partition continues after that.
    pub(super) next: Offset,
}

impl MergeHead {
    pub(super) fn of(polled: PartitionPoll) -> Option<Self> {
        match polled {
            PartitionPoll::Page(page, range) => Some(Self {
                index: page.index_of(range.start),
                end: page.index_of(range.end),
                next: range.end,
                page,
            }),
            PartitionPoll::Fetching | PartitionPoll::Idle => None,
        }
    }

    /// Returns the next event; `None` if only a hole is left.
    pub(super) fn event(&self) -> Option<&Event> {
        self.page.events()[..self.end].get(self.index)
    }

    /// Returns the timestamp of the next event; `None` if only a hole is left.
    pub(super) fn event_time(&self) -> Option<Timestamp> {
        self.event().map(|event| event.timestamp)
    }
}
