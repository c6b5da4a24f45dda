//! Gap events, which tell a client that it lost records.

use std::fmt;

use serde::Serialize;

use crate::{partition::TopicPartition, position::Offset};

/// A gap: records were lost, or may be repeated. It is created for no other reason: a client that sees no gap has every
/// record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The partition with the gap.
    pub partition: TopicPartition,
    /// The offset at which the client wanted to continue; `None` if it asked by time.
    pub requested: Option<Offset>,
    /// The offset at which the client continues; `None` if it does not.
    pub resumed: Option<Offset>,
    /// The reason for the gap.
    pub reason: GapReason,
}

/// The reason for a gap: what a client reads as `reason`, and a label of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GapReason {
    /// The records before the client's position were truncated from the log, and others were written in their place.
    Truncated,
    /// The offset is below the log start: retention deleted the records first.
    Expired,
    /// The topic was deleted and created again.
    Recreated,
    /// The id is of another cluster; its timestamp was used.
    OtherCluster,
    /// The stream is now read from another cluster; the timestamp was used.
    Failover,
    /// The offset is past the end of the log, and nothing proves which log it belongs to.
    PastEnd,
    /// The record before the offset is not the one in the id; the id's timestamp was used.
    Unproven,
    /// The topic does not have this partition, or no longer has it.
    PartitionGone,
    /// The records from `requested` up to `resumed` are damaged on the broker and cannot be read.
    Unreadable,
    /// The topic does not have this many of the client's partitions. One gap stands for all of them, and names the
    /// lowest.
    PartitionsGone(u32),
}

impl GapReason {
    /// Returns the reason as written in gap events and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
            Self::Expired => "expired",
            Self::Recreated => "recreated",
            Self::OtherCluster => "other_cluster",
            Self::Failover => "failover",
            Self::PastEnd => "past_end",
            Self::Unproven => "unproven",
            Self::Unreadable => "unreadable",
            Self::PartitionGone | Self::PartitionsGone(_) => "partition_gone",
        }
    }

    /// Returns the number of partitions that the gap stands for, if there are several.
    fn partitions(self) -> Option<u32> {
        match self {
            Self::PartitionsGone(partitions) => Some(partitions),
            _ => None,
        }
    }
}

impl fmt::Display for Gap {
    /// Writes the JSON object that is the event's data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        #[derive(Serialize)]
        struct Data<'a> {
            topic: &'a str,
            partition: i32,
            requested: Option<Offset>,
            resumed: Option<Offset>,
            reason: &'static str,
            #[serde(skip_serializing_if = "Option::is_none")]
            partitions: Option<u32>,
        }
        let data = Data {
            topic: &self.partition.topic,
            partition: self.partition.partition,
            requested: self.requested,
            resumed: self.resumed,
            reason: self.reason.as_str(),
            partitions: self.reason.partitions(),
        };
        f.write_str(&serde_json::to_string(&data).map_err(|_| fmt::Error)?)
    }
}

/// The most bytes of a gap event: the longest topic name and three numbers.
pub(super) const MAX_GAP_BYTES: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_is_what_clients_parse() {
        let gap = Gap {
            partition: TopicPartition {
                topic: "edits".into(),
                partition: 2,
            },
            requested: Some(600),
            resumed: Some(100),
            reason: GapReason::Truncated,
        };
        assert_eq!(
            gap.to_string(),
            r#"{"topic":"edits","partition":2,"requested":600,"resumed":100,"reason":"truncated"}"#
        );
    }

    #[test]
    fn the_longest_gap_is_within_its_bound_and_says_how_many_partitions_it_is_of() {
        let gap = Gap {
            partition: TopicPartition {
                topic: "t".repeat(249).into(),
                partition: i32::MAX,
            },
            requested: Some(i64::MAX),
            resumed: Some(i64::MAX),
            reason: GapReason::PartitionsGone(u32::MAX),
        };
        let text = format!("event: gap\ndata: {gap}\n\n");
        assert!(text.len() <= MAX_GAP_BYTES, "{}", text.len());
        assert!(
            text.contains(r#""reason":"partition_gone","partitions":4294967295}"#),
            "{text}"
        );
    }
}
