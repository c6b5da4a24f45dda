//! A session: the tail's client with its threads. It is replaced by another one when no broker answers it any more.

use std::{
    sync::{Arc, mpsc},
    time::Instant,
};

use rdkafka::ClientConfig;

use super::{SupervisorEvent, event::SessionNumber, metadata::MetadataWatcher, tail::Tail};
use crate::kafka::{
    client::{config::ClientKind, context::Context, raw::KafkaReader},
    history::MAX_HISTORY_READERS,
    shared::{ClusterShared, ConnectError},
    shutdown_guard::ShutdownGuard,
};

/// One client of the tail. Dropping it ends its threads; the client is closed on a thread of its own.
pub(in crate::kafka) struct Session {
    /// Tells the events of this session from those of an earlier one.
    pub(super) number: SessionNumber,
    pub(super) tail: Tail,
    pub(super) metadata: MetadataWatcher,
    pub(super) opened: Instant,
}

/// Opens the sessions of a cluster.
pub(in crate::kafka) struct SessionFactory {
    config: ClientConfig,
    shared: ClusterShared,
    topics: Vec<Arc<str>>,
    events: mpsc::Sender<SupervisorEvent>,
    shutdown_guard: ShutdownGuard,
    opened: SessionNumber,
}

impl SessionFactory {
    /// Creates the factory for these topics, with the tail's configuration.
    pub(in crate::kafka) fn new(
        config: ClientConfig,
        shared: ClusterShared,
        topics: Vec<Arc<str>>,
        events: mpsc::Sender<SupervisorEvent>,
        shutdown_guard: ShutdownGuard,
    ) -> Self {
        Self {
            config,
            shared,
            topics,
            events,
            shutdown_guard,
            opened: 0,
        }
    }

    /// Opens a session, whose tail reads nothing yet.
    ///
    /// # Errors
    /// Returns an error if librdkafka rejects the configuration, or if the system cannot start a thread.
    pub(in crate::kafka) fn open(&mut self) -> Result<Session, ConnectError> {
        self.opened += 1;
        let (number, name) = (self.opened, &self.shared.cluster);
        let context = Context::new(&self.shared, ClientKind::Tail);
        let reader = KafkaReader::open(
            &self.config,
            context,
            &self.shared.identity,
            self.shutdown_guard.clone(),
        )
        .map_err(|error| ConnectError::Settings(name.to_string(), error))?;
        let queue = reader
            .queue()
            .map_err(|code| ConnectError::Client(name.to_string(), code))?;
        let thread = |error| ConnectError::Thread(name.to_string(), error);
        let (events, shutdown_guard) = (|| self.events.clone(), || self.shutdown_guard.clone());
        let shared = self.shared.clone();
        let tail = Tail::spawn(
            reader.clone(),
            queue,
            shared.clone(),
            number,
            events(),
            shutdown_guard(),
        )
        .map_err(thread)?;
        let metadata = MetadataWatcher::spawn(
            reader,
            self.topics.clone(),
            shared,
            number,
            events(),
            shutdown_guard(),
        )
        .map_err(thread)?;
        Ok(Session {
            number,
            tail,
            metadata,
            opened: Instant::now(),
        })
    }

    /// Returns the tail's configuration, which lacks the bootstrap brokers.
    pub(super) fn config(&self) -> &ClientConfig {
        &self.config
    }

    /// Returns whether one more session leaves the number of connections bounded. Clients that hang while they close must not
    /// pile up behind new ones.
    pub(super) fn can_open(&self) -> bool {
        self.shared.identity.client_count() <= MAX_CLIENTS
    }
}

/// The most clients of one generation: the tail's, the history readers and the one that they share for runs, the one for offset
/// queries, the stall detector with its one-shot client, and the one that searches for damage.
const MAX_CLIENTS: usize = 1 + MAX_HISTORY_READERS + 1 + 1 + 3;
