//! The topics of a subscription, and how each was when it was last looked at.

use std::sync::Arc;

use crate::position::{PartitionPosition, TopicSet};

/// The topics of a subscription, and how each was when it was last looked at.
#[derive(Clone, Debug, Default)]
pub(super) struct TopicStates {
    pub(super) topics: TopicSet,
    pub(super) states: Arc<[ObservedState]>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ObservedState {
    /// How many of the topic's partitions are in `parts`; `None` while nothing is known of them.
    pub(super) partitions: Option<i32>,
    /// The brokers had no such topic when it was looked at: all of a later one is new to the client.
    pub(super) absent: bool,
}

impl TopicStates {
    /// Those of topics that were not looked at yet.
    pub(super) fn new(topics: TopicSet) -> Self {
        Self {
            states: vec![ObservedState::default(); topics.len()].into(),
            topics,
        }
    }

    /// Returns what an id says of the topics that are absent, and not named by parts: that a later one starts at its start.
    pub(super) fn entries_of_absent(
        &self,
        has_parts: impl Fn(&str) -> bool,
    ) -> impl Iterator<Item = (Arc<str>, i32, PartitionPosition)> {
        self.topics
            .names()
            .zip(&*self.states)
            .filter(move |(name, state)| state.absent && !has_parts(name))
            .map(|(name, _)| (name.clone(), 0, PartitionPosition::Earliest))
    }
}
