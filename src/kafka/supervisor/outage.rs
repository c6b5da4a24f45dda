//! Whether a cluster answers at all.

use std::time::{Duration, Instant};

/// How long a cluster's brokers have been silent.
#[derive(Debug)]
pub(super) struct OutageTimer {
    /// Since when no look was answered; from the beginning on, until one was.
    since: Option<Instant>,
    reported: bool,
}

impl OutageTimer {
    pub(super) fn new() -> Self {
        Self {
            since: Some(Instant::now()),
            reported: false,
        }
    }

    /// Another look was not answered; whether that makes it long enough to be told.
    pub(super) fn record_failure(&mut self) -> bool {
        let since = *self.since.get_or_insert_with(Instant::now);
        let news = !self.reported && since.elapsed() >= PATIENCE;
        self.reported |= news;
        news
    }

    /// Nothing will be answered for now: told at once. Whether that is news.
    pub(super) fn report_now(&mut self) -> bool {
        self.since.get_or_insert_with(Instant::now);
        !std::mem::replace(&mut self.reported, true)
    }

    /// A look was answered; whether the silence was told before.
    pub(super) fn record_success(&mut self) -> bool {
        self.since = None;
        std::mem::take(&mut self.reported)
    }

    /// Whether the silence is told.
    pub(super) fn is_reported(&self) -> bool {
        self.reported
    }

    /// How long it has lasted.
    pub(super) fn duration(&self) -> Duration {
        self.since.map_or(Duration::ZERO, |since| since.elapsed())
    }
}

/// Longer than an election and a reconnect, so that a broker's restart is no news.
const PATIENCE: Duration = Duration::from_secs(10);
