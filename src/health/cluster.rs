//! One cluster that is read.

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
    report::{BrokerReport, ClusterReport, age},
    state::{HealthState, Verdict, count, seconds},
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
    /// Streams are read from elsewhere.
    passive: bool,
    /// Why what answers is not believed.
    refused: Option<String>,
    /// What somebody should look at.
    concern: Option<String>,
    /// What panicked last.
    panic: Option<PanicRecord>,
    id: Option<Arc<str>>,
    described: Option<Instant>,
    bootstrap: Bootstrap,
    brokers: BTreeMap<i32, BrokerHealth>,
    /// The brokers that replicas of our topics are placed on.
    replicas: BTreeSet<i32>,
    /// `host:port` -> what librdkafka last said against it.
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

    /// The bootstrap list, as `host:port`.
    pub fn set_bootstrap(&self, list: Vec<String>) {
        self.facts.write().bootstrap.set(list);
    }

    /// Says whether streams are read from it now; they are unless somebody says otherwise.
    pub fn set_active(&self, active: bool) {
        self.facts.write().passive = !active;
    }

    /// Says why what answers is not believed (another cluster's id, for instance); `None` when it is again.
    pub fn set_refused(&self, why: Option<String>) {
        self.facts.write().refused = why;
    }

    /// A broker has told the topology.
    pub fn record_topology(&self, id: &Arc<str>, at: Instant) {
        let mut facts = self.facts.write();
        facts.id = Some(Arc::clone(id));
        facts.described = Some(at);
    }

    /// The topology of a topic: who leads each partition.
    pub fn set_leaders(&self, topic: &Arc<str>, leaders: &[Option<i32>], at: Instant) {
        let mut facts = self.facts.write();
        let topic = facts.topics.entry(Arc::clone(topic)).or_default();
        topic.set_described(leaders.len(), at);
        for (partition, leader) in topic.partitions.iter().zip(leaders) {
            partition.set_leader(*leader, at);
        }
    }

    /// Notes that the cluster does not tell of this topic, and what it calls the error.
    pub fn refuse_topic(&self, topic: &Arc<str>, fault: TopicFault, name: &str, at: Instant) {
        let mut facts = self.facts.write();
        let topic = facts.topics.entry(Arc::clone(topic)).or_default();
        topic.refused(fault, name, at);
    }

    /// Returns the refusals of topics that have begun to persist, or ended, since the last call.
    pub fn topic_fault_events(&self, now: Instant) -> Vec<(Arc<str>, FaultEvent)> {
        let mut facts = self.facts.write();
        let topics = facts.topics.iter_mut();
        let news = topics.flat_map(|(name, topic)| {
            let news = topic.fault_events(now).into_iter();
            news.map(|news| (Arc::clone(name), news))
        });
        news.collect()
    }

    /// Notes that a broker has told where the brokers are: its name as librdkafka writes it, and the id and `host:port` of each.
    pub fn set_advertised(&self, by: &str, brokers: Vec<(i32, String)>, at: Instant) {
        self.facts.write().advertised = Some(AdvertisedAddresses::new(by, brokers, at));
    }

    /// Sets how long a transaction may be open before a partition is degraded for it.
    pub fn set_transaction_patience(&self, patience: Duration) {
        self.facts.write().transaction_patience = Some(patience);
    }

    /// This topic is read from elsewhere now.
    pub fn forget(&self, topic: &str) {
        self.facts.write().topics.remove(topic);
    }

    /// Says what somebody should look at although the cluster serves; `None` when nothing is any more.
    pub fn set_concern(&self, concern: Option<String>) {
        self.facts.write().concern = concern;
    }

    /// A thread that reads the cluster panicked; its work begins anew.
    pub fn record_panic(&self, thread: &'static str, message: &str, at: Instant) {
        let message = cause::shorten(message);
        self.facts.write().panic = Some(PanicRecord { thread, message, at });
    }

    /// Its configured name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The brokers that replicas of our topics are placed on, alive or not.
    pub fn set_replicas(&self, brokers: BTreeSet<i32>) {
        self.facts.write().replicas = brokers;
    }

    /// The cell of a partition, once [`set_leaders`](Self::set_leaders) has made it.
    pub fn partition(&self, topic: &str, partition: i32) -> Option<Arc<PartitionHealth>> {
        let facts = self.facts.read();
        let number = usize::try_from(partition).ok()?;
        facts.topics.get(topic)?.partitions.get(number).cloned()
    }

    /// Every partition: topic, number, cell.
    pub fn partitions(&self) -> Vec<(Arc<str>, i32, Arc<PartitionHealth>)> {
        let facts = self.facts.read();
        let numbered = |(topic, it): (&Arc<str>, &TopicHealth)| {
            let topic = Arc::clone(topic);
            let cells: Vec<_> = it.partitions.iter().cloned().enumerate().collect();
            cells
                .into_iter()
                .map(move |(number, cell)| (Arc::clone(&topic), number as i32, cell))
        };
        facts.topics.iter().flat_map(numbered).collect()
    }

    /// The brokers that are in the cluster now, as statistics tell. Those that are no longer are forgotten, unless replicas
    /// are placed on them.
    pub fn set_brokers(&self, connections: Vec<BrokerConnection>, at: Instant) {
        let mut facts = self.facts.write();
        for connection in &connections {
            if connection.state == "UP" {
                facts.errors.remove(&*connection.address);
            }
        }
        let mut old = std::mem::take(&mut facts.brokers);
        for connection in connections {
            let mut broker = old
                .remove(&connection.id)
                .unwrap_or_else(|| BrokerHealth::new(at));
            let id = connection.id;
            broker.connect(connection);
            facts.brokers.insert(id, broker);
        }
        old.retain(|id, _| facts.replicas.contains(id));
        old.values_mut().for_each(BrokerHealth::gone);
        facts.brokers.append(&mut old);
    }

    /// The id and address of each broker that is in the cluster now.
    pub fn brokers(&self) -> Vec<(i32, Arc<str>)> {
        let facts = self.facts.read();
        let listed = facts.brokers.iter().filter(|(_, broker)| !broker.is_gone());
        listed
            .filter_map(|(id, broker)| Some((*id, Arc::clone(broker.address()?))))
            .collect()
    }

    /// This broker has answered a question that was put to it alone.
    pub fn record_answer(&self, broker: i32, at: Instant) {
        if let Some(broker) = self.facts.write().brokers.get_mut(&broker) {
            broker.answered(at);
        }
    }

    /// Notes that a broker makes one of our clients wait for the sake of a quota, at most so long before the next answer.
    pub fn record_throttle(&self, broker: i32, pause: Duration, at: Instant) {
        if let Some(broker) = self.facts.write().brokers.get_mut(&broker) {
            broker.throttles(pause, at);
        }
    }

    /// Returns how long this broker makes us wait for the sake of a quota, if it has lately.
    pub fn throttling(&self, broker: i32, now: Instant) -> Option<Duration> {
        self.facts.read().brokers.get(&broker)?.throttling(now)
    }

    /// What librdkafka said of a broker, `HOST:PORT/ID: TEXT`. Anything else is not kept.
    pub fn error(&self, text: &str) {
        let Some((address, why)) = cause::split(text) else {
            return;
        };
        let mut facts = self.facts.write();
        if facts.errors.len() < MAX_ERRORS || facts.errors.contains_key(address) {
            facts.errors.insert(address.to_owned(), cause::shorten(why));
        }
    }

    /// Returns what is wrong when a broker answers and sends us to addresses that do not.
    pub fn astray(&self, now: Instant) -> Option<String> {
        self.facts.read().astray(now)
    }

    /// Returns what was last said against each address, for a person.
    pub fn errors(&self) -> String {
        let facts = self.facts.read();
        let said = facts.errors.iter().take(MAX_NAMED);
        let said = said.map(|(address, why)| format!("{address}: {why}"));
        said.collect::<Vec<_>>().join("; ")
    }

    /// Whether a broker that answers listens at this `host:port`.
    pub fn answers_at(&self, address: &str, now: Instant) -> bool {
        let facts = self.facts.read();
        let here = |broker: &BrokerHealth| broker.address().is_some_and(|own| **own == *address);
        facts
            .brokers
            .values()
            .any(|broker| here(broker) && broker.is_reachable(now))
    }

    /// The bootstrap list.
    pub fn bootstrap(&self) -> Vec<String> {
        self.facts.read().bootstrap.list.clone()
    }

    /// An address of the bootstrap list was tried.
    pub fn record_attempt(&self, address: &str, outcome: Result<(), String>) {
        self.facts.write().bootstrap.record_attempt(address, outcome);
    }

    /// Whether it has told its topology and is believed, or need not.
    pub(super) fn is_described(&self) -> bool {
        let facts = self.facts.read();
        facts.passive || (facts.described.is_some() && facts.refused.is_none())
    }

    pub(super) fn is_active(&self) -> bool {
        !self.facts.read().passive
    }

    /// How it is, by itself: what its partitions are is settled later.
    pub(super) fn report(&self, now: Instant) -> ClusterReport {
        let facts = self.facts.read();
        let brokers = facts.broker_reports(self.since, now);
        let reachable = brokers.iter().filter(|broker| broker.reachable).count();
        let Verdict { state, reason } = facts.judge(self.since, &brokers, reachable, now);
        let around = JudgeContext {
            naming: &|id| facts.name_of(id),
            answers: &|id| facts.brokers.get(&id).is_some_and(|it| it.is_reachable(now)),
            throttles: &|id| facts.brokers.get(&id)?.throttling(now),
            transaction_patience: facts.transaction_patience,
        };
        let partitions = facts.topics.iter().flat_map(|(name, topic)| {
            let refused = topic.judge(now);
            let cells = topic.partitions.iter().enumerate();
            let reports = cells.map(|(number, cell)| cell.report(name, number as i32, &around, now));
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

impl ClusterFacts {
    fn judge(&self, since: Instant, brokers: &[BrokerReport], reachable: usize, now: Instant) -> Verdict {
        if let Some(why) = &self.refused {
            return Verdict::failing(why.clone());
        }
        match self.described.map(|at| now.saturating_duration_since(at)) {
            None => self.unmet(now.saturating_duration_since(since), now),
            Some(age) if age >= DEADLINE => Verdict::failing(format!(
                "no broker has told the topology for {}: {}",
                seconds(age),
                self.astray(now).unwrap_or_else(|| self.causes(now))
            )),
            Some(_) => self
                .short_of_brokers(brokers, reachable)
                .or_else(|| self.short_of_seeds())
                .or_else(|| self.starting(brokers))
                .or_else(|| self.lacking(now))
                .or_else(|| self.panicked(now))
                .or_else(|| self.concern.clone().map(Verdict::degraded))
                .unwrap_or_else(|| {
                    Verdict::ok(format!(
                        "{} and the topology are known",
                        count(reachable, "broker")
                    ))
                }),
        }
    }

    /// No broker has ever told the topology.
    fn unmet(&self, age: Duration, now: Instant) -> Verdict {
        let what = self
            .astray(now)
            .unwrap_or_else(|| format!("none of the bootstrap brokers answers: {}", self.causes(now)));
        match age < DEADLINE {
            true => Verdict::starting(age, what),
            false => Verdict::failing(what),
        }
    }

    /// A broker answers, and sends us to addresses that do not.
    fn astray(&self, now: Instant) -> Option<String> {
        let advertised = self.advertised.as_ref()?;
        // A client that was sent nowhere asks nowhere else: the one that sent it there has to take connections, and no more. What
        // has led somewhere before is not wrong because brokers are down.
        let by = advertised.by();
        let stands = self.described.is_none() && self.bootstrap.takes(by) && !self.errors.contains_key(by);
        let counts = stands || advertised.is_fresh(DEADLINE, now);
        counts.then(|| advertised.astray(&self.errors)).flatten()
    }

    fn short_of_brokers(&self, brokers: &[BrokerReport], reachable: usize) -> Option<Verdict> {
        let bad = brokers
            .iter()
            .find(|it| it.state == super::HealthState::Failing)?;
        let name = self.name_of(bad.id);
        Some(Verdict::degraded(format!(
            "{reachable} of {} answer; {name}: {}",
            count(brokers.len(), "broker"),
            bad.reason
        )))
    }

    /// The outage of 2019: nothing fails before the next restart.
    fn short_of_seeds(&self) -> Option<Verdict> {
        let reachable = self.bootstrap.reachable()?;
        let all = self.bootstrap.list.len();
        (reachable == 0 || (reachable < 2 && all > 1)).then(|| {
            Verdict::degraded(format!(
                "{reachable} of {} in the bootstrap list take connections, so a restart may find nobody: {}",
                count(all, "address"),
                self.bootstrap.dead()
            ))
        })
    }

    fn starting(&self, brokers: &[BrokerReport]) -> Option<Verdict> {
        if brokers.is_empty() {
            return Some(Verdict::degraded("no broker was looked at yet"));
        }
        let young = brokers
            .iter()
            .find(|it| it.state == super::HealthState::Degraded)?;
        Some(Verdict::degraded(format!(
            "{}: {}",
            self.name_of(young.id),
            young.reason
        )))
    }

    fn panicked(&self, now: Instant) -> Option<Verdict> {
        let PanicRecord { thread, message, at } = self.panic.as_ref()?;
        let age = now.saturating_duration_since(*at);
        (age < PANIC_TOLD).then(|| {
            let age = seconds(age);
            Verdict::degraded(format!(
                "the thread {thread} panicked {age} ago and was begun anew; this is a bug of riverhead: {message}"
            ))
        })
    }

    fn lacking(&self, now: Instant) -> Option<Verdict> {
        if let Some((topic, _)) = self.topics.iter().find(|(_, topic)| topic.is_missing()) {
            return Some(Verdict::degraded(format!("there is no topic {topic}")));
        }
        let reports = self.topics.iter().map(|(name, topic)| topic.report(name, now));
        let bad = reports.into_iter().find(|topic| topic.state > HealthState::Ok)?;
        Some(Verdict::degraded(format!("topic {}: {}", bad.topic, bad.reason)))
    }

    /// Every broker that is in the cluster, or that should be.
    fn broker_reports(&self, since: Instant, now: Instant) -> Vec<BrokerReport> {
        let ids: BTreeSet<_> = self.brokers.keys().chain(&self.replicas).copied().collect();
        let gone = BrokerHealth::new(since);
        let report = |id| {
            let broker = self.brokers.get(&id).unwrap_or(&gone);
            let cause = broker.address().and_then(|address| self.errors.get(&**address));
            broker.report(id, cause.map(String::as_str), now)
        };
        ids.into_iter().map(report).collect()
    }

    fn name_of(&self, id: i32) -> String {
        match self.brokers.get(&id).and_then(BrokerHealth::address) {
            Some(address) => format!("broker {id} ({address})"),
            None => format!("broker {id}"),
        }
    }

    /// What is said against each broker that could be asked.
    fn causes(&self, now: Instant) -> String {
        let known = self.brokers.values().filter_map(BrokerHealth::address);
        let known = known.map(|address| &**address);
        let seeds = self.bootstrap.list.iter().map(String::as_str);
        let asked: BTreeSet<_> = seeds.chain(known).collect();
        let cause = |address: &str| {
            // librdkafka picks one at a time, and may come to some of them late.
            let said = self.errors.get(address).map(String::as_str);
            let answers = || {
                let answered = self.advertised.as_ref()?.is_by(address, DEADLINE, now);
                answered.then_some("answers, but does not tell the topology")
            };
            said.or_else(|| self.bootstrap.fault(address))
                .or_else(answers)
                .unwrap_or("connected to, or being connected to, and mute")
        };
        let said = asked
            .iter()
            .take(MAX_NAMED)
            .map(|address| format!("{address}: {}", cause(address)));
        let mut said: Vec<_> = said.collect();
        if asked.len() > MAX_NAMED {
            said.push(format!("and {} more", asked.len() - MAX_NAMED));
        }
        said.join("; ")
    }
}

/// The topology is asked for every 2 s, and a question may sit on a mute broker for 2 s before another is asked. A page that
/// names the cause within 10 s of an outage rests on this.
const DEADLINE: Duration = Duration::from_secs(8);

/// Long enough for the two or three looks that somebody takes at health in an hour of alarms, and for alerts on it.
const PANIC_TOLD: Duration = Duration::from_secs(600);

/// Addresses come from the configuration and from brokers; this bounds what brokers can make us keep.
const MAX_ERRORS: usize = 256;

/// A sentence that names more is not read.
const MAX_NAMED: usize = 5;
