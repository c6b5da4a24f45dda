//! Offset requests: batches of queries for one broker.
//!
//! Not here: the queries that wait (`pending`), and the stages of a request (`stage`).

use std::{collections::HashMap, time::Instant};

use super::{
    pacer::{QueryClass, QueryPacer},
    reply::QueryReply,
};
use crate::{
    kafka::client::raw::FoundOffset,
    partition::{Bounds, TopicPartition},
    position::Timestamp,
};

/// A request to one broker. It holds each partition once.
pub(super) struct OffsetsRequest {
    pub(super) broker: i32,
    pub(super) kind: RequestKind,
}

/// The partitions of a request.
pub(super) enum RequestKind {
    Bounds(Vec<PartitionQuery<Bounds>>),
    /// One time for each partition.
    Times(Vec<(Timestamp, PartitionQuery<FoundOffset>)>),
}

/// A queried partition, and the callers that wait for the answer.
pub(super) struct PartitionQuery<T> {
    pub(super) partition: TopicPartition,
    pub(super) replies: Vec<QueryReply<T>>,
}

/// Requests that are being assembled, one for each broker.
pub(super) struct RequestBatches<T> {
    class: QueryClass,
    by_broker: HashMap<i32, RequestBatch<T>>,
}

enum RequestBatch<T> {
    Open(Vec<T>),
    /// The broker takes no further request now.
    Refused,
}

impl<T> RequestBatches<T> {
    pub(super) fn new(class: QueryClass) -> Self {
        Self {
            class,
            by_broker: HashMap::new(),
        }
    }

    /// Returns whether one more partition of this broker may be queried now.
    pub(super) fn admit(&mut self, broker: i32, pacer: &QueryPacer, now: Instant) -> bool {
        let batch =
            self.by_broker
                .entry(broker)
                .or_insert_with(|| match pacer.can_send(broker, self.class, now) {
                    true => RequestBatch::Open(Vec::new()),
                    false => RequestBatch::Refused,
                });
        matches!(batch, RequestBatch::Open(items) if items.len() < MAX_PARTITIONS)
    }

    /// Adds a query to the request to `broker`, if that is open.
    pub(super) fn push(&mut self, broker: i32, item: T) {
        if let Some(RequestBatch::Open(items)) = self.by_broker.get_mut(&broker) {
            items.push(item);
        }
    }

    /// Returns the requests that hold a query, and records them as sent.
    pub(super) fn requests(
        self,
        kind: impl Fn(Vec<T>) -> RequestKind,
        pacer: &mut QueryPacer,
    ) -> Vec<OffsetsRequest> {
        let by_broker = self.by_broker.into_iter();
        by_broker
            .filter_map(|(broker, batch)| match batch {
                RequestBatch::Open(items) if !items.is_empty() => {
                    pacer.record_sent(broker, self.class);
                    Some(OffsetsRequest {
                        broker,
                        kind: kind(items),
                    })
                }
                RequestBatch::Open(_) | RequestBatch::Refused => None,
            })
            .collect()
    }
}

impl<T> PartitionQuery<T> {
    pub(super) fn new(partition: &TopicPartition, replies: Vec<QueryReply<T>>) -> Self {
        Self {
            partition: partition.clone(),
            replies,
        }
    }
}

impl PartitionQuery<Bounds> {
    /// Returns whether a caller wants to know the lowest epoch from the end on.
    pub(super) fn wants_lowest_epoch(&self) -> bool {
        self.replies.iter().any(QueryReply::wants_lowest_epoch)
    }
}

/// Partitions in one request. librdkafka compares each one with every other.
const MAX_PARTITIONS: usize = 512;
