//! Stages of an offset request: a single one for times, two or three for bounds.

use super::{
    pacer::QueryClass,
    request::{PartitionQuery, RequestKind},
};
use crate::{
    kafka::client::raw::{FoundOffset, IsolationLevel, OffsetSpec},
    partition::{Bounds, TopicPartition},
};

/// What a request asks for each of its partitions, in this order.
pub(super) enum QueryStage {
    Starts(Vec<PartitionQuery<Bounds>>),
    /// Queried before the ends, where a caller wants to know the lowest epoch from the end on.
    HighWatermarks(Vec<(FoundOffset, PartitionQuery<Bounds>)>),
    /// Queried after the starts: an end that is older than its start would not be a bound.
    Ends(Vec<EndQuery>),
    Times(Vec<(i64, PartitionQuery<FoundOffset>)>),
}

/// A partition whose end is queried.
pub(super) struct EndQuery {
    pub(super) start: FoundOffset,
    /// The high watermark, if it was queried.
    pub(super) high: Option<FoundOffset>,
    pub(super) query: PartitionQuery<Bounds>,
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
            Self::Starts(_) | Self::HighWatermarks(_) | Self::Ends(_) => QueryClass::Bounds,
            Self::Times(_) => QueryClass::Times,
        }
    }

    /// Returns the isolation level, which decides what counts as the end.
    pub(super) fn isolation_level(&self) -> IsolationLevel {
        match self {
            Self::HighWatermarks(_) => IsolationLevel::ReadUncommitted,
            Self::Starts(_) | Self::Ends(_) | Self::Times(_) => IsolationLevel::ReadCommitted,
        }
    }

    /// Returns the number of partitions.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Starts(queries) => queries.len(),
            Self::HighWatermarks(queries) => queries.len(),
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
            Self::HighWatermarks(queries) => queries
                .iter()
                .map(|(_, query)| (&query.partition, OffsetSpec::End))
                .collect(),
            Self::Ends(queries) => queries
                .iter()
                .map(|EndQuery { query, .. }| (&query.partition, OffsetSpec::End))
                .collect(),
            Self::Times(queries) => queries
                .iter()
                .map(|(time, query)| (&query.partition, OffsetSpec::Time(*time)))
                .collect(),
        }
    }
}
