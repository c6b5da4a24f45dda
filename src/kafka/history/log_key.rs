//! The identity of a log, as a key for maps.

use std::sync::Arc;

use crate::partition::PartitionLog;

/// A log by identity: two logs of one partition are two keys, also when they bear one tag.
pub(super) type LogKey = usize;

/// Names `log` as long as somebody holds it.
pub(super) fn key(log: &Arc<PartitionLog>) -> LogKey {
    Arc::as_ptr(log).addr()
}
