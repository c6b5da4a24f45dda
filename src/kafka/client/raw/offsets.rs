//! ListOffsets as a blocking call: where partitions start and end, and the offset of a timestamp.

use std::{slice, sync::Arc, time::Duration};

use rdkafka::{
    Offset as RdKafkaOffset, TopicPartitionList,
    bindings::{RD_KAFKA_OFFSET_INVALID, rd_kafka_topic_partition_get_leader_epoch},
    consumer::Consumer,
    types::{RDKafkaErrorCode, RDKafkaTopicPartition},
};

use super::KafkaReader;
use crate::position::{Epoch, Offset, Timestamp};

/// The offset to ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::kafka) enum OffsetSpec {
    /// The log start offset.
    Start,
    /// The last stable offset.
    End,
    /// The first record at or after this timestamp, in ms.
    Time(Timestamp),
}

/// A leader's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kafka) struct FoundOffset {
    /// The offset; `None` if no record is that new.
    pub(in crate::kafka) offset: Option<Offset>,
    /// The epoch of the record there, or for [`OffsetSpec::End`] the latest that the leader knows; `None` if it is not
    /// reported.
    pub(in crate::kafka) epoch: Option<Epoch>,
}

impl KafkaReader {
    /// Asks the leaders of these partitions, each of which occurs once in the list, for an offset. A blocking call.
    ///
    /// # Errors
    /// Returns an error if one of the leaders did not answer in time, or refused one of the partitions. librdkafka then reports
    /// nothing of the others either.
    pub(in crate::kafka) fn query_offsets(
        &self,
        partitions: &[(Arc<str>, i32)],
        when: OffsetSpec,
        wait: Duration,
    ) -> Result<Vec<Result<FoundOffset, RDKafkaErrorCode>>, RDKafkaErrorCode> {
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for (topic, partition) in partitions {
            list.add_partition_offset(topic, *partition, when.to_librdkafka())
                .map_err(|_| RDKafkaErrorCode::InvalidArgument)?;
        }
        let list = self
            .handle
            .consumer()
            .offsets_for_times(list, wait)
            .map_err(|error| error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown))?;
        // SAFETY: a live list, which has `cnt` elements in the order in which they were added.
        let elements = unsafe {
            let list = &*list.ptr();
            slice::from_raw_parts(list.elems, usize::try_from(list.cnt).unwrap_or(0))
        };
        Ok(elements.iter().map(found).collect())
    }
}

impl OffsetSpec {
    /// Returns librdkafka's form of the query: a timestamp stands where the offset does.
    pub(super) fn to_librdkafka(self) -> RdKafkaOffset {
        match self {
            Self::Start => RdKafkaOffset::Beginning,
            Self::End => RdKafkaOffset::End,
            Self::Time(time) => RdKafkaOffset::Offset(time.max(0)),
        }
    }
}

/// The offset of a partition for which librdkafka asked no broker, or got no answer.
pub(super) const UNANSWERED: i64 = RD_KAFKA_OFFSET_INVALID as i64;

/// Returns the answer for one partition.
///
/// # Errors
/// Returns the leader's error for the partition.
pub(super) fn found(element: &RDKafkaTopicPartition) -> Result<FoundOffset, RDKafkaErrorCode> {
    match RDKafkaErrorCode::from(element.err) {
        RDKafkaErrorCode::NoError => Ok(FoundOffset {
            offset: Some(element.offset).filter(|offset| *offset >= 0),
            // SAFETY: an element of a live list.
            epoch: Some(unsafe { rd_kafka_topic_partition_get_leader_epoch(element) })
                .filter(|epoch| *epoch >= 0),
        }),
        code => Err(code),
    }
}
