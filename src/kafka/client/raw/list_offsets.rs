//! ListOffsets without waiting: many requests in flight, whose answers come out of a queue.

use std::{
    ptr,
    time::{Duration, Instant},
};

use rdkafka::{TopicPartitionList, bindings::*, types::RDKafkaErrorCode};

use super::{
    FoundOffset, KafkaQueue, KafkaReader, OffsetSpec,
    admin_event::{AdminEvent, array},
    millis,
    offsets::{UNANSWERED, found},
};
use crate::partition::TopicPartition;

/// What a leader reports as the end of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kafka) enum IsolationLevel {
    /// The last stable offset.
    ReadCommitted,
    /// The high watermark.
    ReadUncommitted,
}

/// The answer to one request.
#[derive(Debug)]
pub(in crate::kafka) struct OffsetsResponse {
    /// The number of the request.
    pub(in crate::kafka) request: usize,
    /// For each partition, in the order asked for, its leader's answer; or why there is no answer at all.
    pub(in crate::kafka) result: Result<Vec<Result<FoundOffset, RDKafkaErrorCode>>, RDKafkaErrorCode>,
}

impl KafkaReader {
    /// Sends a ListOffsets request for these partitions, each of which occurs once in the list, and returns at once.
    /// [`KafkaQueue::poll_offsets`] returns the answer, with the number `request`, after `wait` at the latest.
    ///
    /// # Errors
    /// Returns an error if librdkafka rejects a topic name.
    pub(in crate::kafka) fn list_offsets<'a>(
        &self,
        request: usize,
        partitions: impl ExactSizeIterator<Item = (&'a TopicPartition, OffsetSpec)>,
        isolation_level: IsolationLevel,
        wait: Duration,
        queue: &KafkaQueue,
    ) -> Result<(), RDKafkaErrorCode> {
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for (partition, when) in partitions {
            list.add_partition_offset(&partition.topic, partition.partition, when.to_librdkafka())
                .map_err(|_| RDKafkaErrorCode::InvalidArgument)?;
        }
        let client = self.handle.client();
        // SAFETY: client and queue are alive; the list is copied; the options, which are created here, are copied and destroyed
        // here. The opaque pointer is a number that is never dereferenced.
        unsafe {
            let options =
                rd_kafka_AdminOptions_new(client, rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_LISTOFFSETS);
            rd_kafka_AdminOptions_set_request_timeout(options, millis(wait), ptr::null_mut(), 0);
            // librdkafka's default here is to read uncommitted, whatever the client's configuration.
            rd_kafka_AdminOptions_set_isolation_level(options, isolation_level.to_librdkafka());
            rd_kafka_AdminOptions_set_opaque(options, ptr::without_provenance_mut(request));
            rd_kafka_ListOffsets(client, list.ptr(), options, queue.as_ptr());
            rd_kafka_AdminOptions_destroy(options);
        }
        Ok(())
    }
}

impl IsolationLevel {
    fn to_librdkafka(self) -> rd_kafka_IsolationLevel_t {
        match self {
            Self::ReadCommitted => rd_kafka_IsolationLevel_t::RD_KAFKA_ISOLATION_LEVEL_READ_COMMITTED,
            Self::ReadUncommitted => rd_kafka_IsolationLevel_t::RD_KAFKA_ISOLATION_LEVEL_READ_UNCOMMITTED,
        }
    }
}

impl KafkaQueue {
    /// Waits for an answer to [`KafkaReader::list_offsets`], until `until` at the latest, or until the queue is woken. Use it
    /// only for a queue that no partition is started into.
    pub(in crate::kafka) fn poll_offsets(&self, until: Instant) -> Option<OffsetsResponse> {
        let event = AdminEvent::poll(self, until.saturating_duration_since(Instant::now()))?;
        // SAFETY: a live event; its opaque pointer is the number that `list_offsets` has set.
        let request = unsafe { rd_kafka_event_opaque(event.as_ptr()) }.addr();
        let offsets = || infos(&event).iter().map(|info| offset_of(*info)).collect();
        let result = event.check().map(|()| offsets());
        Some(OffsetsResponse { request, result })
    }
}

/// Returns the answers for the partitions in the result of a ListOffsets request.
fn infos(event: &AdminEvent) -> &[*const rd_kafka_ListOffsetsResultInfo_t] {
    let mut count = 0;
    // SAFETY: a live event; its content lives as long as it does. For another kind of event the result is null.
    unsafe {
        let result = rd_kafka_event_ListOffsets_result(event.as_ptr());
        if result.is_null() {
            return &[];
        }
        let infos = rd_kafka_ListOffsets_result_infos(result, &mut count);
        array(infos, count)
    }
}

fn offset_of(info: *const rd_kafka_ListOffsetsResultInfo_t) -> Result<FoundOffset, RDKafkaErrorCode> {
    // SAFETY: called only with the entries of a live answer; the partition lives as long.
    let element = unsafe { &*rd_kafka_ListOffsetsResultInfo_topic_partition(info) };
    match found(element) {
        // The request to this partition's leader failed. librdkafka drops the reason if other leaders were asked as well.
        Ok(_) if element.offset == UNANSWERED => Err(RDKafkaErrorCode::OperationTimedOut),
        found => found,
    }
}
