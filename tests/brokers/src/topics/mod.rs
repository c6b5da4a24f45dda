//! Topics: made, changed, looked at and removed.
//!
//! What librdkafka can do is done with it; the rest, in `java.rs`, starts a JVM once per cluster.

mod java;
mod state;

use std::time::Duration;

use rdkafka::admin::{AdminOptions, NewPartitions, TopicReplication};
use rdkafka::consumer::Consumer;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};

pub use java::LogRecord;
pub use state::PartitionState;

use crate::cluster::{CHANGE, Cluster};
use crate::patience::eventually;

/// A topic to be made.
#[derive(Clone, Debug)]
pub struct NewTopic {
    name: String,
    replicas: Vec<Vec<i32>>,
    config: Vec<(String, String)>,
}

impl NewTopic {
    /// A topic whose partition `p` lives on the brokers `replicas[p]`, the preferred leader first.
    pub fn with_replicas(name: &str, replicas: &[&[i32]]) -> Self {
        let replicas = replicas.iter().map(|brokers| brokers.to_vec()).collect();
        Self {
            name: name.to_owned(),
            replicas,
            config: Vec::new(),
        }
    }

    /// Sets a topic's property, such as `cleanup.policy`.
    pub fn config(mut self, key: &str, value: &str) -> Self {
        self.config.push((key.to_owned(), value.to_owned()));
        self
    }

    fn assignment(&self) -> Vec<&[i32]> {
        self.replicas.iter().map(Vec::as_slice).collect()
    }
}

impl Cluster {
    /// Makes a topic with a replica on every broker, at most three, and leaders spread evenly: partition 0 is
    /// led by broker 1, partition 1 by broker 2 and so on. Returns when every partition has its leader.
    pub fn create_topic(&self, name: &str, partitions: usize) {
        let brokers = self.broker_ids();
        let copies = brokers.len().min(3);
        let replicas: Vec<Vec<i32>> = (0..partitions)
            .map(|partition| {
                brokers
                    .iter()
                    .cycle()
                    .skip(partition % brokers.len())
                    .take(copies)
                    .copied()
                    .collect()
            })
            .collect();
        self.create(&NewTopic {
            name: name.to_owned(),
            replicas,
            config: Vec::new(),
        });
    }

    /// Makes a topic, and returns when every partition has its leader.
    ///
    /// # Panics
    ///
    /// If the brokers refuse.
    pub fn create(&self, topic: &NewTopic) {
        let assignment = topic.assignment();
        let mut asked = rdkafka::admin::NewTopic::new(
            &topic.name,
            i32::try_from(assignment.len()).expect("fewer partitions"),
            TopicReplication::Variable(&assignment),
        );
        for (key, value) in &topic.config {
            asked = asked.set(key, value);
        }
        let results = futures_executor::block_on(self.admin().create_topics([&asked], &options()));
        check_topics("create", results.expect("an answer from the controller"));
        self.wait_for_leaders(&topic.name, topic.replicas.len());
    }

    /// Raises the number of partitions, and returns when the new ones have leaders.
    pub fn add_partitions(&self, topic: &str, count: usize) {
        let asked = NewPartitions::new(topic, count);
        let results = futures_executor::block_on(self.admin().create_partitions([&asked], &options()));
        check_topics(
            "add partitions to",
            results.expect("an answer from the controller"),
        );
        self.wait_for_leaders(topic, count);
    }

    /// Removes a topic, and returns when metadata lists it no longer.
    pub fn delete_topic(&self, topic: &str) {
        self.delete_topics(&[topic]);
    }

    /// Moves the start of a partition's log to `before`: older records are gone.
    pub fn delete_records(&self, topic: &str, partition: i32, before: i64) {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(before))
            .expect("a valid offset");
        let result = futures_executor::block_on(self.admin().delete_records(&list, &options()));
        let result = result.expect("an answer from the leader");
        let partition = result
            .find_partition(topic, partition)
            .expect("the partition asked for");
        partition
            .error()
            .unwrap_or_else(|error| panic!("delete records of {topic}: {error}"));
    }

    /// The names of all topics, internal ones included, sorted.
    pub fn topics(&self) -> Vec<String> {
        eventually(CHANGE, "a list of topics", || {
            let metadata = self.consumer().fetch_metadata(None, crate::cluster::ANSWER)?;
            let mut names: Vec<_> = metadata
                .topics()
                .iter()
                .map(|topic| topic.name().to_owned())
                .collect();
            names.sort();
            Ok::<_, rdkafka::error::KafkaError>(names)
        })
    }

    /// Removes all topics but the brokers' own.
    pub(crate) fn delete_leftover_topics(&self) {
        let topics = self.topics();
        let leftover: Vec<&str> = topics
            .iter()
            .map(String::as_str)
            .filter(|name| !name.starts_with("__"))
            .collect();
        if !leftover.is_empty() {
            self.delete_topics(&leftover);
        }
    }

    fn delete_topics(&self, topics: &[&str]) {
        let results = futures_executor::block_on(self.admin().delete_topics(topics, &options()));
        check_topics("delete", results.expect("an answer from the controller"));
        eventually(CHANGE, &format!("topics {topics:?} gone"), || {
            let left = self.topics();
            !topics.iter().any(|topic| left.iter().any(|name| name == topic))
        });
    }
}

fn options() -> AdminOptions {
    AdminOptions::new()
        .request_timeout(Some(ADMIN))
        .operation_timeout(Some(ADMIN))
}

fn check_topics(what: &str, results: Vec<Result<String, (String, RDKafkaErrorCode)>>) {
    for result in results {
        result.unwrap_or_else(|(topic, code)| panic!("{what} {topic}: {code}"));
    }
}

/// Usually 50 to 500 ms.
const ADMIN: Duration = Duration::from_secs(30);
