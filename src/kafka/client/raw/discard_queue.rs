//! Drops what still comes of partitions that were stopped.
//!
//! A fetch that is under way when a partition is stopped is answered all the same, and librdkafka (2.12) puts the answer into the
//! partition's own queue. `rd_kafka_fetch_reply_handle` would drop an answer of an earlier version, but a stop does not change the
//! version that it compares with: `rd_kafka_toppar_fetch_decide` does so only for a partition that is being fetched. Nobody reads that
//! queue, and a whole fetch or a large record would stay in memory for each partition until that is started again. So the queues of
//! stopped partitions are forwarded to one that drops all that is put into it.

use std::{
    ffi::CStr,
    ptr::{self, NonNull},
};

use rdkafka::{
    bindings::*,
    types::{RDKafka, RDKafkaErrorCode, RDKafkaTopic},
};

use super::{last_error, queue::QueueHandle};

/// The queue to which the queues of stopped partitions are forwarded. Must be dropped before its client.
pub(super) struct DiscardQueue {
    /// Takes what a partition's queue holds: librdkafka moves nothing into a queue that drops all.
    held: QueueHandle,
    /// Drops all that comes.
    coming: QueueHandle,
}

/// The own queue of one partition, into which librdkafka puts what it fetches. Must be dropped before its client.
pub(super) struct PartitionQueue(QueueHandle);

impl DiscardQueue {
    /// # Safety
    /// The client is alive.
    pub(super) unsafe fn new(client: *mut RDKafka) -> Result<Self, RDKafkaErrorCode> {
        // SAFETY: the client is alive.
        let queue = || QueueHandle::new(unsafe { rd_kafka_queue_new(client) }).ok_or_else(last_error);
        let (held, coming, closed) = (queue()?, queue()?, queue()?);
        // Destroying a queue's handle disables the queue: librdkafka drops what is put into it from then on (`rd_kafka_q_disable`). The
        // queue itself is freed only after `coming`, which is forwarded to it.
        coming.forward(&closed);
        drop(closed);
        Ok(Self { held, coming })
    }

    /// Drops what the partition's queue holds, and what still comes into it until it is forwarded elsewhere.
    pub(super) fn discard(&self, partition: &PartitionQueue) {
        partition.0.forward(&self.held);
        partition.0.forward(&self.coming);
        self.clear();
    }

    /// Drops what was held.
    fn clear(&self) {
        let mut batch = [ptr::null_mut(); BATCH];
        while self.held.len() > 0 {
            // Items of a stopped partition are outdated: librdkafka drops them by itself, and returns none. An error may lack a
            // version, and is returned.
            // SAFETY: the queue is alive, and there is space for this many pointers.
            let taken = unsafe {
                rd_kafka_consume_batch_queue(self.held.as_ptr(), 0, batch.as_mut_ptr(), batch.len())
            };
            for message in &batch[..usize::try_from(taken).unwrap_or(0)] {
                // SAFETY: it came from this queue, is destroyed once, and never accessed again.
                unsafe { rd_kafka_message_destroy(*message) };
            }
        }
    }
}

impl PartitionQueue {
    /// Returns the queue of a partition, and marks the partition as one to be read, as a start does. A stop takes that back.
    ///
    /// # Safety
    /// The client and the topic, which is one of the client's, are alive.
    pub(super) unsafe fn of(
        client: *mut RDKafka,
        topic: NonNull<RDKafkaTopic>,
        partition: i32,
    ) -> Option<Self> {
        // SAFETY: the topic is alive for as long as its name is used.
        let queue = unsafe {
            let name = CStr::from_ptr(rd_kafka_topic_name(topic.as_ptr()));
            rd_kafka_queue_get_partition(client, name.as_ptr(), partition)
        };
        QueueHandle::new(queue).map(Self)
    }

    /// Forwards what comes into this queue to `queue`. librdkafka does not do so itself any more once a program has forwarded a queue.
    pub(super) fn forward(&self, queue: &QueueHandle) {
        self.0.forward(queue);
    }
}

/// Errors that are taken at once.
const BATCH: usize = 16;

#[cfg(test)]
mod tests {
    use std::{
        sync::mpsc,
        thread,
        time::{Duration, Instant},
    };

