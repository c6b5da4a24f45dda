//! What librdkafka tells of the fetches from one partition.

/// What librdkafka's statistics tell of a partition that the tail reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchStatistics {
    /// The broker that is asked; `None` while there is none.
    pub broker: Option<i32>,
    /// Whether that broker has answered anything since the last statistics.
    pub heard: bool,
    /// The offset that is asked for next.
    pub next: Option<i64>,
    /// The high watermark that the broker told last.
    pub high: Option<i64>,
    /// The last stable offset, up to which we read.
    pub stable: Option<i64>,
    /// The log start offset.
    pub start: Option<i64>,
}

impl FetchStatistics {
    /// Returns how many offsets lie between what was read and the end of the log.
    pub fn lag(&self) -> Option<i64> {
        Some((self.high? - self.next?).max(0))
    }

    /// Returns how many offsets wait to be read, which is less than the lag while a transaction is open.
    pub fn unread(&self) -> Option<i64> {
        Some((self.stable.or(self.high)? - self.next?).max(0))
    }
}
