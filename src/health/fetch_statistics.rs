//! Statistics of the fetches from one partition.

/// The state of a partition that the tail reads, as librdkafka's statistics describe it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
