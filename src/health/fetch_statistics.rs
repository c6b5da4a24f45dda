//! Statistics of the fetches from one partition, and its last stable offset: up to it, a log is free of open transactions, and
//! we read.

use std::time::{Duration, Instant};

use super::state::{Verdict, seconds};

/// The state of a partition that the tail reads, as librdkafka's statistics describe it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FetchStatistics {
    /// The broker that is fetched from. `None` while there is none.
    pub broker: Option<i32>,
    /// Whether that broker has answered anything since the last statistics.
    pub heard: bool,
    /// The offset that is fetched next.
    pub next: Option<i64>,
    /// The last high watermark that the broker told.
    pub high: Option<i64>,
    /// The last stable offset, up to which we read.
    pub stable: Option<i64>,
    /// The log start offset.
    pub start: Option<i64>,
}

impl FetchStatistics {
    /// Returns how many offsets lie between the next one to read and the end of the log.
    pub fn lag(&self) -> Option<i64> {
        Some((self.high? - self.next?).max(0))
    }

    /// Returns how many offsets wait to be read. They are fewer than the lag while a transaction is open.
    pub fn unread(&self) -> Option<i64> {
        Some((self.stable.or(self.high)? - self.next?).max(0))
    }
}

/// Since when an open transaction has held the last stable offset where it is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct StableOffset {
    held: Option<(i64, Instant)>,
}

impl StableOffset {
    /// Records statistics.
    pub(super) fn record(&mut self, fetching: FetchStatistics, at: Instant) {
        let (Some(stable), Some(high)) = (fetching.stable, fetching.high) else {
            // A leader that refuses fetches tells neither. The transaction may still be open.
            return;
        };
        self.held = match self.held {
            _ if stable >= high => None,
            Some((offset, since)) if offset == stable => Some((offset, since)),
            _ => Some((stable, at)),
        };
    }

    /// Returns for how long the offset has stood still below the high watermark. Returns zero if it does not.
    pub(super) fn age(self, now: Instant) -> Duration {
        self.held
            .map_or(Duration::ZERO, |(_, since)| now.saturating_duration_since(since))
    }

    /// Returns the verdict on a transaction that has been open for longer than `patience`.
    pub(super) fn judge(
        self,
        high: Option<i64>,
        patience: Option<Duration>,
        now: Instant,
    ) -> Option<Verdict> {
        let ((stable, _), age) = (self.held?, self.age(now));
        (age >= patience?).then(|| {
            Verdict::degraded(format!(
                "a transaction has been open for {}: the last stable offset stays at {stable}, and {} \
                 offsets after it are not delivered before the transaction ends",
                seconds(age),
                high.map_or(0, |high| (high - stable).max(0)),
            ))
        })
    }
}
