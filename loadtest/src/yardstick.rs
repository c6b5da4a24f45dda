//! Plain librdkafka consumers, to measure a gateway against.

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

/// A plain consumer that takes the time of the records of one topic as they come, on a thread of its own and not through the
/// proxies, whose bytes and connections are others'.
pub struct PlainConsumer {
    over: Arc<AtomicBool>,
    thread: JoinHandle<Stopwatch>,
}

impl PlainConsumer {
    /// Begins with what comes from now on.
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

    /// What it measured.
    ///
    /// # Panics
    /// If its thread did.
    pub fn finish(self) -> Quantiles {
        self.over.store(true, Relaxed);
        self.thread.join().expect("a plain consumer").quantiles()
    }
}

/// A numbered record that a plain consumer has read.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// Its number.
    pub number: u64,
    /// Its partition.
    pub partition: i32,
    /// When it came.
    pub at: Instant,
}

/// The next numbered record; `None` when none comes for a moment, so that its caller can look at the clock.
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

/// A plain consumer of all three partitions of each topic, through the proxies, from `offset` on.
///
/// It has a group id, because `assign` wants one; it commits nothing.
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

/// What it takes off the brokers to read each of `records` records once: their bytes on the wire, with the frames and
/// the metadata that any reader needs.
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

/// Between two looks at the clock when nothing comes.
const MOMENT: Duration = Duration::from_millis(50);

/// Longer than any replay here takes.
const PATIENCE: Duration = Duration::from_secs(300);
