//! What the log says of subscriptions whose ids no request could carry back.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{SystemTime, UNIX_EPOCH},
};

use crate::position::MAX_ID_BYTES;

/// Warns that the ids of so many partitions are longer than what is read, at most once a minute: every client of such streams
/// would say the same.
pub(super) fn warn(partitions: usize) {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    let minute = since_epoch.map_or(0, |elapsed| elapsed.as_secs() / 60) + 1;
    if LAST_WARNED.swap(minute, Relaxed) != minute {
        tracing::warn!(
            partitions,
            most_bytes = MAX_ID_BYTES,
            "the ids of these partitions together are longer than what is read, so their events are sent without ids and \
             clients cannot resume; serve them as several streams"
        );
    }
}

/// The minute of the last warning, counted from 1; 0 before the first.
static LAST_WARNED: AtomicU64 = AtomicU64::new(0);
