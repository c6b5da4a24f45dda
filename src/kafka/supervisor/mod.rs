//! Decides for every partition which log is current, and where its tail begins.
//!
//! One thread owns these decisions. It waits for nobody: looks at the topology and questions to leaders are asked of
//! other threads, and their answers come in as notices.

mod event;
pub(super) mod handle;
mod metadata;
mod outage;
mod reachability;
pub(super) mod session;
mod tail;
mod tail_start;
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
    shared::ClusterShared,
    threads::{self, PanicHandler, RestartBackoff},
};
use event::{RequestId, Topology};
use outage::OutageTimer;
use session::{Session, SessionFactory};
use topics::{PartitionState, TopicState};

/// Decides; see the module.
pub(super) struct Supervisor {
    shared: ClusterShared,
    topics: Vec<TopicState>,
    pool: Arc<HistoryPool>,
    sessions: SessionFactory,
    /// None while the brokers that answer are another cluster's.
    session: Option<Session>,
    /// When another session takes over from one that a panic has harmed.
    renew_at: Option<Instant>,
    /// The pauses before that.
    restarts: RestartBackoff,
    /// When to look once more for brokers of the right cluster.
    check_bootstrap_at: Option<Instant>,
    /// When to ask where the logs start that the tail does not hear of.
    query_starts_at: Instant,
    events: mpsc::Sender<SupervisorEvent>,
    inbox: mpsc::Receiver<SupervisorEvent>,
    last_request_id: RequestId,
    outage: OutageTimer,
    /// What the newest look showed.
    topology: Option<Topology>,
}

impl Supervisor {
    pub(super) fn new(
        shared: ClusterShared,
        topics: Vec<TopicState>,
        pool: Arc<HistoryPool>,
        (sessions, session): (SessionFactory, Session),
        (events, inbox): (mpsc::Sender<SupervisorEvent>, mpsc::Receiver<SupervisorEvent>),
    ) -> Self {
        let active = topics.iter().any(|topic: &TopicState| topic.active);
        shared.health.set_active(active);
        Self {
            shared,
            topics,
            pool,
            sessions,
            session: Some(session),
            renew_at: None,
            restarts: RestartBackoff::default(),
            check_bootstrap_at: None,
            query_starts_at: Instant::now() + QUERY_STARTS_EVERY,
            events,
            inbox,
            last_request_id: 0,
            outage: OutageTimer::new(),
            topology: None,
        }
    }

    /// Starts the thread, which drops `held` when it ends.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub(super) fn spawn(self, held: impl Send + 'static) -> io::Result<()> {
        thread::Builder::new()
            .name(threads::SUPERVISOR.to_owned())
            .spawn(move || {
                self.run();
                drop(held);
            })?;
        Ok(())
    }

    fn run(mut self) {
        let mut guard = PanicHandler::new(&self.shared, threads::SUPERVISOR);
        loop {
            match guard.catch(|| self.step()) {
                Some(true) => {}
                Some(false) => return,
                None => {
                    thread::sleep(guard.pause());
                    // A notice may have been taken by half: a new session is told of all that is read.
                    self.renew_at.get_or_insert_with(Instant::now);
                }
            }
        }
    }

    /// Takes one notice, or does what is due; false at the end.
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
            // The loop has seen to it.
            SupervisorEvent::Stop => {}
        }
    }

    /// How long until something is to be done again.
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

    fn refresh_metadata(&self) {
        if let Some(session) = &self.session {
            session.metadata.refresh();
        }
    }
}

/// How often it is asked where a log starts that is not fetched from. Records that were deleted are served for no longer than 10 s.
const QUERY_STARTS_EVERY: Duration = Duration::from_secs(5);
