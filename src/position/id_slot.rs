//! A slot of an id: one partition of a subscription, with the position that is written for it.

use std::sync::Arc;

use super::{LogPosition, PartitionPosition};

/// A partition and the client's position in it.
#[derive(Clone, Debug)]
pub(super) struct IdSlot {
    pub(super) topic: Arc<str>,
    pub(super) partition: i32,
    pub(super) place: PartitionPosition,
}

impl IdSlot {
    pub(super) fn new((topic, partition, place): (Arc<str>, i32, PartitionPosition)) -> Self {
        Self {
            topic,
            partition,
            place: writable(place),
        }
    }
}

/// Returns `place` without values that `decode` would refuse: the -1 by which Kafka says "unknown", and an epoch without a
/// log.
pub(super) fn writable(place: PartitionPosition) -> PartitionPosition {
    match place {
        PartitionPosition::Since(timestamp) => PartitionPosition::Since(timestamp.max(0)),
        PartitionPosition::At(mark) => PartitionPosition::At(LogPosition {
            offset: mark.offset.max(0),
            timestamp: mark.timestamp.filter(|timestamp| *timestamp >= 0),
            log: mark.log,
            epoch: mark.epoch.filter(|epoch| mark.log.is_some() && *epoch >= 0),
        }),
        PartitionPosition::Earliest | PartitionPosition::Latest => place,
    }
}
