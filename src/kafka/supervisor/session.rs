//! A session: the tail's client with its threads. It is replaced by another one when no broker answers it any more.

use std::time::Instant;

use super::{
    Supervisor,
    event::{SessionLink, SessionNumber},
    metadata::MetadataWatcher,
    tail::Tail,
};
use crate::kafka::{
    client::{config::ClientKind, raw::KafkaReader},
    history::MAX_HISTORY_READERS,
    shared::ConnectError,
};

/// One client of the tail. Dropping it ends its threads; the client is closed on a thread of its own.
pub(super) struct Session {
    /// Tells the events of this session from those of an earlier one.
    pub(super) number: SessionNumber,
    pub(super) tail: Tail,
    pub(super) metadata: MetadataWatcher,
    pub(super) opened: Instant,
}

impl Supervisor {
    /// Opens a session, whose tail reads nothing yet.
    ///
    /// # Errors
    /// Returns an error if librdkafka rejects the configuration, or if the system cannot start a thread.
    pub(super) fn open_session(&mut self) -> Result<Session, ConnectError> {
        self.sessions_opened += 1;
        let link = SessionLink {
            number: self.sessions_opened,
            events: self.events.clone(),
            shutdown_guard: self.shutdown_guard.clone(),
        };
        let (shared, name) = (&self.shared, || self.shared.cluster.to_string());
        let reader = KafkaReader::of_kind(ClientKind::Tail, shared, &link.shutdown_guard)
            .map_err(|error| ConnectError::Settings(name(), error))?;
        let queue = reader
            .queue()
            .map_err(|code| ConnectError::Client(name(), code))?;
        let thread = |error| ConnectError::Thread(name(), error);
        Ok(Session {
            number: link.number,
            tail: Tail::spawn(reader.clone(), queue, shared, link.clone()).map_err(thread)?,
            metadata: MetadataWatcher::spawn(reader, shared, link).map_err(thread)?,
            opened: Instant::now(),
        })
    }

    /// Returns whether one more session leaves the number of connections bounded. Clients that hang while they close must not
    /// pile up behind new ones.
    pub(super) fn can_open_session(&self) -> bool {
        self.shared.identity.client_count() <= MAX_CLIENTS
    }
}

/// The most clients of one generation: the tail's, the history readers and the one that they share for runs, the one for offset
/// queries, the stall detector with its one-shot client, and the one that searches for damage.
const MAX_CLIENTS: usize = 1 + MAX_HISTORY_READERS + 1 + 1 + 3;
