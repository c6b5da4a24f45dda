//! A log that is truncated by an unclean election.

use crate::{
    cluster::Cluster,
    producer::{Acked, Acks},
    topics::NewTopic,
};

/// A topic of one partition whose end is about to be lost.
///
/// ```no_run
/// use riverhead_brokers::{Replacement, Truncation};
/// let cluster = riverhead_brokers::shared();
/// let truncation = Truncation::prepare(&cluster, "rivers");
/// // ... clients read all 600 records, up to offset 599 ...
/// let rewritten = truncation.finish(Replacement::Longer);
/// // ... and find other records at the offsets from 100 on.
/// ```
#[derive(Debug)]
pub struct Truncation<'a> {
    cluster: &'a Cluster,
    topic: String,
    mishap: BrokerFailure,
    /// The records that stay: offsets 0 to 99.
    pub kept: Vec<Acked>,
    /// The acknowledged records that will be lost: offsets 100 to 599.
    pub lost: Vec<Acked>,
}

/// How a broker is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BrokerFailure {
    /// Killed: its connections are reset, and it returns as a new process.
    Killed,
    /// Frozen: its connections stay open without answers, and it continues with the metadata that it had.
    Frozen,
}

impl BrokerFailure {
    fn take(self, cluster: &Cluster, broker: i32) {
        match self {
            Self::Killed => cluster.kill(broker),
            Self::Frozen => cluster.freeze(broker),
        }
    }

    fn give_back(self, cluster: &Cluster, broker: i32) {
        match self {
            Self::Killed => cluster.start_broker(broker),
            Self::Frozen => {
                cluster.thaw(broker);
                cluster.wait_for_broker(broker);
            }
        }
    }
}

/// What replaces the lost records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replacement {
    /// Nothing: the log ends at offset 100.
    Shorter,
    /// 1,000 other records: the log ends at offset 1100, and every lost offset is valid again.
    Longer,
}

impl<'a> Truncation<'a> {
    /// Creates the topic and writes 600 records, of which only broker 1 has the last 500. Broker 2, the other
    /// replica, is down.
    pub fn prepare(cluster: &'a Cluster, topic: &str) -> Self {
        Self::prepare_by(cluster, topic, BrokerFailure::Killed)
    }

    /// Does the same, with brokers that are stopped in this way.
    pub fn prepare_by(cluster: &'a Cluster, topic: &str, mishap: BrokerFailure) -> Self {
        cluster.create(
            &NewTopic::with_replicas(topic, &[&[1, 2]])
                .config("min.insync.replicas", "1")
                .config("unclean.leader.election.enable", "true"),
        );
        let kept = write(cluster, topic, 100, Acks::All);
        mishap.take(cluster, 2);
        cluster.wait_for_isr(topic, 0, &[1]);
        let lost = write(cluster, topic, 500, Acks::Leader);
        Self {
            cluster,
            topic: topic.to_owned(),
            mishap,
            kept,
            lost,
        }
    }

    /// Stops broker 1 too, so that there is no leader.
    pub fn lose_leader(self) -> Leaderless<'a> {
        self.mishap.take(self.cluster, 1);
        self.cluster.wait_for_leader(&self.topic, 0, None);
        Leaderless(self)
    }

    /// Calls [`Truncation::lose_leader`], then [`Leaderless::elect`].
    pub fn finish(self, replacement: Replacement) -> Vec<Acked> {
        self.lose_leader().elect(replacement)
    }
}

/// A [`Truncation`] whose partition has no leader.
#[derive(Debug)]
pub struct Leaderless<'a>(Truncation<'a>);

impl Leaderless<'_> {
    /// Makes broker 2 the leader with the records that it has, writes the replacement, and starts broker 1,
    /// which truncates its log to match. Returns the records of the replacement.
    ///
    /// # Panics
    ///
    /// If the log does not end where it should.
    pub fn elect(self, replacement: Replacement) -> Vec<Acked> {
        let Truncation {
            cluster,
            topic,
            mishap,
            kept,
            ..
        } = &self.0;
        mishap.give_back(cluster, 2);
        cluster.wait_for_leader(topic, 0, Some(2));
        assert_eq!(
            cluster.offsets(topic, 0),
            0..kept.len() as i64,
            "broker 2 has what both had"
        );
        let rewritten = match replacement {
            Replacement::Shorter => Vec::new(),
            Replacement::Longer => write(cluster, topic, 1_000, Acks::All),
        };
        mishap.give_back(cluster, 1);
        cluster.wait_for_isr(topic, 0, &[1, 2]);
        rewritten
    }
}

fn write(cluster: &Cluster, topic: &str, count: u64, acks: Acks) -> Vec<Acked> {
    let mut producer = cluster.producer(topic).acks(acks).start();
    producer.send(count);
    let ledger = producer.finish();
    assert_eq!(
        ledger.len() as u64,
        count,
        "not acknowledged: {:?}",
        ledger.failed
    );
    ledger.partitions.into_values().flatten().collect()
}
