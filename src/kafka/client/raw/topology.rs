//! DescribeTopics: the ids of topics, and the leaders of their partitions.

use std::{
    collections::BTreeSet,
    ffi::CString,
    ptr,
    sync::Arc,
    time::{Duration, Instant},
};

use rdkafka::{bindings::*, types::RDKafkaErrorCode};

use super::{
    KafkaQueue, KafkaReader,
    admin_event::{AdminEvent, array},
    millis,
};

/// A topic as the cluster has it now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::kafka) struct TopicInfo {
    /// The topic id's 16 raw bytes; zeros from a broker older than 2.8.
    pub(in crate::kafka) id: [u8; 16],
    /// The broker that leads each partition, by partition number.
    pub(in crate::kafka) leaders: Vec<Option<i32>>,
    /// The brokers that have a replica assigned, alive or not.
    pub(in crate::kafka) replicas: BTreeSet<i32>,
}

/// A broker's answer for topics, in the order in which they were asked for.
pub(in crate::kafka) type TopicDescriptions = Vec<Result<TopicInfo, RDKafkaErrorCode>>;

impl KafkaReader {
    /// Describes these topics, in their order. A blocking call. It creates no topic.
    ///
    /// # Errors
    /// Returns an error if no broker answered within `wait`.
    pub(in crate::kafka) fn describe_topics(
        &self,
        topics: &[Arc<str>],
        wait: Duration,
    ) -> Result<TopicDescriptions, RDKafkaErrorCode> {
        let queue = self.queue()?;
        self.request_descriptions(topics, None, wait, &queue)?;
        descriptions(&queue, wait)
    }

    /// Asks each of these brokers separately to describe these topics. A blocking call that takes `wait` altogether.
    pub(in crate::kafka) fn describe_topics_by(
        &self,
        brokers: &[i32],
        topics: &[Arc<str>],
        wait: Duration,
    ) -> Vec<Result<TopicDescriptions, RDKafkaErrorCode>> {
        let deadline = Instant::now() + wait;
        let ask = |broker: &i32| -> Result<KafkaQueue, RDKafkaErrorCode> {
            let queue = self.queue()?;
            self.request_descriptions(topics, Some(*broker), wait, &queue)?;
            Ok(queue)
        };
        // All requests are sent before the first answer is awaited.
        let asked: Vec<_> = brokers.iter().map(ask).collect();
        let answers = asked.into_iter().map(|queue| {
            let left = deadline.saturating_duration_since(Instant::now());
            descriptions(&queue?, left)
        });
        answers.collect()
    }

    /// Sends a DescribeTopics request, to one broker if given; the answer comes out of `queue`.
    fn request_descriptions(
        &self,
        topics: &[Arc<str>],
        broker: Option<i32>,
        wait: Duration,
        queue: &KafkaQueue,
    ) -> Result<(), RDKafkaErrorCode> {
        let names: Result<Vec<_>, _> = topics.iter().map(|topic| CString::new(&**topic)).collect();
        let names = names.map_err(|_| RDKafkaErrorCode::InvalidTopic)?;
        let mut names: Vec<_> = names.iter().map(|name| name.as_ptr()).collect();
        let client = self.handle.client();
        // SAFETY: client and queue are alive, the names are C strings until the collection has copied them; what is
        // created here is destroyed here. Without options the defaults hold, and `descriptions` ends the wait.
        unsafe {
            let collection = rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len());
            let options =
                rd_kafka_AdminOptions_new(client, rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS);
            rd_kafka_AdminOptions_set_request_timeout(options, millis(wait), ptr::null_mut(), 0);
            if let Some(broker) = broker {
                rd_kafka_AdminOptions_set_broker(options, broker, ptr::null_mut(), 0);
            }
            rd_kafka_DescribeTopics(client, collection, options, queue.as_ptr());
            rd_kafka_AdminOptions_destroy(options);
            rd_kafka_TopicCollection_destroy(collection);
        }
        Ok(())
    }
}

