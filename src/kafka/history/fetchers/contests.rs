//! The logs in which several places are read by turns with large fetches.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    kafka::history::log_key::{LogKey, key},
    partition::PartitionLog,
};

/// The logs in which a place took over from another one a moment ago.
#[derive(Default)]
pub(super) struct Contests(Vec<(LogKey, Instant)>);

impl Contests {
    /// Records that a place of this log takes over from another one now.
    pub(super) fn record(&mut self, log: &Arc<PartitionLog>) {
        let log = key(log);
        self.0.retain(|(contested, _)| *contested != log);
        self.0.push((log, Instant::now()));
    }

    /// Returns whether another place of this log may soon take over.
    pub(super) fn contains(&self, log: &Arc<PartitionLog>) -> bool {
        let log = key(log);
        self.0.iter().any(|(contested, _)| *contested == log)
    }

    /// Forgets the logs in which no place has taken over for [`CONTESTED_FOR`].
    pub(super) fn expire(&mut self, now: Instant) {
        self.0
            .retain(|(_, since)| now.duration_since(*since) < CONTESTED_FOR);
    }
}

/// How long a log counts as read from several places by turns after one of them took over from another.
pub(super) const CONTESTED_FOR: Duration = Duration::from_secs(1);
