//! The topics whose brokers set the timestamps (`message.timestamp.type=LogAppendTime`).

use std::{collections::HashSet, sync::Arc};

use parking_lot::RwLock;

/// Topics with a record that bears its broker's time (LogAppendTime), as far as any cluster has shown one. Clones share the
/// set.
///
/// The same event then has different times in two clusters, so a position cannot move between them exactly.
#[derive(Clone, Debug, Default)]
pub struct LogAppendTimeTopics(Arc<RwLock<HashSet<Arc<str>>>>);

impl LogAppendTimeTopics {
    /// Returns whether brokers set this topic's timestamps in one of the clusters.
    pub fn contains(&self, topic: &str) -> bool {
        self.0.read().contains(topic)
    }

    /// Adds a topic, after a record has shown it.
    pub(super) fn add(&self, topic: &Arc<str>) {
        self.0.write().insert(Arc::clone(topic));
    }
}
