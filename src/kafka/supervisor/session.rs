//! The tail's client with its threads. Another takes its place when nothing answers it any more.

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

/// One client of the tail. Dropping it ends its threads, and the client on a thread of its own.
pub(in crate::kafka) struct Session {
    /// Tells what it says from what an earlier one says.
    pub(super) number: SessionNumber,
    pub(super) tail: Tail,
    pub(super) metadata: MetadataWatcher,
    pub(super) opened: Instant,
}

/// Opens sessions.
pub(in crate::kafka) struct SessionFactory {
    config: ClientConfig,
    shared: ClusterShared,
    topics: Vec<Arc<str>>,
    events: mpsc::Sender<SupervisorEvent>,
    shutdown_guard: ShutdownGuard,
    opened: SessionNumber,
}

impl SessionFactory {
    /// For these topics, with a configuration for the tail.
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

    /// Opens one; its tail reads nothing yet.
    ///
    /// # Errors
    /// When librdkafka or the system refuses.
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

    /// The tail's configuration, without brokers.
    pub(super) fn config(&self) -> &ClientConfig {
        &self.config
    }

    /// Whether one more would leave connections bounded: clients that hang in their end must not pile up behind new ones.
    pub(super) fn can_open(&self) -> bool {
        self.shared.identity.client_count() <= MAX_CLIENTS
    }
}

/// What one generation has at most: the tail's, the readers of history, the one for questions, the two that ask how brokers are,
/// and the one that looks at what cannot be read.
const MAX_CLIENTS: usize = 1 + MAX_HISTORY_READERS + 1 + 3;
