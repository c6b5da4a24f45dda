//! A topic, a gateway in front of it, and clients.

use std::{
    cell::Cell,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use riverhead_brokers::{Acked, Ledger, ProducerBuilder, SharedCluster, eventually, shared};
use riverhead_loadtest::{
    client::Ask,
    gateway::{Gateway, GatewayPlan},
};
use serde_json::Value;

use super::listener::{Listener, events};

/// A topic that a gateway serves as `stream`.
pub(super) struct TableFixture {
    pub(super) gateway: Gateway,
    pub(super) topic: String,
    // Declared after the gateway, so that its lock of the cluster is released last.
    pub(super) brokers: SharedCluster,
}

impl TableFixture {
    /// Creates a topic. The gateway is started before its records are written, so it has them in memory.
    pub(super) fn new(topic: &str, partitions: usize) -> Self {
        let brokers = shared();
        brokers.create_topic(topic, partitions);
        Self::over(brokers, topic, partitions)
    }

    /// Starts a gateway for an existing topic, of which it has nothing in memory. Waits until it reads this
    /// many partitions.
    pub(super) fn over(brokers: SharedCluster, topic: &str, partitions: usize) -> Self {
        let gateway = gateway(&brokers, &[topic], partitions);
        Self {
            gateway,
            topic: topic.to_owned(),
            brokers,
        }
    }

    /// Starts another process, which has nothing in memory.
    pub(super) fn restart(&mut self, partitions: usize) {
        self.gateway = gateway(&self.brokers, &[&self.topic], partitions);
    }

    /// Writes to one partition, with the current time.
    pub(super) fn write(&self, partition: i32, count: u64) -> Vec<Acked> {
        write(self.producer(partition), count)
    }

    /// Writes to one partition. No two of these records have the same timestamp, see [`time_of`].
    pub(super) fn write_spaced(&self, partition: i32, count: u64) -> Vec<Acked> {
        self.write_timed(partition, count, time_of)
    }

    /// Writes to one partition, with the timestamps that the numbers are given.
    pub(super) fn write_timed(
        &self,
        partition: i32,
        count: u64,
        timestamp: impl Fn(u64) -> i64 + Send + 'static,
    ) -> Vec<Acked> {
        write(self.producer(partition).timestamp(timestamp), count)
    }

    fn producer(&self, partition: i32) -> ProducerBuilder<'_> {
        self.brokers.producer(&self.topic).partition(partition)
    }

    /// Connects a client with this id.
    pub(super) fn resume(&self, id: &Value) -> Listener {
        self.ask(Ask::new(STREAM).resume(Some(id.to_string())))
    }

    /// Connects a client that requests everything.
    pub(super) fn read_from_start(&self, partitions: i32) -> Listener {
        let entries =
            (0..partitions).map(|partition| self.entry(partition, serde_json::json!({"offset": -2})));
        self.resume(&entries.collect())
    }

    /// Connects a client with this request.
    pub(super) fn ask(&self, ask: Ask) -> Listener {
        Listener::connect(self.gateway.http, &ask)
    }

    /// Returns an entry of an id, for the fixture's topic, with these fields.
    pub(super) fn entry(&self, partition: i32, mut fields: Value) -> Value {
        fields["topic"] = self.topic.as_str().into();
        fields["partition"] = partition.into();
        fields
    }

    /// Returns an id of one entry, for partition 0.
    pub(super) fn id(&self, fields: Value) -> Value {
        Value::Array(vec![self.entry(0, fields)])
    }

    /// Writes until the client receives a record, and so has begun. It receives nothing older, and all that
    /// is written after. Returns what was written.
    pub(super) fn write_until_heard(&self, partition: i32, client: &mut Listener) -> Vec<Acked> {
        let mut written = Vec::new();
        eventually(SOON, "a client that listens", || {
            written.extend(self.write(partition, 1));
            client.hear_what_comes(Duration::from_millis(200));
            !client.numbers().is_empty()
        });
        client.upto(&written);
        assert!(
            events(&written).ends_with(&client.heard),
            "{:?} of {written:?}",
            client.heard
        );
        written
    }
}

/// Starts a gateway, and waits until it reads this many partitions.
pub(super) fn gateway(brokers: &SharedCluster, topics: &[&str], partitions: usize) -> Gateway {
    let plan = GatewayPlan::new(RIVERHEAD, brokers.bootstrap_list(), "stream", topics);
    let gateway = plan.unlimited().start().expect("the gateway starts");
    gateway.wait_for_partitions(partitions, SOON);
    gateway
}

fn write(producer: ProducerBuilder<'_>, count: u64) -> Vec<Acked> {
    let mut producer = producer.start();
    producer.send(count);
    let ledger: Ledger = producer.finish();
    assert_eq!(ledger.len() as u64, count, "{:?}", ledger.failed);
    ledger.partitions.into_values().flatten().collect()
}

/// Returns the timestamp of a record of [`TableFixture::write_spaced`]: within the last hour, and before all
/// records with the current time. It is counted from the first number that this thread uses: other tests use
/// any number of them before and meanwhile, and brokers refuse times that are an hour ahead.
pub(super) fn time_of(number: u64) -> i64 {
    thread_local!(static START: Cell<Option<i64>> = const { Cell::new(None) });
    let numbered = number as i64 * 10;
    let start = START.get().unwrap_or_else(|| now() - 3_600_000 - numbered);
    START.set(Some(start));
    start + numbered
}

/// Returns the milliseconds since the Unix epoch.
pub(crate) fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.expect("after 1970").as_millis() as i64
}

/// The path of the stream.
pub(super) const STREAM: &str = "/v2/stream/stream";

/// The longest time of what takes a second on an idle machine.
pub(super) const SOON: Duration = Duration::from_secs(60);

pub(super) const RIVERHEAD: &str = env!("CARGO_BIN_EXE_riverhead");
