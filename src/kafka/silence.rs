//! Whether a cluster answers at all.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::connect::Shared;

/// Keeps the directory's word on whether a cluster's brokers answer.
pub(super) struct Silence {
    topics: Vec<Arc<str>>,
    /// Since when no look was answered; from the beginning on, until one was.
    since: Option<Instant>,
    told: bool,
}

impl Silence {
    pub(super) fn new(topics: Vec<Arc<str>>) -> Self {
        Self {
            topics,
            since: Some(Instant::now()),
            told: false,
        }
    }

    /// Another look was not answered.
    pub(super) fn heard(&mut self, shared: &Shared) {
        let since = *self.since.get_or_insert_with(Instant::now);
        if !self.told && since.elapsed() >= PATIENCE {
            tracing::warn!(cluster = %shared.cluster, "no broker answers; streams are held");
            self.tell(shared, true);
        }
    }

    /// One was.
    pub(super) fn broken(&mut self, shared: &Shared) {
        self.since = None;
        if self.told {
            tracing::info!(cluster = %shared.cluster, "brokers answer again");
            self.tell(shared, false);
        }
    }

    fn tell(&mut self, shared: &Shared, silent: bool) {
        self.told = silent;
        for topic in &self.topics {
            shared.directory.set_reachable(topic, !silent);
        }
    }
}

/// Longer than an election and a reconnect, so that a broker's restart is no news.
const PATIENCE: Duration = Duration::from_secs(10);
