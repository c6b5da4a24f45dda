//! Reachability: whether the cluster answers, and is the right one. If not, the session is replaced.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Supervisor, SupervisorEvent,
    event::{SessionNumber, Topology},
    topics::TailState,
};
use crate::kafka::{
    identity::cluster::WrongCluster,
    metrics::ClusterLabels,
    settings::BrokerAddr,
    threads::{self, PanicHandler},
    watchdog::broker_query,
};

impl Supervisor {
    /// Handles an answered metadata refresh.
    pub(super) fn on_topology(&mut self, topology: Topology) {
        self.shared.status.record_answer();
        self.shared.health.set_refused(None);
        if self.outage.record_success() {
            tracing::info!(cluster = %self.shared.cluster, "brokers answer again");
            self.set_reachable(true);
        }
        self.apply_topology(&topology);
        self.topology = Some(topology);
    }

    /// Handles a failed metadata refresh.
    pub(super) fn on_refresh_failed(&mut self) {
        self.shared.status.record_no_answer();
        if self.outage.record_failure() {
            tracing::warn!(cluster = %self.shared.cluster, "no broker answers; streams are held open");
            self.set_reachable(false);
        }
        self.renew_if_dead();
    }

    /// Tells the readers of the active topics whether brokers answer: streams are held while none does.
    fn set_reachable(&self, reachable: bool) {
        for topic in self.topics.iter().filter(|topic| topic.active) {
            self.shared.directory.set_reachable(&topic.name, reachable);
        }
    }

    /// Replaces a client that has neither read a record nor got an answer for long. librdkafka recovers by itself from almost
    /// anything, but its list of brokers may be outdated; a new client begins with ours.
    fn renew_if_dead(&mut self) {
        let Some(session) = &self.session else { return };
        let recorded = self.shared.status.recorded_at();
        let quiet = recorded.map_or(Duration::MAX, |at| at.elapsed());
        let dead = self.outage.duration().min(quiet).min(session.opened.elapsed());
        if dead >= self.shared.settings.renew_after && self.can_open_session() {
            tracing::warn!(
                cluster = %self.shared.cluster, silent = ?self.outage.duration(),
                "no record and no answer for a long time; the Kafka clients are replaced and continue at the \
                 last offsets"
            );
            self.replace_clients_without(BTreeSet::new());
        }
    }

    /// Replaces the clients if the tail stalls on a broker that was cut off. librdkafka asks the broker that it used last for
    /// the leaders, and may ask a cut-off broker for as long as that answers. New clients begin with the other brokers.
    pub(super) fn renew_stalled(&mut self, at: BrokerAddr) {
        let Some(session) = &self.session else { return };
        if session.opened.elapsed() < RENEW_STALLED_EVERY || !self.can_open_session() {
            return;
        }
        tracing::warn!(
            cluster = %self.shared.cluster, broker = %at,
            "the tail is read from a broker that was cut off from the others; the Kafka clients are replaced \
             and continue at the last offsets"
        );
        self.shared.identity.bootstrap.avoid(at);
        self.replace_clients();
    }

    /// Handles that the brokers belong to another cluster: nothing of it is served.
    pub(super) fn on_wrong_cluster(&mut self, session: SessionNumber, wrong_cluster: WrongCluster) {
        if self.session.as_ref().is_none_or(|it| it.number != session) {
            return;
        }
        tracing::error!(cluster = %self.shared.cluster, "the cluster is refused: {wrong_cluster}");
        self.shared.health.set_refused(Some(wrong_cluster.to_string()));
        self.shared.status.set_wrong_cluster(wrong_cluster);
        self.session = None;
        self.pool.replace_readers();
        if self.outage.report_now() {
            self.set_reachable(false);
        }
        self.check_bootstrap();
    }

    /// Checks the bootstrap brokers again, if that is due.
    pub(super) fn check_bootstrap_if_due(&mut self) {
        if self.check_bootstrap_at.is_some_and(|due| due <= Instant::now()) {
            self.check_bootstrap();
        }
    }

