//! The options of a producer.

use std::sync::{Arc, atomic::AtomicU64};

use rdkafka::{
    ClientConfig,
    producer::{Producer as _, ThreadedProducer},
};

use super::{
    FLUSH, Pace, Producer,
    ledger::{DeliveryRecorder, SharedLedger},
    records::Records,
};
use crate::{
    cluster::{CHANGE, Cluster, properties::Identity},
    patience::{eventually, scaled},
};

/// When a record counts as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acks {
    /// When all in-sync replicas have it. Retries are idempotent: each record is in the log exactly once and
    /// in order.
    All,
    /// When the leader has it. It may be lost with the leader, and a retry may write it twice or out of
    /// order.
    Leader,
}

/// Builds a [`Producer`]; see [`Cluster::producer`].
pub struct ProducerBuilder<'a> {
    cluster: &'a Cluster,
    topic: String,
    config: ClientConfig,
    numbers: Arc<AtomicU64>,
    records: Records,
    per_second: Option<f64>,
    transactional: bool,
}

impl Cluster {
    /// Returns a builder of a producer for an existing topic: records of 200 bytes, to all partitions in
    /// turn, as fast as the brokers accept them, with [`Acks::All`]. It bypasses the proxies.
    pub fn producer(&self, topic: &str) -> ProducerBuilder<'_> {
        ProducerBuilder {
            cluster: self,
            topic: topic.to_owned(),
            config: config(&self.direct_bootstrap()),
            numbers: self.numbers(),
            records: Records {
                bytes: RECORD_BYTES,
                partitions: Vec::new(),
                turn: 0,
                key: None,
                fields: None,
                timestamp: None,
            },
            per_second: None,
            transactional: false,
        }
    }
}

impl ProducerBuilder<'_> {
    /// Sets the size of each value in bytes, if its number fits.
    pub fn record_bytes(mut self, bytes: usize) -> Self {
        self.records.bytes = bytes;
        self
    }

    /// Writes to this partition only.
    pub fn partition(mut self, partition: i32) -> Self {
        self.records.partitions = vec![partition];
        self
    }

    /// Sets the key of the record with each number. It does not choose the partition.
    pub fn key(mut self, key: impl Fn(u64) -> String + Send + 'static) -> Self {
        self.records.key = Some(Box::new(key));
        self
    }

    /// Adds fields to the value of the record with each number, each followed by a comma: `"tenant":"t7",`.
    pub fn fields(mut self, fields: impl Fn(u64) -> String + Send + 'static) -> Self {
        self.records.fields = Some(Box::new(fields));
        self
    }

    /// Sets the timestamp of the record with each number, in milliseconds since 1970.
    pub fn timestamp(mut self, timestamp: impl Fn(u64) -> i64 + Send + 'static) -> Self {
        self.records.timestamp = Some(Box::new(timestamp));
        self
    }

    /// Numbers the records from here on, instead of with the cluster's next free numbers. Partitions are used
    /// in turn as if it had begun with 0: number `n` goes to partition `n % partitions`, also when one
    /// producer continues where another ended.
    pub fn numbers_from(mut self, first: u64) -> Self {
        self.numbers = Arc::new(AtomicU64::new(first));
        self.records.turn = first as usize;
        self
    }

    /// Writes this many records per second.
    pub fn rate(mut self, per_second: f64) -> Self {
        self.per_second = Some(per_second);
        self
    }

    /// Sets when a record counts as written.
    pub fn acks(mut self, acks: Acks) -> Self {
        let (required, idempotent) = match acks {
            Acks::All => ("all", "true"),
            Acks::Leader => ("1", "false"),
        };
        self.config
            .set("acks", required)
            .set("enable.idempotence", idempotent);
        self
    }

    /// Compresses batches: `gzip`, `snappy`, `lz4` or `zstd`.
    pub fn compression(self, codec: &str) -> Self {
        self.property("compression.type", codec)
    }

    /// Writes in transactions: see [`Producer::begin`].
    pub fn transactional(mut self) -> Self {
        self.transactional = true;
        self.config.set("transactional.id", Identity::random().as_str());
        // librdkafka requires at least the message timeout.
        self.config.set("transaction.timeout.ms", MESSAGE_TIMEOUT_MS);
        self
    }

    /// Uses the proxies, and is affected by their faults.
    pub fn through_proxies(self) -> Self {
        let bootstrap = self.cluster.bootstrap();
        self.property("bootstrap.servers", &bootstrap)
    }

    /// Bootstraps from these brokers only. By default it bootstraps from all of them, and the first that
    /// answers may have been cut off: a client without another connection keeps asking that one for leaders,
    /// and uses its answers.
    pub fn bootstrap_from(self, brokers: &[i32]) -> Self {
        let bootstrap = self.cluster.direct_bootstrap_of(brokers);
        self.property("bootstrap.servers", &bootstrap)
    }

    /// Sets a property of librdkafka, such as `linger.ms` or `batch.size`.
    pub fn property(mut self, key: &str, value: &str) -> Self {
        self.config.set(key, value);
        self
    }

    /// Connects, and looks up the partitions unless one was named.
    ///
    /// # Panics
    ///
    /// If the topic does not exist or a property is not valid.
    pub fn start(mut self) -> Producer {
        if self.records.partitions.is_empty() {
            let states = eventually(CHANGE, "the topic to write to", || {
                self.cluster.describe(&self.topic)
            });
            self.records.partitions = states.iter().map(|state| state.id).collect();
        }
        let books = Arc::new(SharedLedger::default());
        let client: ThreadedProducer<DeliveryRecorder> = self
            .config
            .create_with_context(DeliveryRecorder(Arc::clone(&books)))
            .expect("a producer");
        if self.transactional {
            client
                .init_transactions(scaled(FLUSH))
                .expect("a transaction coordinator");
        }
        Producer {
            topic: self.topic,
            client,
            books,
            numbers: self.numbers,
            records: self.records,
            pace: Pace::new(self.per_second),
        }
    }
}

impl std::fmt::Debug for ProducerBuilder<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("ProducerBuilder")
            .field("topic", &self.topic)
            .finish_non_exhaustive()
    }
}

fn config(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", bootstrap)
        .set("acks", "all")
        .set("enable.idempotence", "true")
        .set("message.timeout.ms", MESSAGE_TIMEOUT_MS)
        // A leader that moved is found within a second, so that the load continues during a test's faults.
        .set("socket.timeout.ms", "5000")
        .set("reconnect.backoff.max.ms", "500")
        .set("topic.metadata.refresh.interval.ms", "1000")
        .set("log_level", "0");
    config
}

/// Longer than every fault of a test.
const MESSAGE_TIMEOUT_MS: &str = "120000";

/// The size of a small event.
const RECORD_BYTES: usize = 200;
