//! What a client is told when it lost something.

use std::fmt;

use serde::Serialize;

use crate::{partition::TopicPartition, position::Offset};

/// Something was lost, or may be repeated. Never made for anything else: a client that is told nothing has everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Where.
    pub partition: TopicPartition,
    /// The offset that the client asked for; `None` when it asked by time.
    pub requested: Option<Offset>,
    /// The offset it goes on at; `None` when it does not.
    pub resumed: Option<Offset>,
    /// Why.
    pub reason: GapReason,
}

/// Why there is a gap. What a client reads as `reason`, and a label of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GapReason {
    /// The records behind the client's place were cut off the log and others written.
    Truncated,
    /// The offset is below the log start: retention was faster.
    Expired,
    /// The topic was deleted and created again.
    Recreated,
    /// The id is of another cluster; its timestamp was used.
    OtherCluster,
    /// The stream is read from another cluster now; the timestamp was used.
    Failover,
    /// The offset is past the end, and nothing proves whose it is.
    PastEnd,
    /// The record there is not the one the id speaks of; its timestamp was used.
    Unproven,
    /// The topic does not have this partition (any more).
    PartitionGone,
    /// The offsets from `requested` up to `resumed` are damaged on the broker, and cannot be read.
    Unreadable,
    /// It does not have so many of the client's partitions, of which the gap names the lowest: one gap tells of all of them.
    PartitionsGone(u32),
}

impl GapReason {
    /// As it is written in the event and in metrics.
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

    /// How many partitions it is about, where that is more than one.
    fn partitions(self) -> Option<u32> {
        match self {
            Self::PartitionsGone(partitions) => Some(partitions),
            _ => None,
        }
    }
}

impl fmt::Display for Gap {
    /// The JSON object that is the event's data.
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

/// The most bytes that a gap takes as an event: the longest name of a topic, and three numbers.
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
