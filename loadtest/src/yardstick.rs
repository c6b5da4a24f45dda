//! Plain librdkafka consumers, for comparison with a gateway.

use std::{
    str,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
};
use riverhead_brokers::Cluster;

use crate::{
    numbers::number,
    stopwatch::{Quantiles, Stopwatch},
};

/// A plain consumer that measures the latency of the records of one topic, in its own thread. It bypasses the
/// proxies, which count the bytes and connections of other clients.
pub struct PlainConsumer {
    over: Arc<AtomicBool>,
    thread: JoinHandle<Stopwatch>,
}

impl PlainConsumer {
    /// Starts at the current end of the topic.
    pub fn start(cluster: &Cluster, topic: &str, mut stopwatch: Stopwatch) -> Self {
        let consumer = consumer_at(&cluster.direct_bootstrap(), &[topic.to_owned()], Offset::End);
        let over = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&over);
        let thread = thread::spawn(move || {
            while !ends.load(Relaxed) {
                if let Some(arrival) = next_arrival(&consumer) {
                    stopwatch.arrived(arrival.number, arrival.at);
                }
            }
            stopwatch
        });
        Self { over, thread }
    }

    /// Ends the consumer, and returns what it measured.
    ///
    /// # Panics
    /// If the thread panicked.
    pub fn finish(self) -> Quantiles {
        self.over.store(true, Relaxed);
        self.thread.join().expect("a plain consumer").quantiles()
    }
}

/// A numbered record that a plain consumer has read.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// The number.
    pub number: u64,
    /// The partition.
    pub partition: i32,
    /// The time of arrival.
    pub at: Instant,
}

/// Returns the next numbered record. Returns `None` after a short time without a record, so that the caller
/// can check the time.
pub fn next_arrival(consumer: &BaseConsumer) -> Option<Arrival> {
    let message = consumer.poll(MOMENT)?.ok()?;
    let at = Instant::now();
    let text = str::from_utf8(message.payload()?).ok()?;
    Some(Arrival {
        number: number(text)?,
        partition: message.partition(),
        at,
    })
}

/// Creates a plain consumer of all three partitions of each topic, through the proxies, from `offset` on.
///
/// It has a group id because `assign` requires one. It commits nothing.
pub fn consumer(cluster: &Cluster, topics: &[String], offset: Offset) -> BaseConsumer {
    consumer_at(&cluster.bootstrap(), topics, offset)
}

fn consumer_at(bootstrap: &str, topics: &[String], offset: Offset) -> BaseConsumer {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "yardstick")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("fetch.queue.backoff.ms", "10")
        .create()
        .expect("a consumer");
    let mut partitions = TopicPartitionList::new();
    for topic in topics {
        for partition in 0..3 {
            partitions
                .add_partition_offset(topic, partition, offset)
                .expect("an offset");
        }
    }
    consumer.assign(&partitions).expect("an assignment");
    consumer
}

/// Returns the bytes that the brokers send to read each of `records` records once: bytes on the wire,
/// including the frames and metadata that any reader needs.
pub fn bytes_to_read_once(cluster: &Cluster, topics: &[String], records: usize) -> u64 {
    let before = cluster.client_counts();
    let consumer = consumer(cluster, topics, Offset::Beginning);
    let deadline = Instant::now() + PATIENCE;
    let mut read = 0;
    while read < records && Instant::now() < deadline {
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
            read += usize::from(message.payload().is_some());
        }
    }
    assert_eq!(read, records, "the yardstick reads everything");
    cluster.client_counts().to_client - before.to_client
}

/// The time between two checks of the clock while no record arrives.
const MOMENT: Duration = Duration::from_millis(50);

/// Longer than any replay here takes.
const PATIENCE: Duration = Duration::from_secs(300);
