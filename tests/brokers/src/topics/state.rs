//! The state of partitions. Requests have short timeouts, so that they can be repeated while brokers are
//! stopped and started.

use std::{ops::Range, thread};

use rdkafka::{
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
    metadata::{Metadata, MetadataPartition},
    types::RDKafkaErrorCode,
};

use crate::{
    cluster::{ANSWER, CHANGE, Cluster},
    patience::eventually,
};

/// A partition, as a broker's metadata describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionState {
    /// The number.
    pub id: i32,
    /// The leader; `None` if there is none.
    pub leader: Option<i32>,
    /// The brokers that have a replica.
    pub replicas: Vec<i32>,
    /// The in-sync replicas, sorted.
    pub isr: Vec<i32>,
}

impl Cluster {
    /// Returns the partitions of a topic, as any running broker describes them.
    ///
    /// # Errors
    ///
    /// If no broker answers within a second or the topic does not exist, with the reason.
    pub fn describe(&self, topic: &str) -> Result<Vec<PartitionState>, String> {
        states(&metadata(&self.consumer(), topic)?)
    }

    /// Returns the partitions of a topic, as this broker describes them. The answer of a broker that is cut
    /// off from the controller is outdated.
    ///
    /// # Errors
    ///
    /// As for [`Cluster::describe`].
    pub fn describe_by(&self, broker: i32, topic: &str) -> Result<Vec<PartitionState>, String> {
        for _ in 0..ATTEMPTS {
            let (consumer, address) = self.consumer_of_broker(broker);
            let metadata = metadata(&consumer, topic);
            // Closing a client takes up to a second.
            thread::spawn(move || drop(consumer));
            let metadata = metadata?;
            if metadata.orig_broker_name().starts_with(&address) {
                return states(&metadata);
            }
        }
        Err(format!("none of {ATTEMPTS} answers came from broker {broker}"))
    }

    /// Returns the leader of a partition. Waits if there is none now.
    pub fn leader(&self, topic: &str, partition: i32) -> i32 {
        eventually(CHANGE, &format!("a leader of {topic}-{partition}"), || {
            let states = self.describe(topic)?;
            let state = states.iter().find(|state| state.id == partition);
            state
                .and_then(|state| state.leader)
                .ok_or_else(|| format!("{states:?}"))
        })
    }

    /// Returns the offsets of a partition's log: from its first record to one after its last.
    pub fn offsets(&self, topic: &str, partition: i32) -> Range<i64> {
        eventually(CHANGE, &format!("the offsets of {topic}-{partition}"), || {
            let (start, end) = self.consumer().fetch_watermarks(topic, partition, ANSWER)?;
            Ok::<_, KafkaError>(start..end)
        })
    }

    /// Waits until a topic has this many partitions and each has its leader.
    pub fn wait_for_leaders(&self, topic: &str, partitions: usize) {
        self.wait_for(topic, "leaders for all partitions", |states| {
            states.len() == partitions && states.iter().all(|state| state.leader.is_some())
        });
    }

    /// Waits until a partition is led by this broker, or by none.
    pub fn wait_for_leader(&self, topic: &str, partition: i32, leader: Option<i32>) {
        self.wait_for(
            topic,
            &format!("partition {partition} led by {leader:?}"),
            |states| {
                states
                    .iter()
                    .any(|state| state.id == partition && state.leader == leader)
            },
        );
    }

    /// Waits until exactly these brokers, in ascending order, are in sync for a partition.
    pub fn wait_for_isr(&self, topic: &str, partition: i32, isr: &[i32]) {
        self.wait_for(
            topic,
            &format!("partition {partition} in sync on {isr:?}"),
            |states| {
                states
                    .iter()
                    .any(|state| state.id == partition && state.isr == isr)
            },
        );
    }

    /// Waits until the partitions of a topic are as wanted.
    ///
    /// # Panics
    ///
    /// After half a minute, with `what` and the last state.
    pub fn wait_for(&self, topic: &str, what: &str, wanted: impl Fn(&[PartitionState]) -> bool) {
        eventually(CHANGE, &format!("{topic}: {what}"), || {
            let states = self.describe(topic)?;
            if wanted(&states) {
                Ok(())
            } else {
                Err(format!("{states:?}"))
            }
        });
    }
}

fn metadata(consumer: &BaseConsumer, topic: &str) -> Result<Metadata, String> {
    consumer
        .fetch_metadata(Some(topic), ANSWER)
        .map_err(|error| error.to_string())
}

fn states(metadata: &Metadata) -> Result<Vec<PartitionState>, String> {
    let topic = metadata.topics().first().ok_or("no answer about the topic")?;
    if let Some(error) = topic.error() {
        return Err(RDKafkaErrorCode::from(error).to_string());
    }
    let mut states: Vec<PartitionState> = topic.partitions().iter().map(state).collect();
    states.sort_by_key(|state| state.id);
    Ok(states)
}

fn state(partition: &MetadataPartition) -> PartitionState {
    let mut isr = partition.isr().to_vec();
    isr.sort_unstable();
    let leader = Some(partition.leader()).filter(|leader| *leader >= 0);
    PartitionState {
        id: partition.id(),
        leader,
        replicas: partition.replicas().to_vec(),
        isr,
    }
}

/// librdkafka asks any broker that it is connected to. A new client asks the bootstrap broker three times in
/// five. A client that knows the others may never ask it again.
const ATTEMPTS: usize = 30;
