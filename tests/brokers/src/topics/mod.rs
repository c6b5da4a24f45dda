//! Topics: creating, changing, describing and deleting them.
//!
//! Uses librdkafka where it can. The rest, in `java.rs`, starts one JVM per cluster.

mod java;
mod state;

use std::time::Duration;

use rdkafka::{
    Offset, TopicPartitionList,
    admin::{AdminOptions, NewPartitions, ResourceSpecifier, TopicReplication, TopicResult},
    consumer::Consumer,
    error::{KafkaError, KafkaResult},
    types::RDKafkaErrorCode,
};

pub use java::LogRecord;
pub use state::PartitionState;

use crate::{
    cluster::{ANSWER, Admin, CHANGE, Cluster},
    patience::eventually,
};

/// A topic to create.
#[derive(Clone, Debug)]
pub struct NewTopic {
    name: String,
    replicas: Vec<Vec<i32>>,
    config: Vec<(String, String)>,
}

impl NewTopic {
    /// Creates a description of a topic whose partition `p` is on the brokers `replicas[p]`, the preferred
    /// leader first.
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
    /// Creates a topic with a replica on every broker, at most three, and leaders spread evenly: partition 0
    /// is led by broker 1, partition 1 by broker 2 and so on. Returns when every partition has its leader.
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

    /// Creates a topic, and returns when every partition has its leader according to one broker. The others
    /// learn of it milliseconds later: ask [`Cluster::describe_by`] before cutting one off.
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
        self.administer("create", RDKafkaErrorCode::TopicAlreadyExists, |admin| {
            futures_executor::block_on(admin.create_topics([&asked], &options()))
        });
        self.wait_for_leaders(&topic.name, topic.replicas.len());
    }

    /// Raises the number of partitions, and returns when the new ones have leaders.
    pub fn add_partitions(&self, topic: &str, count: usize) {
        let asked = NewPartitions::new(topic, count);
        self.administer(
            "add partitions to",
            RDKafkaErrorCode::InvalidPartitions,
            |admin| futures_executor::block_on(admin.create_partitions([&asked], &options())),
        );
        self.wait_for_leaders(topic, count);
    }

    /// Deletes a topic, and returns when metadata no longer lists it.
    pub fn delete_topic(&self, topic: &str) {
        self.delete_topics(&[topic]);
    }

    /// Moves the start of a partition's log to `before`: older records are deleted.
    ///
    /// # Panics
    ///
    /// If no leader does it within half a minute, for example during an election.
    pub fn delete_records(&self, topic: &str, partition: i32, before: i64) {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(before))
            .expect("a valid offset");
        eventually(CHANGE, &format!("records deleted of {topic}-{partition}"), || {
            let result = futures_executor::block_on(self.admin().delete_records(&list, &options()))?;
            let answer = result.find_partition(topic, partition);
            answer.expect("the partition asked for").error()
        });
    }

    /// Returns the value of a topic's property, set or default.
    ///
    /// # Panics
    ///
    /// If there is no such property.
    pub fn topic_config(&self, topic: &str, key: &str) -> String {
        let resource = ResourceSpecifier::Topic(topic);
        let configs = eventually(CHANGE, &format!("the properties of {topic}"), || {
            futures_executor::block_on(self.admin().describe_configs([&resource], &options()))
        });
        let value = configs
            .iter()
            .flatten()
            .find_map(|config| config.get(key)?.value.clone());
        value.unwrap_or_else(|| panic!("{topic} has no property {key}"))
    }

    /// Returns the names of all topics, including internal ones, sorted.
    pub fn topics(&self) -> Vec<String> {
        eventually(CHANGE, "a list of topics", || {
            let metadata = self.consumer().fetch_metadata(None, ANSWER)?;
            let mut names: Vec<_> = metadata
                .topics()
                .iter()
                .map(|topic| topic.name().to_owned())
                .collect();
            names.sort();
            Ok::<_, KafkaError>(names)
        })
    }

    /// Deletes all topics except the brokers' own.
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

    /// Sends a request to the controller, and repeats it if the answer was lost. That happens when librdkafka
    /// replaces the bootstrap connection by the broker that it turned out to lead to. `done` is the refusal
    /// that then shows that the first request had its effect.
    fn administer(
        &self,
        what: &str,
        done: RDKafkaErrorCode,
        ask: impl Fn(&Admin) -> KafkaResult<Vec<TopicResult>>,
    ) {
        let mut lost = false;
        let results = eventually(CHANGE, &format!("an answer to: {what} a topic"), || {
            let answer = ask(&self.admin());
            lost |= answer.is_err();
            answer
        });
        for result in results {
            match result {
                Err((_, code)) if lost && code == done => {}
                // Requested by name: another request, perhaps this one sent twice by a broker, has deleted it
                // meanwhile.
                Err((_, RDKafkaErrorCode::UnknownTopicId))
                    if done == RDKafkaErrorCode::UnknownTopicOrPartition => {}
                result => drop(result.unwrap_or_else(|(topic, code)| panic!("{what} {topic}: {code}"))),
            }
        }
    }

    fn delete_topics(&self, topics: &[&str]) {
        self.administer("delete", RDKafkaErrorCode::UnknownTopicOrPartition, |admin| {
            futures_executor::block_on(admin.delete_topics(topics, &options()))
        });
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

/// Usually 50 to 500 ms.
const ADMIN: Duration = Duration::from_secs(30);
