//! The health of one cluster that is read.

mod judge;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::RwLock;

use super::{
    advertised::AdvertisedAddresses,
    bootstrap::Bootstrap,
    broker::{BrokerConnection, BrokerHealth},
    cause,
    fault::FaultEvent,
    partition::{JudgeContext, PartitionHealth},
    report::{ClusterReport, age},
    state::Verdict,
    topic::{TopicFault, TopicHealth},
};

/// The cell of a cluster.
#[derive(Debug)]
pub struct ClusterHealth {
    name: Arc<str>,
    since: Instant,
    facts: RwLock<ClusterFacts>,
}

#[derive(Debug, Default)]
struct ClusterFacts {
    /// Whether streams are read from another cluster.
    passive: bool,
    /// Why the answers of the cluster are not trusted.
    refused: Option<String>,
    /// A problem that an operator should look at.
    concern: Option<String>,
    /// The last panic.
    panic: Option<PanicRecord>,
    id: Option<Arc<str>>,
    described: Option<Instant>,
    bootstrap: Bootstrap,
    brokers: BTreeMap<i32, BrokerHealth>,
    /// The brokers on which replicas of our topics are placed.
    replicas: BTreeSet<i32>,
    /// librdkafka's last error about each `host:port`.
    errors: BTreeMap<String, String>,
    topics: BTreeMap<Arc<str>, TopicHealth>,
    advertised: Option<AdvertisedAddresses>,
    transaction_patience: Option<Duration>,
}

#[derive(Debug)]
struct PanicRecord {
    thread: &'static str,
    message: String,
    at: Instant,
}

impl ClusterHealth {
    pub(super) fn new(name: Arc<str>, now: Instant) -> Self {
        Self {
            name,
            since: now,
            facts: RwLock::default(),
        }
    }

    /// Sets the bootstrap list, as `host:port`.
    pub fn set_bootstrap(&self, list: Vec<String>) {
        self.facts.write().bootstrap.set(list);
    }

    /// Sets whether streams are read from the cluster now. The default is that they are.
    pub fn set_active(&self, active: bool) {
        self.facts.write().passive = !active;
    }

    /// Sets why the answers are not trusted (another cluster's id, for instance), or `None` once they are again.
    pub fn set_refused(&self, why: Option<String>) {
        self.facts.write().refused = why;
    }

    /// Records that a broker has told the topology.
    pub fn record_topology(&self, id: &Arc<str>, at: Instant) {
        let mut facts = self.facts.write();
        facts.id = Some(Arc::clone(id));
        facts.described = Some(at);
    }

    /// Records the topology of a topic: the leader of each partition.
    pub fn set_leaders(&self, topic: &Arc<str>, leaders: &[Option<i32>], at: Instant) {
        let mut facts = self.facts.write();
        let topic = facts.topics.entry(Arc::clone(topic)).or_default();
        topic.set_described(leaders.len(), at);
        for (partition, leader) in topic.partitions.iter().zip(leaders) {
            partition.set_leader(*leader, at);
        }
    }

    /// Records that the cluster does not describe this topic, with its name for the error.
    pub fn refuse_topic(&self, topic: &Arc<str>, fault: TopicFault, name: &str, at: Instant) {
        let mut facts = self.facts.write();
        let topic = facts.topics.entry(Arc::clone(topic)).or_default();
        topic.refused(fault, name, at);
    }

    /// Returns the topic errors that have begun to persist, or ended, since the last call.
    pub fn topic_fault_events(&self, now: Instant) -> Vec<(Arc<str>, FaultEvent)> {
        let mut facts = self.facts.write();
        let topics = facts.topics.iter_mut();
        let news = topics.flat_map(|(name, topic)| {
            let news = topic.fault_events(now).into_iter();
            news.map(|news| (Arc::clone(name), news))
        });
        news.collect()
    }

    /// Records a broker's answer that lists the brokers: its name as librdkafka writes it, and the id and `host:port` of each.
    pub fn set_advertised(&self, by: &str, brokers: Vec<(i32, String)>, at: Instant) {
        self.facts.write().advertised = Some(AdvertisedAddresses::new(by, brokers, at));
    }

