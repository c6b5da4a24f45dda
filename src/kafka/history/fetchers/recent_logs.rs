//! The logs of which something was noticed a short time ago.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    kafka::history::log_key::{LogKey, key},
    partition::PartitionLog,
};

/// The logs that were recorded within a time.
pub(super) struct RecentLogs {
    recorded: HashMap<LogKey, Instant>,
    kept: Duration,
}

impl RecentLogs {
    /// Creates the set, which forgets a log after `kept`.
    pub(super) fn new(kept: Duration) -> Self {
        Self {
            recorded: HashMap::new(),
            kept,
        }
    }

    /// Records a log, or records it again.
    pub(super) fn record(&mut self, log: &Arc<PartitionLog>) {
        self.recorded.insert(key(log), Instant::now());
    }

    /// Returns whether the log is recorded.
    pub(super) fn contains(&self, log: &Arc<PartitionLog>) -> bool {
        self.recorded.contains_key(&key(log))
    }

    /// Returns whether no log is recorded.
    pub(super) fn is_empty(&self) -> bool {
        self.recorded.is_empty()
    }

    /// Forgets the logs that were recorded too long ago. Call it now and then.
    pub(super) fn expire(&mut self, now: Instant) {
        self.recorded
            .retain(|_, since| now.duration_since(*since) < self.kept);
    }
}
