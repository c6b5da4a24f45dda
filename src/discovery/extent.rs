//! Where the partitions of a topic begin and end, in the form that clients get.

use serde::Serialize;

use crate::position::{Offset, Timestamp};

/// A topic and its partitions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TopicExtent {
    /// The topic's name.
    pub name: String,
    /// Its partitions, in the order of their numbers. Empty while it is not known how many there are.
    pub partitions: Vec<PartitionExtent>,
}

/// Where a partition begins and ends.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PartitionExtent {
    /// The partition's number.
    pub partition: i32,
    /// The first offset of the log, and the time of the first record.
    pub earliest: LogEdge,
    /// The offset behind the last record, which the next one gets at the earliest, and the time of the last record.
    pub latest: LogEdge,
}

/// One end of a log. Both are `None` while the partition's leader has not answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LogEdge {
    /// The offset.
    pub offset: Option<Offset>,
    /// The time of the record there. `None` if there is no record, if it has no time, or as long as it is not known.
    pub timestamp: Option<Timestamp>,
}

impl LogEdge {
    pub(super) fn at(offset: Offset, timestamp: Option<Timestamp>) -> Self {
        Self {
            offset: Some(offset),
            timestamp,
        }
    }
}
