//! Operations that only Kafka's own clients support.

use std::collections::BTreeMap;

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::{
    cluster::{CHANGE, Cluster},
    patience::eventually,
};

/// A record read from a log by Kafka's own consumer, for comparison.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct LogRecord {
    /// The offset.
    pub offset: i64,
    /// The timestamp, in milliseconds since 1970.
    pub timestamp: i64,
    /// The epoch of the leader that accepted it.
    pub epoch: Option<i32>,
    /// The key.
    pub key: Option<String>,
    /// The value.
    pub value: Option<String>,
}

/// A part of a log.
#[derive(Deserialize)]
struct Page {
    records: Vec<LogRecord>,
    next: i64,
    end: i64,
}

impl LogRecord {
    /// Returns the number of a record that a [`Producer`](crate::Producer) wrote.
    pub fn number(&self) -> Option<u64> {
        let value: Value = serde_json::from_str(self.value.as_deref()?).ok()?;
        value.get("n")?.as_u64()
    }
}

impl Cluster {
    /// Returns a topic's id, 22 characters as Kafka's tools print it. A topic that is deleted and created
    /// again has another one.
    pub fn topic_id(&self, topic: &str) -> String {
        self.ask(&json!({"do": "topic-id", "topic": topic}))
    }

    /// Returns all committed records of a partition, up to the last stable offset. Uses no group.
    pub fn records(&self, topic: &str, partition: i32) -> Vec<LogRecord> {
        let (mut records, mut from, mut end) = (Vec::new(), 0, None);
        while end.is_none_or(|end| from < end) {
            let request = json!({"do": "records", "topic": topic, "partition": partition, "from": from});
            let page: Page = self.ask(&request);
            records.extend(page.records);
            from = page.next;
            // Records that are written meanwhile are left out.
            end.get_or_insert(page.end);
        }
        records
    }

    /// Returns the ids of all consumer groups.
    pub fn consumer_groups(&self) -> Vec<String> {
        self.ask(&json!({"do": "groups"}))
    }

    /// Moves a partition to other brokers, and returns when these have all of it.
    pub fn reassign(&self, topic: &str, partition: i32, replicas: &[i32]) {
        self.begin_reassignment(topic, partition, replicas);
        eventually(
            CHANGE,
            &format!("{topic}-{partition} moved to {replicas:?}"),
            || {
                if self.is_reassigning(topic) {
                    Err("still moving")
                } else {
                    Ok(())
                }
            },
        );
    }

    /// Starts to move a partition to other brokers, and returns at once.
    pub fn begin_reassignment(&self, topic: &str, partition: i32, replicas: &[i32]) {
        self.ask(&json!({"do": "reassign", "topic": topic, "partition": partition, "replicas": replicas}))
    }

    /// Returns whether a partition of this topic is being moved.
    pub fn is_reassigning(&self, topic: &str) -> bool {
        self.ask(&json!({"do": "reassigning", "topic": topic}))
    }

    /// Makes the first replica the leader of a partition again.
    pub fn elect_preferred_leader(&self, topic: &str, partition: i32) {
        self.ask(&json!({"do": "elect", "type": "PREFERRED", "topic": topic, "partition": partition}))
    }

    /// Makes any living replica the leader of a partition without one, in sync or not. Acknowledged records
    /// may be lost.
    pub fn elect_unclean_leader(&self, topic: &str, partition: i32) {
        self.ask(&json!({"do": "elect", "type": "UNCLEAN", "topic": topic, "partition": partition}))
    }

    /// Removes a broker from the cluster. Stop it first: a broker that is unregistered while it runs does not
    /// end at SIGTERM.
    pub fn unregister_broker(&self, broker: i32) {
        self.ask(&json!({"do": "unregister", "broker": broker}))
    }

    /// Grants a user exactly these rights on a topic, such as `READ`, `DESCRIBE`, in a cluster that has an
    /// authorizer.
    pub fn allow(&self, user: &str, topic: &str, rights: &[&str]) {
        self.ask(&json!({"do": "allow", "user": user, "topic": topic, "rights": rights}))
    }

    /// Limits what each broker lets clients with this `client.id` fetch, in bytes per second; `None` removes
    /// the limit.
    pub fn limit_fetches(&self, client_id: &str, bytes_per_second: Option<f64>) {
        self.ask(&json!({"do": "limit-fetches", "client": client_id, "rate": bytes_per_second}))
    }

    /// Changes these properties of a topic, and no others; `None` restores the default.
    pub fn alter_topic_config(&self, topic: &str, changes: &[(&str, Option<&str>)]) {
        self.alter_config("TOPIC", topic, changes);
    }

    /// Changes these properties of a broker, and no others, until they are changed again.
    pub fn alter_broker_config(&self, broker: i32, changes: &[(&str, Option<&str>)]) {
        self.alter_config("BROKER", &broker.to_string(), changes);
    }

    fn alter_config(&self, kind: &str, name: &str, changes: &[(&str, Option<&str>)]) {
        let changes: BTreeMap<&str, Option<&str>> = changes.iter().copied().collect();
        self.ask(&json!({"do": "alter-config", "kind": kind, "name": name, "changes": changes}))
    }

    fn ask<T: DeserializeOwned>(&self, request: &Value) -> T {
        let answer = self.with_java(|java| java.ask(request));
        let answer = answer.unwrap_or_else(|fault| panic!("{request}: {fault}"));
        serde_json::from_value(answer).unwrap_or_else(|error| panic!("{request}: {error}"))
    }
}