    /// Sets how long a transaction may be open before a partition is degraded for it.
    pub fn set_transaction_patience(&self, patience: Duration) {
        self.facts.write().transaction_patience = Some(patience);
    }

    /// Removes a topic that is now read from another cluster.
    pub fn forget(&self, topic: &str) {
        self.facts.write().topics.remove(topic);
    }

    /// Sets a problem that an operator should look at although the cluster serves, or `None` once there is none.
    pub fn set_concern(&self, concern: Option<String>) {
        self.facts.write().concern = concern;
    }

    /// Records that a thread that reads the cluster panicked. Its work is restarted.
    pub fn record_panic(&self, thread: &'static str, message: &str, at: Instant) {
        let message = cause::shorten(message);
        self.facts.write().panic = Some(PanicRecord { thread, message, at });
    }

    /// Returns the configured name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Sets the brokers on which replicas of our topics are placed, alive or not.
    pub fn set_replicas(&self, brokers: BTreeSet<i32>) {
        self.facts.write().replicas = brokers;
    }

    /// Returns the cell of a partition, once [`set_leaders`](Self::set_leaders) has made it.
    pub fn partition(&self, topic: &str, partition: i32) -> Option<Arc<PartitionHealth>> {
        let facts = self.facts.read();
        let number = usize::try_from(partition).ok()?;
        facts.topics.get(topic)?.partitions.get(number).cloned()
    }

    /// Returns every partition: its topic, its number and its cell.
    pub fn partitions(&self) -> Vec<(Arc<str>, i32, Arc<PartitionHealth>)> {
        let facts = self.facts.read();
        let partitions = facts.topics.iter().flat_map(|(topic, it)| {
            let numbered = (0..).zip(&it.partitions);
            numbered.map(move |(number, cell)| (Arc::clone(topic), number, Arc::clone(cell)))
        });
        partitions.collect()
    }

    /// Records the brokers that are in the cluster now, according to statistics. Brokers that are no longer there are forgotten,
    /// unless replicas are placed on them.
    pub fn set_brokers(&self, connections: Vec<BrokerConnection>, at: Instant) {
        let mut facts = self.facts.write();
        for connection in &connections {
            if connection.state == "UP" {
                facts.errors.remove(&*connection.address);
            }
        }
        let mut old = std::mem::take(&mut facts.brokers);
        for connection in connections {
            let id = connection.id;
            let mut broker = old.remove(&id).unwrap_or_else(|| BrokerHealth::new(at));
            broker.connect(connection);
            facts.brokers.insert(id, broker);
        }
        old.retain(|id, _| facts.replicas.contains(id));
        old.values_mut().for_each(BrokerHealth::gone);
        facts.brokers.append(&mut old);
    }

    /// Returns the id and address of each broker that is in the cluster now.
    pub fn brokers(&self) -> Vec<(i32, Arc<str>)> {
        let facts = self.facts.read();
        let listed = facts.brokers.iter().filter(|(_, broker)| !broker.is_gone());
        listed
            .filter_map(|(id, broker)| Some((*id, Arc::clone(broker.address()?))))
            .collect()
    }

    /// Records that this broker has answered a request that was sent to it alone.
    pub fn record_answer(&self, broker: i32, at: Instant) {
        if let Some(broker) = self.facts.write().brokers.get_mut(&broker) {
            broker.answered(at);
        }
    }

    /// Records that a broker throttles one of our clients, by at most `pause` before the next answer.
    pub fn record_throttle(&self, broker: i32, pause: Duration, at: Instant) {
        if let Some(broker) = self.facts.write().brokers.get_mut(&broker) {
            broker.throttles(pause, at);
        }
    }

    /// Returns how long this broker makes us wait because of a quota, if it has lately.
    pub fn throttling(&self, broker: i32, now: Instant) -> Option<Duration> {
        self.facts.read().brokers.get(&broker)?.throttling(now)
    }