    use rdkafka::{
        ClientConfig,
        mocking::MockCluster,
        producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer},
    };

    use super::*;
    use crate::{
        kafka::{
            client::{
                config::ClientKind,
                raw::{ItemKind, KafkaQueue, KafkaReader},
            },
            settings::ClusterSettings,
            shared::ClusterShared,
        },
        position::Offset,
    };

    #[test]
    fn what_comes_of_a_stopped_partition_is_dropped_and_it_can_be_started_again() {
        let brokers = MockCluster::new(1).expect("brokers");
        brokers.create_topic(TOPIC, 1, 1).expect("a topic");
        write(&brokers.bootstrap_servers());
        brokers
            .broker_round_trip_time(1, ROUND_TRIP)
            .expect("answers that take their time");
        let address = brokers.bootstrap_servers().parse().expect("an address");
        let shared = ClusterShared::standalone(&ClusterSettings::new("main", vec![address]));
        let (shutdown_guard, _gone) = mpsc::channel();
        let reader = KafkaReader::of_kind(ClientKind::History, &shared, &shutdown_guard).expect("a client");
        let topic = reader.handle.topic(&TOPIC.into()).expect("a topic");
        let deadline = Instant::now() + WAIT;

        // librdkafka alone keeps the answer. (If that fails with a newer one, this module is no longer needed.)
        loop {
            assert!(Instant::now() < deadline, "an answer comes behind a stop");
            assert_eq!(read(&reader, deadline, 1), [0]);
            wait_until_fetched_on();
            // SAFETY: the topic is alive.
            unsafe { rd_kafka_consume_stop(topic.as_ptr(), 0) };
            thread::sleep(2 * ROUND_TRIP);
            if held(&reader) > 0 {
                break;
            }
        }
        assert_eq!(read(&reader, deadline, 1), [0]);
        wait_until_fetched_on();
        reader.stop(&TOPIC.into(), 0);
        thread::sleep(2 * ROUND_TRIP);
        assert_eq!(held(&reader), 0);

        let all: Vec<_> = (0..RECORDS).collect();
        assert_eq!(read(&reader, deadline, all.len()), all);
        reader.stop(&TOPIC.into(), 0);
    }

    /// Waits until the next fetch is likely to be under way, and is not answered.
    fn wait_until_fetched_on() {
        thread::sleep(ROUND_TRIP / 4);
    }

    /// Returns how many items the queue of the partition itself holds.
    fn held(reader: &KafkaReader) -> usize {
        let topic = reader.handle.topic(&TOPIC.into()).expect("a topic");
        let own = reader.handle.partition_queue(topic, 0).expect("a queue");
        // SAFETY: the queue is alive, and goes nowhere then.
        unsafe { rd_kafka_queue_forward(own.0.as_ptr(), ptr::null_mut()) };
        own.0.len()
    }

    /// Starts the partition and reads this many records. Returns their offsets.
    fn read(reader: &KafkaReader, deadline: Instant, records: usize) -> Vec<Offset> {
        let (mut queue, mut offsets) = (reader.queue().expect("a queue"), Vec::new());
        reader.start(&TOPIC.into(), 0, 0, &queue).expect("it is started");
        while offsets.len() < records {
            assert!(Instant::now() < deadline, "{offsets:?}");
            offsets.extend(next(&mut queue, deadline));
        }
        offsets
    }

    /// Returns the offset of the next item, if that is a record.
    fn next(queue: &mut KafkaQueue, deadline: Instant) -> Option<Offset> {
        queue.fill(deadline);
        let offset = match queue.front()?.kind {
            ItemKind::Record(record) => Some(record.offset),
            _ => None,
        };
        queue.advance();
        offset
    }

    /// Writes some records, each into a batch of its own: the mock brokers answer a fetch with one batch.
    fn write(bootstrap: &str) {
        let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
            .set("bootstrap.servers", bootstrap)
            .set("batch.num.messages", "1")
            .create()
            .expect("a producer");
        for _ in 0..RECORDS {
            let record = BaseRecord::<[u8], _>::to(TOPIC).partition(0).payload("{}");
            producer.send(record).map_err(|(error, _)| error).expect("room");
        }
        producer.flush(WAIT).expect("all are written");
    }

    const TOPIC: &str = "t";

    const RECORDS: Offset = 8;

    /// How long a broker takes for an answer.
    const ROUND_TRIP: Duration = Duration::from_millis(200);

    const WAIT: Duration = Duration::from_secs(60);
}
