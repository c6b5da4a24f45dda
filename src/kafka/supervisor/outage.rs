//! The outage timer: how long no broker of a cluster has answered.
//!
//! Not here: what follows from an outage (`reachability`).

use std::time::{Duration, Instant};

/// Measures how long no broker of a cluster has answered, and decides when that is reported.
#[derive(Debug)]
pub(super) struct OutageTimer {
    /// Since when no refresh has been answered: from the start on, until the first answer. `None` while refreshes are answered.
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

    /// Records a failed refresh. Returns true once, when the outage exceeds [`PATIENCE`].
    pub(super) fn record_failure(&mut self) -> bool {
        let since = *self.since.get_or_insert_with(Instant::now);
        let news = !self.reported && since.elapsed() >= PATIENCE;
        self.reported |= news;
        news
    }

    /// Reports the outage at once, because no answer is to be expected. Returns whether it had not been reported.
    pub(super) fn report_now(&mut self) -> bool {
        self.since.get_or_insert_with(Instant::now);
        !std::mem::replace(&mut self.reported, true)
    }

    /// Records an answered refresh. Returns whether an outage had been reported, which is over now.
    pub(super) fn record_success(&mut self) -> bool {
        self.since = None;
        std::mem::take(&mut self.reported)
    }

    /// Returns whether an outage is reported.
    pub(super) fn is_reported(&self) -> bool {
        self.reported
    }

    /// Returns how long the outage has lasted; zero if there is none.
    pub(super) fn duration(&self) -> Duration {
        self.since.map_or(Duration::ZERO, |since| since.elapsed())
    }
}

/// The outage that is reported: longer than an election and a reconnect, so that a broker's restart is not.
const PATIENCE: Duration = Duration::from_secs(10);