    /// Records librdkafka's error about a broker, `HOST:PORT/ID: TEXT`. Any other text is dropped.
    pub fn error(&self, text: &str) {
        let Some((address, why)) = cause::split(text) else {
            return;
        };
        let mut facts = self.facts.write();
        if facts.errors.len() < MAX_ERRORS || facts.errors.contains_key(address) {
            facts.errors.insert(address.to_owned(), cause::shorten(why));
        }
    }

    /// Describes the fault if a broker answers and advertises addresses that do not.
    pub fn astray(&self, now: Instant) -> Option<String> {
        self.facts.read().astray(now)
    }

    /// Returns the last error of each address, for a person.
    pub fn errors(&self) -> String {
        let facts = self.facts.read();
        let said = facts.errors.iter().take(MAX_NAMED);
        let said = said.map(|(address, why)| format!("{address}: {why}"));
        said.collect::<Vec<_>>().join("; ")
    }

    /// Returns whether a broker with this `host:port` answers.
    pub fn answers_at(&self, address: &str, now: Instant) -> bool {
        let facts = self.facts.read();
        let here = |broker: &BrokerHealth| broker.address().is_some_and(|own| **own == *address);
        let mut brokers = facts.brokers.values();
        brokers.any(|broker| here(broker) && broker.is_reachable(now))
    }

    /// Returns the bootstrap list.
    pub fn bootstrap(&self) -> Vec<String> {
        self.facts.read().bootstrap.list.clone()
    }

    /// Records an attempt to connect to an address of the bootstrap list.
    pub fn record_attempt(&self, address: &str, outcome: Result<(), String>) {
        self.facts.write().bootstrap.record_attempt(address, outcome);
    }

    /// Returns whether the cluster has told its topology and is trusted. A cluster that no stream is read from need not.
    pub(super) fn is_described(&self) -> bool {
        let facts = self.facts.read();
        facts.passive || (facts.described.is_some() && facts.refused.is_none())
    }

    pub(super) fn is_active(&self) -> bool {
        !self.facts.read().passive
    }

    /// Returns the report on the cluster itself. The verdicts of its partitions are applied later, by `settle`.
    pub(super) fn report(&self, now: Instant) -> ClusterReport {
        let facts = self.facts.read();
        let brokers = facts.broker_reports(self.since, now);
        let reachable = brokers.iter().filter(|broker| broker.reachable).count();
        let Verdict { state, reason } = facts.judge(self.since, &brokers, reachable, now);
        let context = JudgeContext {
            naming: &|id| facts.name_of(id),
            answers: &|id| facts.brokers.get(&id).is_some_and(|it| it.is_reachable(now)),
            throttles: &|id| facts.brokers.get(&id)?.throttling(now),
            transaction_patience: facts.transaction_patience,
        };
        let partitions = facts.topics.iter().flat_map(|(name, topic)| {
            let refused = topic.judge(now);
            let cells = topic.partitions.iter().enumerate();
            let reports = cells.map(|(number, cell)| cell.report(name, number as i32, &context, now));
            reports
                .map(|report| match &refused {
                    Some((verdict, error)) => report.refused(verdict, error),
                    None => report,
                })
                .collect::<Vec<_>>()
        });
        let missing = facts.topics.iter().filter(|(_, topic)| topic.is_missing());
        let topics = facts.topics.iter();
        ClusterReport {
            name: self.name.to_string(),
            state,
            reason,
            active: !facts.passive,
            cluster_id: facts.id.as_deref().map(str::to_owned),
            bootstrap: facts.bootstrap.list.clone(),
            bootstrap_reachable: facts.bootstrap.reachable(),
            metadata_age_seconds: age(facts.described, now),
            brokers_reachable: reachable,
            partitions: partitions.collect(),
            transaction_patience_seconds: facts.transaction_patience.map(|patience| patience.as_secs_f64()),
            topics: topics.map(|(name, topic)| topic.report(name, now)).collect(),
            missing_topics: missing.map(|(name, _)| name.to_string()).collect(),
            brokers,
        }
    }
}

/// Addresses come from the configuration and from brokers. This bounds the memory that brokers can make us use.
const MAX_ERRORS: usize = 256;

/// The most addresses in a sentence. A longer one is not read.
const MAX_NAMED: usize = 5;
