//! Whether the cluster answers, and is the right one; another session when it does not, or is not.

use std::{
    collections::BTreeSet,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use super::{Notice, Supervisor};
use crate::kafka::{
    counters::ClusterLabels,
    guard::{self, Guard},
    lookout::Topology,
    online,
    origin::Foreign,
    session::SessionNumber,
    settings::BrokerAddr,
    topics::State,
};

impl Supervisor {
    pub(super) fn see(&mut self, topology: Topology) {
        self.shared.status.answered();
        self.shared.health.set_refused(None);
        if self.silence.broken() {
            tracing::info!(cluster = %self.shared.cluster, "brokers answer again");
            self.tell_reachable(true);
        }
        self.survey(&topology);
        self.topology = Some(topology);
    }

    pub(super) fn hear_nothing(&mut self) {
        self.shared.status.silent();
        if self.silence.heard() {
            tracing::warn!(cluster = %self.shared.cluster, "no broker answers; streams are held");
            self.tell_reachable(false);
        }
        self.renew_if_dead();
    }

    fn tell_reachable(&self, reachable: bool) {
        for topic in self.topics.iter().filter(|topic| topic.active) {
            self.shared.directory.set_reachable(&topic.name, reachable);
        }
    }

    /// librdkafka comes back by itself from almost anything. A client that has neither read a record nor got an answer for
    /// long is replaced all the same: its list of brokers may be of the past, and another begins with ours.
    fn renew_if_dead(&mut self) {
        let Some(session) = &self.session else { return };
        let recorded = self.shared.status.recorded_at();
        let quiet = recorded.map_or(Duration::MAX, |at| at.elapsed());
        let dead = self.silence.lasts().min(quiet).min(session.opened.elapsed());
        if dead >= self.shared.renew_after && self.sessions.may_open() {
            tracing::warn!(
                cluster = %self.shared.cluster, silent = ?self.silence.lasts(),
                "neither a record nor an answer for long: new clients take over at the last offsets"
            );
            self.begin_anew(BTreeSet::new());
        }
    }

    /// librdkafka asks who leads of the broker that it used last: one that was cut off, every time, for as long as that answers.
    /// New clients begin with the others.
    pub(super) fn renew_stalled(&mut self, at: BrokerAddr) {
        let Some(session) = &self.session else { return };
        if session.opened.elapsed() < RENEW_STALLED_EVERY || !self.sessions.may_open() {
            return;
        }
        tracing::warn!(
            cluster = %self.shared.cluster, broker = %at,
            "this broker was cut off from the others, and the tail is read from it: new clients take over at the last offsets"
        );
        self.shared.origin.seeds.avoid(at);
        self.replace_clients();
    }

    /// The brokers are those of another cluster: nothing of it is served.
    pub(super) fn refuse(&mut self, session: SessionNumber, foreign: Foreign) {
        if self
            .session
            .as_ref()
            .is_none_or(|current| current.number != session)
        {
            return;
        }
        tracing::error!(cluster = %self.shared.cluster, "refused: {foreign}");
        self.shared.health.set_refused(Some(foreign.to_string()));
        self.shared.status.foreign(foreign);
        self.session = None;
        self.pool.renew();
        if self.silence.declare() {
            self.tell_reachable(false);
        }
        self.sift();
    }

    pub(super) fn sift_again(&mut self) {
        if self.sift_at.is_some_and(|due| due <= Instant::now()) {
            self.sift();
        }
    }

    /// Finds out which brokers are the wrong ones, on a thread of its own.
    fn sift(&mut self) {
        self.sift_at = Some(Instant::now() + SIFT_EVERY);
        let Some(topic) = self.topics.first().map(|topic| Arc::clone(&topic.name)) else {
            return;
        };
        let (notices, origin) = (self.notices.clone(), Arc::clone(&self.shared.origin));
        let config = self.sessions.config().clone();
        let guard = Guard::new(&self.shared, guard::SIFT);
        let sifting = thread::Builder::new().name(guard::SIFT.to_owned());
        let spawned = sifting.spawn(move || {
            // After a panic it is due again like after an answer that does not come.
            guard.catch(|| {
                let brokers = origin.seeds.all();
                let foreign = online::foreigners(&config, brokers, &topic, &origin);
                let _ = notices.send(Notice::Sifted(foreign));
            });
        });
        if let Err(error) = spawned {
            tracing::error!(cluster = %self.shared.cluster, "no thread to look for other brokers: {error}");
        }
    }

    /// New clients, which do not ask these brokers first.
    pub(super) fn begin_anew(&mut self, foreign: BTreeSet<BrokerAddr>) {
        self.shared.origin.seeds.exclude(foreign);
        self.replace_clients();
    }

    /// Replaces the session, and with it the readers of history: all begin with the brokers to ask first.
    fn replace_clients(&mut self) {
        if self.replace_session() {
            self.pool.renew();
        }
    }

    /// A thread of this session panicked.
    pub(super) fn renew_soon(&mut self, session: SessionNumber) {
        if self.session.as_ref().is_some_and(|it| it.number == session) {
            let now = Instant::now();
            self.renew_at = Some(now + self.restarts.pause(now));
        }
    }

    /// Replaces a session that a panic has harmed.
    pub(super) fn renew_again(&mut self) {
        let now = Instant::now();
        if self.renew_at.is_none_or(|due| due > now) {
            return;
        }
        // Without a session there will be another as soon as there are brokers of the right cluster.
        self.renew_at = self.session.is_some().then(|| now + self.restarts.pause(now));
        if self.renew_at.is_some() {
            self.replace_session();
        }
    }

    /// Opens a session that takes over from the one there is; whether there was one to be had.
    fn replace_session(&mut self) -> bool {
        if self.shared.origin.seeds.usable().is_empty() || !self.sessions.may_open() {
            return false;
        }
        match self.sessions.open() {
            Ok(session) => self.session = Some(session),
            Err(error) => {
                tracing::error!("{error}");
                return false;
            }
        }
        (self.sift_at, self.renew_at) = (None, None);
        let labels = ClusterLabels {
            cluster: self.shared.cluster.to_string(),
        };
        self.shared.counters.renewals.get_or_create(&labels).inc();
        self.hand_over();
        true
    }

    /// Gives the new session's tail what the one before it read, from the last offset on. What both have read in between
    /// the log takes once.
    fn hand_over(&mut self) {
        let Some(session) = &self.session else { return };
        for partition in self.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
            match &partition.state {
                State::Reading(log) => session.tail.start(Arc::clone(log)),
                // Whoever was asked may be gone.
                State::Asked(_, from) => partition.state = State::Waiting(Instant::now(), *from),
                State::Waiting(..) => {}
            }
        }
    }
}

/// What new clients get to connect, learn and read, before they are replaced in turn.
const RENEW_STALLED_EVERY: Duration = Duration::from_secs(15);

/// How often brokers of another cluster are asked whether they are ours again; each is one small connection.
const SIFT_EVERY: Duration = Duration::from_secs(10);
