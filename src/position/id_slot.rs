//! A slot of an id: one partition of a subscription, with the position that is written for it.

use std::sync::Arc;

use super::{LogPosition, PartitionPosition};

/// A partition and the client's position in it.
#[derive(Clone, Debug)]
pub(super) struct IdSlot {
    pub(super) topic: Arc<str>,
    pub(super) partition: i32,
    pub(super) position: PartitionPosition,
}

impl IdSlot {
    pub(super) fn new((topic, partition, position): (Arc<str>, i32, PartitionPosition)) -> Self {
        Self {
            topic,
            partition,
            position: writable(position),
        }
    }
}

/// Returns `position` without values that `decode` would refuse: the -1 by which Kafka says "unknown", and an epoch without a
/// log.
pub(super) fn writable(position: PartitionPosition) -> PartitionPosition {
    match position {
        PartitionPosition::Since(timestamp) => PartitionPosition::Since(timestamp.max(0)),
        PartitionPosition::At(log_position) => PartitionPosition::At(LogPosition {
            offset: log_position.offset.max(0),
            timestamp: log_position.timestamp.filter(|timestamp| *timestamp >= 0),
            log: log_position.log,
            epoch: log_position
                .epoch
                .filter(|epoch| log_position.log.is_some() && *epoch >= 0),
        }),
        PartitionPosition::Earliest | PartitionPosition::Latest => position,
    }
}
