//! Determining where a bounded read ends in one partition: where another read, from the same time or position, would begin.

use super::{LogReplaced, ResumeResolver, until_answered};
use crate::{
    partition::HistoryError,
    position::{Offset, PartitionPosition, Timestamp},
};

/// What the log says of an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::subscription) enum FoundEnd {
    /// The read ends at this offset.
    At(Offset),
    /// No record before this offset bears the time that is the end, or a later one.
    NotBefore(Offset),
}

impl ResumeResolver {
    /// Determines the end of a read whose end is this place, however long the partition's leader takes to answer. `has_passed` says
    /// of a time that it has passed: without a record that bears it, the read then ends at the end of the log.
    pub(in crate::subscription) async fn resolve_end(
        self,
        has_passed: bool,
    ) -> Result<FoundEnd, LogReplaced> {
        let resolver = &self;
        until_answered(|| resolver.find_end(has_passed)).await
    }

    async fn find_end(&self, has_passed: bool) -> Result<Option<FoundEnd>, HistoryError> {
        let offset = match self.place {
            PartitionPosition::Since(time) if time > 0 => {
                return self.end_at(time, has_passed).await.map(Some);
            }
            PartitionPosition::Since(_) | PartitionPosition::Earliest => self.bounds().await?.start,
            PartitionPosition::Latest => self.bounds().await?.end,
            PartitionPosition::At(mark) => match self.at(mark).await? {
                Some(start) => start.next,
                None => return Ok(None),
            },
        };
        Ok(Some(FoundEnd::At(offset)))
    }

    async fn end_at(&self, time: Timestamp, has_passed: bool) -> Result<FoundEnd, HistoryError> {
        // Both before the time is asked for: a record that arrives in between is behind them.
        let end = match has_passed {
            true => Some(self.bounds().await?.end),
            false => None,
        };
        let read = self.log.next();
        match (self.history.first_at(&self.log, time, self.client).await?, end) {
            (Some(first), _) => Ok(FoundEnd::At(self.with_undated(first).await?)),
            (None, Some(end)) => Ok(FoundEnd::At(end)),
            (None, None) => Ok(FoundEnd::NotBefore(read)),
        }
    }
}
