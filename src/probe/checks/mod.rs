//! What is looked at, a file each. Every check ends in a [`CheckResult`](super::CheckResult), whatever happens to it.

pub(super) mod arrival;
#[cfg(feature = "kafka")]
pub(super) mod canary;
#[cfg(not(feature = "kafka"))]
#[path = "no_canary.rs"]
pub(super) mod canary;
pub(super) mod connect;
pub(super) mod freshness;
pub(super) mod head;
pub(super) mod limit;
pub(super) mod resume;
pub(super) mod since;

use std::time::Duration;

use crate::position::Timestamp;

/// How young a record has to be.
#[derive(Clone, Copy, Debug)]
pub(super) struct AgeLimit {
    max_age: Duration,
    /// The time of the oldest record that is young enough: the same for all checks of a run.
    cutoff: Timestamp,
}

impl AgeLimit {
    pub(super) fn new(max_age: Duration) -> Self {
        let cutoff = before(now(), max_age);
        Self { max_age, cutoff }
    }

    /// From when on to ask for such records. A millisecond too early, because that is the time that ids then tell of
    /// partitions whose first record has not come: not young enough.
    fn asked_from(self) -> Timestamp {
        self.cutoff - 1
    }
}

/// The time of day, as records bear it.
fn now() -> Timestamp {
    jiff::Timestamp::now().as_millisecond()
}

/// So long before `now`.
fn before(now: Timestamp, ago: Duration) -> Timestamp {
    now - Timestamp::try_from(ago.as_millis()).unwrap_or(now)
}

/// From then to `now`, in seconds; 0 for a timestamp that is ahead of our clock.
fn age(now: Timestamp, then: Timestamp) -> f64 {
    (now - then).max(0) as f64 / 1000.0
}
