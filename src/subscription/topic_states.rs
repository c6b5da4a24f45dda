//! The topics of a subscription, and the state in which each was last seen.

use std::sync::Arc;

use crate::position::{PartitionPosition, TopicSet};

/// The topics of a subscription, and the state in which each was last seen in the directory.
#[derive(Clone, Debug, Default)]
pub(super) struct TopicStates {
    pub(super) topics: TopicSet,
    pub(super) states: Arc<[ObservedState]>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ObservedState {
    /// How many of the topic's partitions the subscription has; `None` while the topic is unknown.
    pub(super) partitions: Option<i32>,
    /// Whether the brokers had no such topic. All records of a later topic of this name are then new to the client.
    pub(super) absent: bool,
}

impl TopicStates {
    /// Creates the states of topics that have not been looked up yet.
    pub(super) fn new(topics: TopicSet) -> Self {
        Self {
            states: vec![ObservedState::default(); topics.len()].into(),
            topics,
        }
    }

    /// Returns the id entries of absent topics for which `has_partitions` is false. They say that a later topic of this name
    /// starts at its beginning.
    pub(super) fn entries_of_absent(
        &self,
        has_partitions: impl Fn(&str) -> bool,
    ) -> impl Iterator<Item = (Arc<str>, i32, PartitionPosition)> {
        self.topics
            .names()
            .zip(&*self.states)
            .filter(move |(name, state)| state.absent && !has_partitions(name))
            .map(|(name, _)| (name.clone(), 0, PartitionPosition::Earliest))
    }
}
