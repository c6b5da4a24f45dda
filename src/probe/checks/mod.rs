//! The checks of a probe, one in each file. Every check ends in a [`CheckResult`](super::CheckResult), even if it fails.

pub(super) mod arrival;
#[cfg(feature = "kafka")]
pub(super) mod canary;
#[cfg(not(feature = "kafka"))]
#[path = "no_canary.rs"]
pub(super) mod canary;
pub(super) mod closed;
pub(super) mod connect;
pub(super) mod freshness;
pub(super) mod head;
pub(super) mod limit;
pub(super) mod resume;
pub(super) mod since;

use std::time::Duration;

use crate::position::Timestamp;

/// The largest age of a record that counts as fresh.
#[derive(Clone, Copy, Debug)]
pub(super) struct AgeLimit {
    max_age: Duration,
    /// The time of the oldest record that counts as fresh. It is the same for all checks of a run.
    cutoff: Timestamp,
}

impl AgeLimit {
    pub(super) fn new(max_age: Duration) -> Self {
        let cutoff = before(now(), max_age);
        Self { max_age, cutoff }
    }

    /// Returns the time since which to request records, one millisecond before the cutoff. Ids then have that time for partitions
    /// whose first record has not come, and it does not count as fresh.
    fn asked_from(self) -> Timestamp {
        self.cutoff - 1
    }
}

/// Returns the current time, in the unit of record timestamps.
fn now() -> Timestamp {
    jiff::Timestamp::now().as_millisecond()
}

/// Returns the time `ago` before `now`.
fn before(now: Timestamp, ago: Duration) -> Timestamp {
    now - Timestamp::try_from(ago.as_millis()).unwrap_or(now)
}

/// Returns the time from `then` to `now`, in seconds. Returns 0 if `then` is ahead of our clock.
fn age(now: Timestamp, then: Timestamp) -> f64 {
    (now - then).max(0) as f64 / 1000.0
}