    /// Finds out which brokers belong to another cluster, on a thread of its own.
    fn check_bootstrap(&mut self) {
        self.check_bootstrap_at = Some(Instant::now() + CHECK_BOOTSTRAP_EVERY);
        let Some(topic) = self.topics.first().map(|topic| Arc::clone(&topic.name)) else {
            return;
        };
        let (events, shared) = (self.events.clone(), self.shared.clone());
        let handler = PanicHandler::new(&shared, threads::WRONG_CLUSTER_CHECK);
        let spawned = threads::spawn(threads::WRONG_CLUSTER_CHECK, move || {
            // After a panic the check is due again, as after an answer that does not arrive.
            handler.catch(|| {
                let foreign = broker_query::wrong_cluster_brokers(&shared, &topic);
                let _ = events.send(SupervisorEvent::BootstrapChecked(foreign));
            });
        });
        if let Err(error) = spawned {
            tracing::error!(
                cluster = %self.shared.cluster,
                "cannot start a thread to check the bootstrap brokers: {error}"
            );
        }
    }

    /// Replaces the clients by new ones, which do not ask these brokers first.
    pub(super) fn replace_clients_without(&mut self, foreign: BTreeSet<BrokerAddr>) {
        self.shared.identity.bootstrap.exclude(foreign);
        self.replace_clients();
    }

    /// Replaces the session, and with it the readers of history. All begin with the bootstrap brokers.
    fn replace_clients(&mut self) {
        if self.replace_session() {
            self.pool.replace_readers();
        }
    }

    /// Schedules the replacement of a session of which a thread panicked.
    pub(super) fn schedule_renewal(&mut self, session: SessionNumber) {
        if self.session.as_ref().is_some_and(|it| it.number == session) {
            let now = Instant::now();
            self.renew_at = Some(now + self.restarts.pause(now));
        }
    }

    /// Replaces a session that a panic has harmed, if that is due.
    pub(super) fn renew_if_due(&mut self) {
        let now = Instant::now();
        if self.renew_at.is_none_or(|due| due > now) {
            return;
        }
        // Without a session, one is opened as soon as there are brokers of the right cluster.
        self.renew_at = self.session.is_some().then(|| now + self.restarts.pause(now));
        if self.renew_at.is_some() {
            self.replace_session();
        }
    }

    /// Opens a session that replaces the current one. Returns whether one could be opened.
    fn replace_session(&mut self) -> bool {
        if self.shared.identity.bootstrap.usable().is_empty() || !self.can_open_session() {
            return false;
        }
        match self.open_session() {
            Ok(session) => self.session = Some(session),
            Err(error) => {
                tracing::error!("{error}");
                return false;
            }
        }
        (self.check_bootstrap_at, self.renew_at) = (None, None);
        let labels = ClusterLabels {
            cluster: self.shared.cluster.to_string(),
        };
        self.shared.counters.renewals.get_or_create(&labels).inc();
        self.restart_tails();
        true
    }

    /// Tells the new session's tail to read the partitions of the old one, from the last offset on. The log takes records that
    /// both have read only once.
    fn restart_tails(&mut self) {
        let Some(session) = &self.session else { return };
        for partition in self.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
            match &partition.state {
                TailState::Reading(log) => session.tail.start(Arc::clone(log)),
                // The reader that was asked may be gone.
                TailState::Querying(_, from) => partition.state = TailState::Waiting(Instant::now(), *from),
                TailState::Waiting(..) => {}
            }
        }
    }
}

/// The time for new clients to connect, refresh and read before they are replaced in turn.
const RENEW_STALLED_EVERY: Duration = Duration::from_secs(15);

/// How often brokers of another cluster are asked whether they belong to ours again. Each time is one small connection per
/// broker.
const CHECK_BOOTSTRAP_EVERY: Duration = Duration::from_secs(10);
