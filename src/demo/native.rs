//! The one function of librdkafka's mock cluster that rdkafka does not wrap, and a reader for tests.
#![allow(unsafe_code)] // rdkafka keeps the mock cluster's pointer to itself, and has no call that adds a broker.

use rdkafka::{
    ClientContext,
    bindings::{rd_kafka_handle_mock_cluster, rd_kafka_mock_broker_add},
    client::Client,
    error::{IsError, KafkaError},
    types::RDKafkaErrorCode,
};

/// Adds a broker with this id to the mock cluster of `client`.
///
/// Blocks until the mock's thread has done it, which may take a second (see [`super::brokers`]).
///
/// # Errors
///
/// [`KafkaError::MockCluster`] if `client` has no mock cluster, the id is taken, or no port is free.
pub(super) fn add_broker<C: ClientContext>(client: &Client<C>, id: i32) -> Result<(), KafkaError> {
    // SAFETY: the pointer belongs to a live client: `client` is borrowed for the whole call.
    let cluster = unsafe { rd_kafka_handle_mock_cluster(client.native_ptr()) };
    if cluster.is_null() {
        return Err(KafkaError::MockCluster(RDKafkaErrorCode::InvalidArgument));
    }
    // SAFETY: the pointer is not null, and the cluster is owned by the client, which destroys it only when it is dropped. The
    // call hands a command to the mock's own thread and waits for the answer, so it may come from any thread.
    let answer = unsafe { rd_kafka_mock_broker_add(cluster, id) };
    if answer.is_error() {
        return Err(KafkaError::MockCluster(answer.into()));
    }
    Ok(())
}

/// Reads whole topics as the gateway does, with librdkafka's consumer API that needs no group.
#[cfg(test)]
pub(super) struct TopicReader {
    consumer: rdkafka::consumer::BaseConsumer,
    queue: *mut rdkafka::bindings::rd_kafka_queue_t,
    topics: Vec<*mut rdkafka::bindings::rd_kafka_topic_t>,
    partitions: i32,
}

#[cfg(test)]
mod reader {
    use std::{ffi::CString, ptr::null_mut, slice, time::Duration};

    use rdkafka::{
        ClientConfig,
        bindings::{
            rd_kafka_consume_queue, rd_kafka_consume_start_queue, rd_kafka_consume_stop,
            rd_kafka_message_destroy, rd_kafka_message_t, rd_kafka_queue_destroy, rd_kafka_queue_new,
            rd_kafka_topic_destroy, rd_kafka_topic_name, rd_kafka_topic_new,
        },
        consumer::{BaseConsumer, Consumer},
    };

    use super::TopicReader;

    const FROM_THE_START: i64 = -2;

    impl TopicReader {
        pub(crate) fn new(bootstrap: &[String], topics: [&str; 2], partitions: i32) -> Self {
            let consumer: BaseConsumer = ClientConfig::new()
                .set("bootstrap.servers", bootstrap.join(","))
                .set("fetch.wait.max.ms", "10")
                .create()
                .unwrap();
            let client = consumer.client().native_ptr();
            // SAFETY: the client lives as long as the reader, whose drop destroys queue and topics first.
            let queue = unsafe { rd_kafka_queue_new(client) };
            let topics = topics.map(|name| {
                let name = CString::new(name).unwrap();
                // SAFETY: as above; the name is copied.
                unsafe { rd_kafka_topic_new(client, name.as_ptr(), null_mut()) }
            });
            for (topic, partition) in topics
                .iter()
                .flat_map(|topic| (0..partitions).map(move |p| (topic, p)))
            {
                // SAFETY: both were created above and are alive.
                let answer =
                    unsafe { rd_kafka_consume_start_queue(*topic, partition, FROM_THE_START, queue) };
                assert_eq!(answer, 0);
            }
            Self {
                consumer,
                queue,
                topics: topics.to_vec(),
                partitions,
            }
        }

        /// Returns the topic, partition and value of the next record; `None` if none arrives within 100 ms.
        pub(crate) fn next(&mut self) -> Option<(String, i32, Vec<u8>)> {
            self.consumer.poll(Duration::ZERO);
            // SAFETY: the queue is alive; the message is destroyed below, after everything needed was copied from it.
            unsafe {
                let message = rd_kafka_consume_queue(self.queue, 100);
                let record = (!message.is_null()).then(|| copied(&*message))?;
                rd_kafka_message_destroy(message);
                Some(record)
            }
        }
    }

    /// # Safety
    ///
    /// `message` is complete, as librdkafka handed it over.
    unsafe fn copied(message: &rd_kafka_message_t) -> (String, i32, Vec<u8>) {
        assert_eq!(message.err as i32, 0, "partition {}", message.partition);
        // SAFETY: a message without error has a topic and `len` bytes of value.
        unsafe {
            let topic = std::ffi::CStr::from_ptr(rd_kafka_topic_name(message.rkt));
            let value = slice::from_raw_parts(message.payload.cast::<u8>(), message.len);
            (
                topic.to_str().unwrap().to_owned(),
                message.partition,
                value.to_vec(),
            )
        }
    }

    impl Drop for TopicReader {
        fn drop(&mut self) {
            // SAFETY: each was created in `new`, is destroyed once, and is not used afterwards; the client, a field, is dropped
            // after this.
            unsafe {
                for topic in &self.topics {
                    for partition in 0..self.partitions {
                        rd_kafka_consume_stop(*topic, partition);
                    }
                    rd_kafka_topic_destroy(*topic);
                }
                rd_kafka_queue_destroy(self.queue);
            }
        }
    }
}
