//! Stages of an offset request: a single one for times, two for bounds.

use super::{
    pacer::QueryClass,
    request::{PartitionQuery, RequestKind},
};
use crate::{
    kafka::client::raw::{FoundOffset, OffsetSpec},
    partition::{Bounds, TopicPartition},
};

/// What a request asks for each of its partitions, in this order.
pub(super) enum QueryStage {
    Starts(Vec<PartitionQuery<Bounds>>),
    /// Queried after the starts: an end that is older than its start would not be a bound.
    Ends(Vec<(FoundOffset, PartitionQuery<Bounds>)>),
    Times(Vec<(i64, PartitionQuery<FoundOffset>)>),
}

impl QueryStage {
    /// Returns the first stage of a request.
    pub(super) fn first(kind: RequestKind) -> Self {
        match kind {
            RequestKind::Bounds(queries) => Self::Starts(queries),
            RequestKind::Times(queries) => Self::Times(queries),
        }
    }

    /// Returns the class under which the pacer counts the stage.
    pub(super) fn class(&self) -> QueryClass {
        match self {
            Self::Starts(_) | Self::Ends(_) => QueryClass::Bounds,
            Self::Times(_) => QueryClass::Times,
        }
    }

    /// Returns the number of partitions.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Starts(queries) => queries.len(),
            Self::Ends(queries) => queries.len(),
            Self::Times(queries) => queries.len(),
        }
    }

    /// Returns the partitions, with what is asked of each.
    pub(super) fn partitions(&self) -> Vec<(&TopicPartition, OffsetSpec)> {
        match self {
            Self::Starts(queries) => queries
                .iter()
                .map(|query| (&query.partition, OffsetSpec::Start))
                .collect(),
            Self::Ends(queries) => queries
                .iter()
                .map(|(_, query)| (&query.partition, OffsetSpec::End))
                .collect(),
            Self::Times(queries) => queries
                .iter()
                .map(|(time, query)| (&query.partition, OffsetSpec::Time(*time)))
                .collect(),
        }
    }
}
