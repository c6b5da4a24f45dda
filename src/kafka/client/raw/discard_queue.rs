//! What still comes of partitions that were stopped, and where it is dropped.
//!
//! A fetch that is under way when a partition is stopped is answered all the same, and librdkafka (2.12) puts the answer into the
//! partition's own queue: `rd_kafka_toppar_fetch_decide` notes the new version only while a partition is active, so
//! `rd_kafka_fetch_reply_handle` takes the answer for a current one. Nobody reads that queue, and a whole fetch or a large record would
//! stay in memory for each partition until that is started again. So the queues of stopped partitions are forwarded to this one, which
//! is emptied on each poll.

use std::{
    ffi::CStr,
    ptr::{self, NonNull},
};

use rdkafka::{
    bindings::*,
    types::{RDKafka, RDKafkaErrorCode, RDKafkaTopic},
};

use super::{KafkaQueue, last_error};

/// The queue to which what still comes of stopped partitions is forwarded. Must be dropped before its client.
pub(super) struct DiscardQueue(NonNull<rd_kafka_queue_t>);

/// The own queue of one partition, into which librdkafka puts what it fetches. Must be dropped before its client.
pub(super) struct PartitionQueue(NonNull<rd_kafka_queue_t>);

impl DiscardQueue {
    /// # Safety
    /// The client is alive.
    pub(super) unsafe fn new(client: *mut RDKafka) -> Result<Self, RDKafkaErrorCode> {
        // SAFETY: the client is alive.
        let queue = unsafe { rd_kafka_queue_new(client) };
        NonNull::new(queue).map(Self).ok_or_else(last_error)
    }

    /// Forwards what the partition's queue holds, and what still comes into it, to this one.
    pub(super) fn forward(&self, partition: &PartitionQueue) {
        // SAFETY: both queues are alive. librdkafka itself keeps the one to which another is forwarded.
        unsafe { rd_kafka_queue_forward(partition.0.as_ptr(), self.0.as_ptr()) };
    }

    /// Drops what came. Never waits.
    pub(super) fn clear(&self) {
        let mut batch = [ptr::null_mut(); BATCH];
        while self.len() > 0 {
            // Items of a stopped partition are outdated: librdkafka drops them by itself, and returns none. An error may lack a
            // version, and is returned.
            // SAFETY: the queue is alive, and there is space for this many pointers.
            let taken =
                unsafe { rd_kafka_consume_batch_queue(self.0.as_ptr(), 0, batch.as_mut_ptr(), batch.len()) };
            for message in &batch[..usize::try_from(taken).unwrap_or(0)] {
                // SAFETY: it came from this queue, is destroyed once, and never accessed again.
                unsafe { rd_kafka_message_destroy(*message) };
            }
        }
    }

    /// Returns how many items came and were not dropped yet.
    pub(super) fn len(&self) -> usize {
        // SAFETY: the queue is alive.
        unsafe { rd_kafka_queue_length(self.0.as_ptr()) }
    }
}

impl PartitionQueue {
    /// Returns the queue of a partition that is read, or is about to be: librdkafka creates one that it does not know of.
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
        NonNull::new(queue).map(Self)
    }

    /// Forwards what comes into this queue to `queue`. librdkafka does not do so itself any more once a program has forwarded a queue.
    pub(super) fn forward(&self, queue: &KafkaQueue) {
        // SAFETY: as in `DiscardQueue::forward`.
        unsafe { rd_kafka_queue_forward(self.0.as_ptr(), queue.as_ptr()) };
    }
}

// SAFETY: librdkafka's queues have locks of their own.
unsafe impl Send for DiscardQueue {}
// SAFETY: as above.
unsafe impl Sync for DiscardQueue {}

impl Drop for DiscardQueue {
    fn drop(&mut self) {
        // SAFETY: it was created once, and the client outlives it.
        unsafe { rd_kafka_queue_destroy(self.0.as_ptr()) };
    }
}

impl Drop for PartitionQueue {
    fn drop(&mut self) {
        // SAFETY: as above. The queue itself stays, as long as its partition does.
        unsafe { rd_kafka_queue_destroy(self.0.as_ptr()) };
    }
}

/// Errors that are taken at once.
const BATCH: usize = 16;

#[cfg(test)]
mod tests {
    use std::{
        sync::{Arc, mpsc},
        thread,
        time::{Duration, Instant},
    };

    use rdkafka::{
        ClientConfig,
        mocking::MockCluster,
        producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer},
    };

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
        brokers.create_topic("t", 1, 1).expect("a topic");
        write(&brokers.bootstrap_servers());
        brokers
            .broker_round_trip_time(1, ROUND_TRIP)
            .expect("answers that take their time");
        let address = brokers.bootstrap_servers().parse().expect("an address");
        let shared = ClusterShared::standalone(&ClusterSettings::new("main", vec![address]));
        let (shutdown_guard, _gone) = mpsc::channel();
        let reader = KafkaReader::of_kind(ClientKind::History, &shared, &shutdown_guard).expect("a client");
        let discarded = &reader.handle.0.discarded;
        let deadline = Instant::now() + WAIT;

        // The answer of the second fetch may come while the partition is stopped, and then the next attempt shows it.
        while discarded.len() == 0 {
            assert!(Instant::now() < deadline, "an answer comes behind the stop");
            assert_eq!(read(&reader, deadline, 1), [0]);
            let come = Instant::now() + 2 * ROUND_TRIP;
            while discarded.len() == 0 && Instant::now() < come {
                thread::sleep(Duration::from_millis(1));
            }
        }
        reader.poll_events();
        assert_eq!(discarded.len(), 0);

        let all: Vec<_> = (0..RECORDS).collect();
        assert_eq!(read(&reader, deadline, all.len()), all);
    }

    /// Starts the partition, reads this many records, and stops it. Returns their offsets.
    fn read(reader: &KafkaReader, deadline: Instant, records: usize) -> Vec<Offset> {
        let (topic, mut offsets) = (Arc::from("t"), Vec::new());
        let mut queue = reader.queue().expect("a queue");
        reader.start(&topic, 0, 0, &queue).expect("it is started");
        while offsets.len() < records {
            assert!(Instant::now() < deadline, "{offsets:?}");
            offsets.extend(next(&mut queue, deadline));
        }
        reader.stop(&topic, 0);
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
            let record = BaseRecord::<[u8], _>::to("t").partition(0).payload("{}");
            producer.send(record).map_err(|(error, _)| error).expect("room");
        }
        producer.flush(WAIT).expect("all are written");
    }

    const RECORDS: Offset = 8;

    /// How long a broker takes for an answer.
    const ROUND_TRIP: Duration = Duration::from_millis(200);

    const WAIT: Duration = Duration::from_secs(60);
}
