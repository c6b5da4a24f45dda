//! Requests to brokers, put together from the queries that may be sent now.

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

/// What one request asks its broker: each partition once.
pub(super) struct OffsetsRequest {
    pub(super) broker: i32,
    pub(super) kind: RequestKind,
}

pub(super) enum RequestKind {
    Bounds(Vec<PartitionQuery<Bounds>>),
    /// A time of each.
    Times(Vec<(Timestamp, PartitionQuery<FoundOffset>)>),
}

/// A partition that is asked about, and those who want to know.
pub(super) struct PartitionQuery<T> {
    pub(super) partition: TopicPartition,
    pub(super) replies: Vec<QueryReply<T>>,
}

/// Requests that are being put together, one for each broker.
pub(super) struct RequestBatches<T> {
    class: QueryClass,
    by_broker: HashMap<i32, RequestBatch<T>>,
}

enum RequestBatch<T> {
    Open(Vec<T>),
    /// The broker takes no more now.
    Refused,
}

impl<T> RequestBatches<T> {
    pub(super) fn new(class: QueryClass) -> Self {
        Self {
            class,
            by_broker: HashMap::new(),
        }
    }

    /// Whether one more partition of this broker may be asked now.
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

    pub(super) fn push(&mut self, broker: i32, item: T) {
        if let Some(RequestBatch::Open(items)) = self.by_broker.get_mut(&broker) {
            items.push(item);
        }
    }

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

/// Partitions in one request: librdkafka compares each with each.
const MAX_PARTITIONS: usize = 512;
