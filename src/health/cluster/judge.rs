//! The verdict on one cluster, from its facts and the reports of its brokers.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use super::{ClusterFacts, MAX_NAMED, PanicRecord};
use crate::health::{
    broker::BrokerHealth,
    report::BrokerReport,
    state::{HealthState, Verdict, count, seconds},
};

impl ClusterFacts {
    pub(super) fn judge(
        &self,
        since: Instant,
        brokers: &[BrokerReport],
        reachable: usize,
        now: Instant,
    ) -> Verdict {
        if let Some(why) = &self.refused {
            return Verdict::failing(why.clone());
        }
        match self.described.map(|at| now.saturating_duration_since(at)) {
            None => self.never_described(now.saturating_duration_since(since), now),
            Some(age) if age >= DEADLINE => Verdict::failing(format!(
                "no broker has returned metadata for {}: {}",
                seconds(age),
                self.astray(now).unwrap_or_else(|| self.causes(now))
            )),
            Some(_) => self
                .short_of_brokers(brokers, reachable)
                .or_else(|| self.short_of_bootstrap())
                .or_else(|| self.starting(brokers))
                .or_else(|| self.topic_fault(now))
                .or_else(|| self.panicked(now))
                .or_else(|| self.concern.clone().map(Verdict::degraded))
                .unwrap_or_else(|| {
                    let brokers = count(reachable, "broker");
                    Verdict::ok(format!("{brokers} reachable, metadata known"))
                }),
        }
    }

    /// Returns the verdict on a cluster of which no broker has ever told the topology.
    fn never_described(&self, age: Duration, now: Instant) -> Verdict {
        let what = self
            .astray(now)
            .unwrap_or_else(|| format!("none of the bootstrap brokers answers: {}", self.causes(now)));
        match age < DEADLINE {
            true => Verdict::starting(age, what),
            false => Verdict::failing(what),
        }
    }

    /// Describes the fault if a broker answers and advertises addresses that do not.
    pub(super) fn astray(&self, now: Instant) -> Option<String> {
        let advertised = self.advertised.as_ref()?;
        // A client that was sent to a dead address asks no other broker. So before the first topology, the broker that sent it
        // there only has to take connections. After it, the answer has to be fresh: addresses that worked before are not wrong
        // because brokers are down.
        let by = &*advertised.by;
        let stands = self.described.is_none() && self.bootstrap.takes(by) && !self.errors.contains_key(by);
        let counts = stands || advertised.is_fresh(DEADLINE, now);
        counts.then(|| advertised.astray(&self.errors)).flatten()
    }

    fn short_of_brokers(&self, brokers: &[BrokerReport], reachable: usize) -> Option<Verdict> {
        let bad = brokers.iter().find(|it| it.state == HealthState::Failing)?;
        let name = self.name_of(bad.id);
        Some(Verdict::degraded(format!(
            "{reachable} of {} answer; {name}: {}",
            count(brokers.len(), "broker"),
            bad.reason
        )))
    }

    /// Degrades if fewer than two addresses take connections. This was the outage of 2019: nothing fails before the next restart.
    fn short_of_bootstrap(&self) -> Option<Verdict> {
        let reachable = self.bootstrap.reachable()?;
        let all = self.bootstrap.list.len();
        (reachable == 0 || (reachable < 2 && all > 1)).then(|| {
            Verdict::degraded(format!(
                "{reachable} of {} in the bootstrap list accept connections; a restart may find no \
                 broker: {}",
                count(all, "address"),
                self.bootstrap.dead()
            ))
        })
    }

    fn starting(&self, brokers: &[BrokerReport]) -> Option<Verdict> {
        if brokers.is_empty() {
            return Some(Verdict::degraded("no broker has been checked yet"));
        }
        let young = brokers.iter().find(|it| it.state == HealthState::Degraded)?;
        let name = self.name_of(young.id);
        Some(Verdict::degraded(format!("{name}: {}", young.reason)))
    }

    fn panicked(&self, now: Instant) -> Option<Verdict> {
        let PanicRecord { thread, message, at } = self.panic.as_ref()?;
        let age = now.saturating_duration_since(*at);
        (age < PANIC_TOLD).then(|| {
            let age = seconds(age);
            Verdict::degraded(format!(
                "the thread {thread} panicked {age} ago and was restarted; this is a bug in \
                 riverhead: {message}"
            ))
        })
    }

    fn topic_fault(&self, now: Instant) -> Option<Verdict> {
        if let Some((topic, _)) = self.topics.iter().find(|(_, topic)| topic.is_missing()) {
            return Some(Verdict::degraded(format!("there is no topic {topic}")));
        }
        let reports = self.topics.iter().map(|(name, topic)| topic.report(name, now));
        let bad = reports.into_iter().find(|topic| topic.state > HealthState::Ok)?;
        Some(Verdict::degraded(format!("topic {}: {}", bad.topic, bad.reason)))
    }

    /// Returns a report on every broker that is in the cluster or should be.
    pub(super) fn broker_reports(&self, since: Instant, now: Instant) -> Vec<BrokerReport> {
        let ids: BTreeSet<_> = self.brokers.keys().chain(&self.replicas).copied().collect();
        let gone = BrokerHealth::new(since);
        let report = |id| {
            let broker = self.brokers.get(&id).unwrap_or(&gone);
            let cause = broker.address().and_then(|address| self.errors.get(&**address));
            broker.report(id, cause.map(String::as_str), now)
        };
        ids.into_iter().map(report).collect()
    }

    pub(super) fn name_of(&self, id: i32) -> String {
        match self.brokers.get(&id).and_then(BrokerHealth::address) {
            Some(address) => format!("broker {id} ({address})"),
            None => format!("broker {id}"),
        }
    }

    /// Lists the error of each broker that could be asked.
    fn causes(&self, now: Instant) -> String {
        let known = self.brokers.values().filter_map(BrokerHealth::address);
        let known = known.map(|address| &**address);
        let bootstrap = self.bootstrap.list.iter().map(String::as_str);
        let asked: BTreeSet<_> = bootstrap.chain(known).collect();
        let cause = |address: &str| {
            // librdkafka tries one address at a time, and may reach some of them late.
            let said = self.errors.get(address).map(String::as_str);
            let answers = || {
                let advertised = self.advertised.as_ref()?;
                let answered = advertised.by == address && advertised.is_fresh(DEADLINE, now);
                answered.then_some("answers, but returns no metadata")
            };
            said.or_else(|| self.bootstrap.fault(address))
                .or_else(answers)
                .unwrap_or("connected or connecting, no answer yet")
        };
        let named = asked.iter().take(MAX_NAMED);
        let mut said: Vec<_> = named.map(|it| format!("{it}: {}", cause(it))).collect();
        if asked.len() > MAX_NAMED {
            said.push(format!("and {} more", asked.len() - MAX_NAMED));
        }
        said.join("; ")
    }
}

/// The topology is asked for every 2 s, and a request may wait 2 s for a mute broker before another one is asked. An alert that
/// names the cause within 10 s of an outage depends on this.
const DEADLINE: Duration = Duration::from_secs(8);

/// Long enough for the two or three times that an operator looks at the health in an hour of alarms, and for alerts on it.
const PANIC_TOLD: Duration = Duration::from_secs(600);
