//! What only Kafka's own clients can do.

use std::collections::BTreeMap;

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::{
    cluster::{CHANGE, Cluster},
    patience::eventually,
};

/// A record read back from a log by Kafka's own consumer: a second opinion.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct LogRecord {
    /// Its offset.
    pub offset: i64,
    /// Its timestamp, in milliseconds since 1970.
    pub timestamp: i64,
    /// The epoch of the leader that took it.
    pub epoch: Option<i32>,
    /// Its key.
    pub key: Option<String>,
    /// Its value.
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
    /// The number of a record that a [`Producer`](crate::Producer) wrote.
    pub fn number(&self) -> Option<u64> {
        let value: Value = serde_json::from_str(self.value.as_deref()?).ok()?;
        value.get("n")?.as_u64()
    }
}

impl Cluster {
    /// A topic's id, 22 characters as Kafka's tools print it. A topic that is deleted and made again has
    /// another one.
    pub fn topic_id(&self, topic: &str) -> String {
        self.ask(&json!({"do": "topic-id", "topic": topic}))
    }

    /// All committed records that a partition has now, up to the last stable offset; without a group.
    pub fn records(&self, topic: &str, partition: i32) -> Vec<LogRecord> {
        let (mut records, mut from, mut end) = (Vec::new(), 0, None);
        while end.is_none_or(|end| from < end) {
            let request = json!({"do": "records", "topic": topic, "partition": partition, "from": from});
            let page: Page = self.ask(&request);
            records.extend(page.records);
            from = page.next;
            // What is written meanwhile is not waited for.
            end.get_or_insert(page.end);
        }
        records
    }

    /// The ids of all groups of consumers.
    pub fn consumer_groups(&self) -> Vec<String> {
        self.ask(&json!({"do": "groups"}))
    }

    /// Moves a partition to other brokers, and returns when they have it all.
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

    /// Asks to move a partition to other brokers, and returns at once.
    pub fn begin_reassignment(&self, topic: &str, partition: i32, replicas: &[i32]) {
        self.ask(&json!({"do": "reassign", "topic": topic, "partition": partition, "replicas": replicas}))
    }

    /// Whether a move of a partition of this topic is going on.
    pub fn is_reassigning(&self, topic: &str) -> bool {
        self.ask(&json!({"do": "reassigning", "topic": topic}))
    }

    /// Gives a partition back to its first replica.
    pub fn elect_preferred_leader(&self, topic: &str, partition: i32) {
        self.ask(&json!({"do": "elect", "type": "PREFERRED", "topic": topic, "partition": partition}))
    }

    /// Gives a partition without a leader to whichever replica lives, in sync or not: acknowledged records may be lost.
    pub fn elect_unclean_leader(&self, topic: &str, partition: i32) {
        self.ask(&json!({"do": "elect", "type": "UNCLEAN", "topic": topic, "partition": partition}))
    }

    /// Makes the cluster forget a broker. Stop it first: one that is unregistered while it runs does not end
    /// at SIGTERM.
    pub fn unregister_broker(&self, broker: i32) {
        self.ask(&json!({"do": "unregister", "broker": broker}))
    }

    /// Gives a user exactly these rights on a topic, such as `READ`, `DESCRIBE`; in a cluster that has an authorizer.
    pub fn allow(&self, user: &str, topic: &str, rights: &[&str]) {
        self.ask(&json!({"do": "allow", "user": user, "topic": topic, "rights": rights}))
    }

    /// Limits what each broker lets clients with this `client.id` fetch, in bytes a second; `None` takes the limit away.
    pub fn limit_fetches(&self, client_id: &str, bytes_per_second: Option<f64>) {
        self.ask(&json!({"do": "limit-fetches", "client": client_id, "rate": bytes_per_second}))
    }

    /// Changes these properties of a topic and no other; `None` brings the default back.
    pub fn alter_topic_config(&self, topic: &str, changes: &[(&str, Option<&str>)]) {
        self.alter_config("TOPIC", topic, changes);
    }

    /// Changes these properties of a broker and no other, until they are changed again.
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
