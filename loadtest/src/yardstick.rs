//! Plain librdkafka consumers, to measure a gateway against.

use std::time::{Duration, Instant};

use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
};
use riverhead_brokers::Cluster;

/// A plain consumer of all three partitions of each topic, through the proxies, from `offset` on.
///
/// It has a group id, because `assign` wants one; it commits nothing.
pub fn consumer(cluster: &Cluster, topics: &[String], offset: Offset) -> BaseConsumer {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", cluster.bootstrap())
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

/// Longer than any replay here takes.
const PATIENCE: Duration = Duration::from_secs(300);
