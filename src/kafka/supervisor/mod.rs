//! The supervisor of a cluster: decides for every partition which log is current, and where its tail begins.
//!
//! One thread owns these decisions. It never waits for a broker: metadata refreshes and bounds queries run on other threads,
//! and their results arrive as events.
//!
//! Not here: reading itself (`tail` and `crate::kafka::history`), and which cluster a group of streams is read from
//! (`failover`).

mod event;
pub(super) mod handle;
mod metadata;
mod outage;
mod reachability;
mod session;
mod tail;
mod tail_start;
mod topic_changes;
pub(super) mod topics;
mod topology;

pub(super) use event::SupervisorEvent;

use std::{
    io,
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use super::{
    history::HistoryPool,
    shared::{ClusterShared, ConnectError},
    shutdown_guard::ShutdownGuard,
    threads::{self, PanicHandler, RestartBackoff},
};
use event::{RequestId, SessionNumber, Topology};
use outage::OutageTimer;
use session::Session;
use topics::{PartitionState, TopicState};

/// The supervisor; see the module.
pub(super) struct Supervisor {
    shared: ClusterShared,
    topics: Vec<TopicState>,
    pool: Arc<HistoryPool>,
    sessions_opened: SessionNumber,
    /// The tail's client and its threads. `None` while the brokers that answer belong to another cluster.
    session: Option<Session>,
    /// When another session replaces one that a panic has harmed; `None` if none is harmed.
    renew_at: Option<Instant>,
    /// The backoff of these replacements.
    restarts: RestartBackoff,
    /// When to check the bootstrap brokers again; `None` while the cluster is the right one.
    check_bootstrap_at: Option<Instant>,
    /// When to query the log starts that the tail does not learn of.
    query_starts_at: Instant,
    events: mpsc::Sender<SupervisorEvent>,
    inbox: mpsc::Receiver<SupervisorEvent>,
    last_request_id: RequestId,
    outage: OutageTimer,
    /// The result of the newest metadata refresh.
    topology: Option<Topology>,
    shutdown_guard: ShutdownGuard,
}

impl Supervisor {
    /// Creates the supervisor with its first session.
    ///
    /// # Errors
    /// Returns an error if librdkafka rejects the configuration, or if the system cannot start a thread.
    pub(super) fn new(
        shared: ClusterShared,
        topics: Vec<TopicState>,
        pool: Arc<HistoryPool>,
        (events, inbox): (mpsc::Sender<SupervisorEvent>, mpsc::Receiver<SupervisorEvent>),
        shutdown_guard: ShutdownGuard,
    ) -> Result<Self, ConnectError> {
        let active = topics.iter().any(|topic| topic.active);
        shared.health.set_active(active);
        let mut supervisor = Self {
            shared,
            topics,
            pool,
            sessions_opened: 0,
            session: None,
            renew_at: None,
            restarts: RestartBackoff::default(),
            check_bootstrap_at: None,
            query_starts_at: Instant::now() + QUERY_STARTS_EVERY,
            events,
            inbox,
            last_request_id: 0,
            outage: OutageTimer::new(),
            topology: None,
            shutdown_guard,
        };
        supervisor.session = Some(supervisor.open_session()?);
        Ok(supervisor)
    }

    /// Starts the thread, which drops `held` when it ends.
    ///
    /// # Errors
    /// Returns an error if the system cannot start a thread.
    pub(super) fn spawn(self, held: impl Send + 'static) -> io::Result<()> {
        threads::spawn(threads::SUPERVISOR, move || {
            self.run();
            drop(held);
        })
    }

    fn run(mut self) {
        let mut handler = PanicHandler::new(&self.shared, threads::SUPERVISOR);
        loop {
            match handler.catch(|| self.step()) {
                Some(true) => {}
                Some(false) => return,
                None => {
                    thread::sleep(handler.pause());
                    // An event may have been handled by half. A new session starts every partition that is being read.
                    self.renew_at.get_or_insert_with(Instant::now);
                }
            }
        }
    }

    /// Handles one event, or else what is due. Returns false at the end.
    fn step(&mut self) -> bool {
        let event = self.inbox.recv_timeout(self.pause());
        #[cfg(test)]
        threads::panic_if_requested(&self.shared.cluster);
        match event {
            Ok(SupervisorEvent::Stop) | Err(mpsc::RecvTimeoutError::Disconnected) => return false,
            Ok(event) => self.handle_event(event),
            Err(mpsc::RecvTimeoutError::Timeout) => {
                self.retry_bounds();
                self.query_log_starts(Instant::now());
                self.check_bootstrap_if_due();
                self.renew_if_due();
            }
        }
        true
    }

    fn handle_event(&mut self, event: SupervisorEvent) {
        match event {
            SupervisorEvent::Topology(topology) => self.on_topology(topology),
            SupervisorEvent::RefreshFailed => self.on_refresh_failed(),
            SupervisorEvent::WrongCluster(session, wrong_cluster) => {
                self.on_wrong_cluster(session, wrong_cluster)
            }
            SupervisorEvent::BootstrapChecked(foreign) => self.replace_clients_without(foreign),
            SupervisorEvent::Panicked(session) => self.schedule_renewal(session),
            SupervisorEvent::BootstrapChanged => {
                self.check_bootstrap_at = self.check_bootstrap_at.map(|_| Instant::now())
            }
            SupervisorEvent::Bounds(partition, request_id, result) => {
                self.on_bounds(&partition, request_id, result)
            }
            SupervisorEvent::PositionLost(log) => self.on_position_lost(&log),
            SupervisorEvent::Stalled(at) => self.renew_stalled(at),
            SupervisorEvent::RefreshNeeded => self.refresh_metadata(),
            SupervisorEvent::ActivateTopics(topics) => self.activate_topics(&topics),
            SupervisorEvent::ReleaseTopics(topics, then) => {
                self.release_topics(&topics);
                then();
            }
            SupervisorEvent::KeepActive(topics, then) => {
                self.keep_active(&topics);
                then();
            }
            SupervisorEvent::SetTopics(topics, then) => {
                self.set_topics(topics);
                then();
            }
            // `step` has handled it.
            SupervisorEvent::Stop => {}
        }
    }

    /// Returns how long to wait until something is due.
    fn pause(&self) -> Duration {
        let partitions = self.topics.iter().flat_map(|topic| &topic.partitions);
        let due = partitions
            .filter_map(PartitionState::retry_at)
            .chain(self.check_bootstrap_at)
            .chain(self.renew_at)
            .chain([self.query_starts_at])
            .min();
        due.map_or(QUERY_STARTS_EVERY, |due| {
            due.saturating_duration_since(Instant::now())
        })
    }

    /// Requests a metadata refresh, if there is a session.
    fn refresh_metadata(&self) {
        if let Some(session) = &self.session {
            session.metadata.refresh();
        }
    }
}

/// How often the log start is queried of partitions that are not fetched from. With it, deleted records are served for no
/// longer than 10 s.
const QUERY_STARTS_EVERY: Duration = Duration::from_secs(5);
