//! Decides for every partition which log is current, and where its tail begins.
//!
//! One thread owns these decisions. It waits for nobody: looks at the topology and questions to leaders are asked of
//! other threads, and their answers come in as notices.

mod notice;
mod places;
mod reach;
mod survey;

pub(super) use notice::{Notice, Ticket};

use std::{
    io,
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use super::{
    connect::{Shared, Watches},
    guard::{self, Guard, Restarts},
    history::Pool,
    lookout::Topology,
    reader::Token,
    session::{Session, Sessions},
    silence::Silence,
    topics::{Partition, Topic},
};

/// Decides; see the module.
pub(super) struct Supervisor {
    shared: Shared,
    topics: Vec<Topic>,
    pool: Arc<Pool>,
    sessions: Sessions,
    /// None while the brokers that answer are another cluster's.
    session: Option<Session>,
    /// When another session takes over from one that a panic has harmed.
    renew_at: Option<Instant>,
    /// The pauses before that.
    restarts: Restarts,
    /// When to look once more for brokers of the right cluster.
    sift_at: Option<Instant>,
    /// When to ask where the logs start that the tail does not hear of.
    ask_starts_at: Instant,
    notices: mpsc::Sender<Notice>,
    inbox: mpsc::Receiver<Notice>,
    tickets: Ticket,
    silence: Silence,
    /// What the newest look showed.
    topology: Option<Topology>,
}

impl Supervisor {
    pub(super) fn new(
        shared: Shared,
        topics: Vec<Topic>,
        pool: Arc<Pool>,
        (sessions, session): (Sessions, Session),
        (notices, inbox): (mpsc::Sender<Notice>, mpsc::Receiver<Notice>),
    ) -> Self {
        let active = topics.iter().any(|topic: &Topic| topic.active);
        shared.health.set_active(active);
        Self {
            shared,
            topics,
            pool,
            sessions,
            session: Some(session),
            renew_at: None,
            restarts: Restarts::default(),
            sift_at: None,
            ask_starts_at: Instant::now() + ASK_STARTS_EVERY,
            notices,
            inbox,
            tickets: 0,
            silence: Silence::new(),
            topology: None,
        }
    }

    /// Starts the thread, which lets go of what it holds when it ends.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub(super) fn spawn(self, held: (Token, Watches)) -> io::Result<()> {
        thread::Builder::new()
            .name(guard::CLUSTER.to_owned())
            .spawn(move || {
                self.run();
                drop(held);
            })?;
        Ok(())
    }

    fn run(mut self) {
        let mut guard = Guard::new(&self.shared, guard::CLUSTER);
        loop {
            match guard.catch(|| self.turn()) {
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
    fn turn(&mut self) -> bool {
        let notice = self.inbox.recv_timeout(self.pause());
        #[cfg(test)]
        guard::trip(&self.shared.cluster);
        match notice {
            Ok(Notice::Stop) | Err(mpsc::RecvTimeoutError::Disconnected) => return false,
            Ok(notice) => self.take_notice(notice),
            Err(mpsc::RecvTimeoutError::Timeout) => {
                self.ask_again();
                self.ask_starts(Instant::now());
                self.sift_again();
                self.renew_again();
            }
        }
        true
    }

    fn take_notice(&mut self, notice: Notice) {
        match notice {
            Notice::Topology(topology) => self.see(topology),
            Notice::Silence => self.hear_nothing(),
            Notice::Foreign(session, foreign) => self.refuse(session, foreign),
            Notice::Sifted(foreign) => self.begin_anew(foreign),
            Notice::Panicked(session) => self.renew_soon(session),
            Notice::Reseeded => self.sift_at = self.sift_at.map(|_| Instant::now()),
            Notice::Bounds(partition, ticket, result) => self.answer(&partition, ticket, result),
            Notice::Lost(log) => self.lost(&log),
            Notice::Stalled(at) => self.renew_stalled(at),
            Notice::Doubt => self.look(),
            Notice::Take(topics) => self.take_over(&topics),
            Notice::Release(topics, then) => {
                self.release(&topics);
                then();
            }
            // The loop has seen to it.
            Notice::Stop => {}
        }
    }

    /// How long until something is to be done again.
    fn pause(&self) -> Duration {
        let partitions = self.topics.iter().flat_map(|topic| &topic.partitions);
        let due = partitions
            .filter_map(Partition::due)
            .chain(self.sift_at)
            .chain(self.renew_at)
            .chain([self.ask_starts_at])
            .min();
        due.map_or(ASK_STARTS_EVERY, |due| {
            due.saturating_duration_since(Instant::now())
        })
    }

    fn look(&self) {
        if let Some(session) = &self.session {
            session.lookout.look();
        }
    }
}

/// How often it is asked where a log starts that is not fetched from. Records that were deleted are served for no longer than 10 s.
const ASK_STARTS_EVERY: Duration = Duration::from_secs(5);
