//! Whether a cluster answers at all.

use std::time::{Duration, Instant};

/// How long a cluster's brokers have been silent.
#[derive(Debug)]
pub(super) struct Silence {
    /// Since when no look was answered; from the beginning on, until one was.
    since: Option<Instant>,
    told: bool,
}

impl Silence {
    pub(super) fn new() -> Self {
        Self {
            since: Some(Instant::now()),
            told: false,
        }
    }

    /// Another look was not answered; whether that makes it long enough to be told.
    pub(super) fn heard(&mut self) -> bool {
        let since = *self.since.get_or_insert_with(Instant::now);
        let news = !self.told && since.elapsed() >= PATIENCE;
        self.told |= news;
        news
    }

    /// Nothing will be answered for now: told at once. Whether that is news.
    pub(super) fn declare(&mut self) -> bool {
        self.since.get_or_insert_with(Instant::now);
        !std::mem::replace(&mut self.told, true)
    }

    /// A look was answered; whether the silence was told before.
    pub(super) fn broken(&mut self) -> bool {
        self.since = None;
        std::mem::take(&mut self.told)
    }

    /// Whether the silence is told.
    pub(super) fn is_told(&self) -> bool {
        self.told
    }

    /// How long it has lasted.
    pub(super) fn lasts(&self) -> Duration {
        self.since.map_or(Duration::ZERO, |since| since.elapsed())
    }
}

/// Longer than an election and a reconnect, so that a broker's restart is no news.
const PATIENCE: Duration = Duration::from_secs(10);
