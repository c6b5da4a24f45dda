//! The plain consumer whose records are taken as the truth.

use std::{
    collections::BTreeSet,
    io, str, thread,
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
};
use riverhead_brokers::{Cluster, scaled};

use crate::numbers::number;

/// A committed record.
#[derive(Clone, Copy, Debug)]
pub(super) struct CommittedReader {
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) number: u64,
}

/// Reads a topic up to its end from these offsets of its partitions on, bypassing the proxies. Uses a new
/// consumer each time, because an old one may have outdated metadata.
///
/// # Errors
/// If the end cannot be reached.
pub(super) fn read_committed(
    cluster: &Cluster,
    topic: &str,
    from: &[i64],
) -> io::Result<Vec<CommittedReader>> {
    let consumer = consumer(cluster)?;
    let mut list = TopicPartitionList::new();
    for (partition, offset) in (0..).zip(from) {
        list.add_partition_offset(topic, partition, Offset::Offset(*offset))
            .map_err(io::Error::other)?;
    }
    consumer.assign(&list).map_err(io::Error::other)?;
    drop(list);
    let records = to_the_ends(&consumer, from.len());
    // Closing a consumer takes a tenth of a second.
    thread::spawn(move || drop(consumer));
    records.map_err(|error| io::Error::other(format!("{topic} from {from:?}: {error}")))
}

fn to_the_ends(consumer: &BaseConsumer, partitions: usize) -> io::Result<Vec<CommittedReader>> {
    let (mut records, mut ended) = (Vec::new(), BTreeSet::new());
    let deadline = Instant::now() + scaled(PATIENCE);
    while ended.len() < partitions {
        match consumer.poll(MOMENT) {
            None => {}
            Some(Ok(message)) => records.extend(committed(&message)),
            Some(Err(KafkaError::PartitionEOF(partition))) => _ = ended.insert(partition),
            // Brokers are stopped and started meanwhile.
            Some(Err(error)) if is_outage(&error) => {}
            Some(Err(error)) => return Err(io::Error::other(error)),
        }
        if Instant::now() > deadline {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the end of the log was not reached",
            ));
        }
    }
    Ok(records)
}

fn committed(message: &impl Message) -> Option<CommittedReader> {
    Some(CommittedReader {
        partition: message.partition(),
        offset: message.offset(),
        number: number(str::from_utf8(message.payload()?).ok()?)?,
    })
}

fn is_outage(error: &KafkaError) -> bool {
    use rdkafka::types::RDKafkaErrorCode::{
        AllBrokersDown, BrokerTransportFailure, OperationTimedOut, Resolve,
    };
    let code = error.rdkafka_error_code();
    matches!(
        code,
        Some(AllBrokersDown | BrokerTransportFailure | OperationTimedOut | Resolve)
    )
}

fn consumer(cluster: &Cluster) -> io::Result<BaseConsumer> {
    ClientConfig::new()
        .set("bootstrap.servers", cluster.direct_bootstrap())
        // Nothing is committed. `assign` requires a group id.
        .set("group.id", "witness")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error")
        .set("isolation.level", "read_committed")
        .set("enable.partition.eof", "true")
        .set("check.crcs", "true")
        .set("socket.timeout.ms", "5000")
        .set("reconnect.backoff.max.ms", "500")
        .set("topic.metadata.refresh.interval.ms", "1000")
        .set("fetch.wait.max.ms", "20")
        .set("log_level", "0")
        .create()
        .map_err(io::Error::other)
}

/// The time between two checks of the clock.
const MOMENT: Duration = Duration::from_millis(100);

/// Longer than it takes to find a leader.
const PATIENCE: Duration = Duration::from_secs(60);