/// Waits for the answer in this queue.
///
/// # Errors
/// Returns the error of the answer, or a timeout.
fn descriptions(queue: &KafkaQueue, wait: Duration) -> Result<TopicDescriptions, RDKafkaErrorCode> {
    let event = AdminEvent::poll(queue, wait).ok_or(RDKafkaErrorCode::OperationTimedOut)?;
    event.check()?;
    Ok(topics(&event).iter().map(|topic| info(*topic)).collect())
}

/// Returns the topics in the result of a DescribeTopics request.
fn topics(event: &AdminEvent) -> &[*const rd_kafka_TopicDescription_t] {
    let mut count = 0;
    // SAFETY: a live event; its content lives as long as it does. For another kind of event the result is null.
    unsafe {
        let result = rd_kafka_event_DescribeTopics_result(event.as_ptr());
        if result.is_null() {
            return &[];
        }
        let topics = rd_kafka_DescribeTopics_result_topics(result, &mut count);
        array(topics, count)
    }
}

fn info(topic: *const rd_kafka_TopicDescription_t) -> Result<TopicInfo, RDKafkaErrorCode> {
    let mut count = 0;
    // SAFETY: called only with the topics of a live answer.
    unsafe {
        let error = rd_kafka_TopicDescription_error(topic);
        if !error.is_null() && RDKafkaErrorCode::from(rd_kafka_error_code(error)) != RDKafkaErrorCode::NoError
        {
            return Err(rd_kafka_error_code(error).into());
        }
        let partitions = rd_kafka_TopicDescription_partitions(topic, &mut count);
        let partitions = || array(partitions, count).iter().copied();
        Ok(TopicInfo {
            id: id(topic),
            leaders: by_number(partitions().map(|partition| leader(partition))),
            replicas: partitions().flat_map(|partition| replicas(partition)).collect(),
        })
    }
}

/// Returns the leaders by partition number; `None` in gaps.
fn by_number(leaders: impl Iterator<Item = (i32, Option<i32>)>) -> Vec<Option<i32>> {
    let mut by_number = Vec::new();
    for (partition, leader) in leaders {
        let at = usize::try_from(partition).unwrap_or(0);
        by_number.resize(by_number.len().max(at + 1), None);
        by_number[at] = leader;
    }
    by_number
}

/// # Safety
/// `topic` is of a live answer.
unsafe fn id(topic: *const rd_kafka_TopicDescription_t) -> [u8; 16] {
    // SAFETY: as above; the id is part of the description.
    let (high, low) = unsafe {
        let id = rd_kafka_TopicDescription_topic_id(topic);
        (
            rd_kafka_Uuid_most_significant_bits(id),
            rd_kafka_Uuid_least_significant_bits(id),
        )
    };
    (u128::from(high as u64) << 64 | u128::from(low as u64)).to_be_bytes()
}

/// # Safety
/// `partition` is of a live answer.
unsafe fn leader(partition: *const rd_kafka_TopicPartitionInfo_t) -> (i32, Option<i32>) {
    // SAFETY: as above; the leader is null while there is none.
    unsafe {
        let node = rd_kafka_TopicPartitionInfo_leader(partition);
        let leader = (!node.is_null())
            .then(|| rd_kafka_Node_id(node))
            .filter(|id| *id >= 0);
        (rd_kafka_TopicPartitionInfo_partition(partition), leader)
    }
}

/// # Safety
/// `partition` is of a live answer.
unsafe fn replicas(partition: *const rd_kafka_TopicPartitionInfo_t) -> Vec<i32> {
    let mut count = 0;
    // SAFETY: as above; a node that is down still has an id.
    unsafe {
        let nodes = rd_kafka_TopicPartitionInfo_replicas(partition, &mut count);
        let nodes = array(nodes, count).iter().filter(|node| !node.is_null());
        nodes.map(|node| rd_kafka_Node_id(*node)).collect()
    }
}
