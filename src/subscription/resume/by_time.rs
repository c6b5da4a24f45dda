//! Starts that are found by a timestamp: that of an id that proves nothing else, or the time that the client asked for.

use super::{MaybeResumed, ResumePoint, ResumeResolver, evidence::PrecedingRecord};
use crate::{
    partition::HistoryError,
    position::{LogPosition, Timestamp},
    subscription::gap::GapReason,
};

impl ResumeResolver {
    /// Resumes an id without a log: the record before the offset has the id's timestamp, or the id is of another log.
    pub(super) async fn by_timestamp(&self, mark: LogPosition, time: Timestamp) -> MaybeResumed {
        match self.before(mark.offset).await? {
            PrecedingRecord::Record { timestamp, .. } if timestamp == time => Ok(Some(self.exact(mark))),
            PrecedingRecord::Record { .. } | PrecedingRecord::Hole(_) => {
                self.by_time(mark, GapReason::Unproven).await.map(Some)
            }
            PrecedingRecord::OutOfRange => {
                let bounds = self.bounds().await?;
                if mark.offset > bounds.end {
                    return self.past_end(mark).await;
                }
                if mark.offset < bounds.start {
                    return Ok(self.below(mark, bounds));
                }
                self.by_time(mark, GapReason::Unproven).await.map(Some)
            }
        }
    }

    /// Resumes in another cluster: only time leads from one to the other. A client that was connected but has read
    /// nothing yet continues from its arrival.
    pub(super) async fn other_cluster(&self, mark: LogPosition) -> Result<ResumePoint, HistoryError> {
        let reason = match self.live {
            true => GapReason::Failover,
            false => GapReason::OtherCluster,
        };
        let time = mark.timestamp.or(self.live.then_some(self.now));
        let overlap = i64::try_from(self.log.overlap().as_millis()).unwrap_or(i64::MAX);
        let timestamp = time.map(|time| time.saturating_sub(overlap));
        self.by_time(LogPosition { timestamp, ..mark }, reason).await
    }

    /// Resumes at the id's timestamp, or at the end if there is none.
    pub(super) async fn by_time(
        &self,
        mark: LogPosition,
        reason: GapReason,
    ) -> Result<ResumePoint, HistoryError> {
        let start = match mark.timestamp {
            Some(time) => self.at_time(time).await?,
            None => self.unproven(self.bounds().await?.end, None),
        };
        Ok(self.lost(mark, start, reason))
    }

    /// Returns the start of the log, with a time before all records: another log is then read from its start, too.
    pub(super) async fn earliest(&self) -> Result<ResumePoint, HistoryError> {
        Ok(self.unproven(self.bounds().await?.start, Some(0)))
    }

    /// Returns the first record at or after `time`, but nothing beyond the horizon. Records that came after the client
    /// did are not skipped, whatever their timestamps. If no record has such a time yet, the client starts at the
    /// horizon.
    pub(super) async fn at_time(&self, time: Timestamp) -> Result<ResumePoint, HistoryError> {
        if time <= 0 {
            return self.earliest().await;
        }
        match self.history.first_at(&self.log, time, self.client).await? {
            Some(first) if first <= self.horizon => {
                let offset = self.with_undated(first).await?;
                Ok(self.unproven(offset, Some(time)))
            }
            _ => Ok(self.unproven(self.horizon, Some(self.time_of_horizon(time)))),
        }
    }

    /// Returns a time that leads to the horizon in another log, and is never in the future.
    fn time_of_horizon(&self, asked: Timestamp) -> Timestamp {
        let end = self.log.end();
        let last = end.timestamp.filter(|_| end.offset == self.horizon);
        last.unwrap_or(self.now).min(asked)
    }
}
