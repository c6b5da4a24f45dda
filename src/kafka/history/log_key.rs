//! The identity of a log, as a key for maps.

use std::sync::Arc;

use crate::partition::PartitionLog;

/// The identity of a log. Two logs of one partition have two keys, even if they have the same tag.
pub(super) type LogKey = usize;

/// Returns the key of `log`. It is unique for as long as a reference to the log is held: a key is the log's address.
pub(super) fn key(log: &Arc<PartitionLog>) -> LogKey {
    Arc::as_ptr(log).addr()
}
