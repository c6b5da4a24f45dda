//! The tail's client with its threads. Another takes its place when nothing answers it any more.

use std::{
    sync::{Arc, mpsc},
    time::Instant,
};

use rdkafka::ClientConfig;

use super::{
    client::Kind,
    cluster::Notice,
    connect::{ConnectError, Shared},
    context::Context,
    history::MOST_READERS,
    lookout::Lookout,
    reader::{Reader, Token},
    tail::Tail,
};

/// One client of the tail. Dropping it ends its threads, and the client on a thread of its own.
pub(super) struct Session {
    /// Tells what it says from what an earlier one says.
    pub(super) number: SessionNumber,
    pub(super) tail: Tail,
    pub(super) lookout: Lookout,
    pub(super) opened: Instant,
}

/// Counts the sessions of a cluster.
pub(super) type SessionNumber = u64;

/// Opens sessions.
pub(super) struct Sessions {
    config: ClientConfig,
    shared: Shared,
    topics: Vec<Arc<str>>,
    notices: mpsc::Sender<Notice>,
    token: Token,
    opened: SessionNumber,
}

impl Sessions {
    /// For these topics, with a configuration for the tail.
    pub(super) fn new(
        config: ClientConfig,
        shared: Shared,
        topics: Vec<Arc<str>>,
        notices: mpsc::Sender<Notice>,
        token: Token,
    ) -> Self {
        Self {
            config,
            shared,
            topics,
            notices,
            token,
            opened: 0,
        }
    }

    /// Opens one; its tail reads nothing yet.
    ///
    /// # Errors
    /// When librdkafka or the system refuses.
    pub(super) fn open(&mut self) -> Result<Session, ConnectError> {
        self.opened += 1;
        let (number, name) = (self.opened, &self.shared.cluster);
        let context = Context::new(&self.shared, Kind::Tail);
        let reader = Reader::open(&self.config, context, &self.shared.origin, self.token.clone())
            .map_err(|error| ConnectError::Settings(name.to_string(), error))?;
        let queue = reader
            .queue()
            .map_err(|code| ConnectError::Client(name.to_string(), code))?;
        let thread = |error| ConnectError::Thread(name.to_string(), error);
        let (notices, token) = (|| self.notices.clone(), || self.token.clone());
        let shared = self.shared.clone();
        let tail =
            Tail::spawn(reader.clone(), queue, shared.clone(), number, notices(), token()).map_err(thread)?;
        let lookout = Lookout::spawn(reader, self.topics.clone(), shared, number, notices(), token())
            .map_err(thread)?;
        Ok(Session {
            number,
            tail,
            lookout,
            opened: Instant::now(),
        })
    }

    /// The tail's configuration, without brokers.
    pub(super) fn config(&self) -> &ClientConfig {
        &self.config
    }

    /// Whether one more would leave connections bounded: clients that hang in their end must not pile up behind new ones.
    pub(super) fn may_open(&self) -> bool {
        self.shared.origin.clients() <= MOST_CLIENTS
    }
}

/// What one generation has at most: the tail's, the readers of history, the one for questions, the two that ask how brokers are,
/// and the one that looks at what cannot be read.
const MOST_CLIENTS: usize = 1 + MOST_READERS + 1 + 3;
