//! Resuming: determining the offset at which a client starts in one partition.
//!
//! An id carries its own proof. Within one topic id, (offset, leader epoch) identifies a record, so the record at
//! `offset - 1` shows whether the log is still the one that the client read. It may have been truncated after an
//! unclean leader election (Honeycomb, 2017), deleted and created again, or belong to another cluster. In each case the
//! client continues without help, and is told if it lost something.
//!
//! The rules are a table. Each of its rows is a method of [`ResumeResolver`] below, and
//! `tests/hermetic/resume_table` goes through all of them.
//!
//! Not here: ids as text (`position`), and which partitions there are (`partition_set`).

mod by_time;
mod ends;
mod evidence;

use std::{sync::Arc, time::Duration};

use super::gap::{Gap, GapReason};
use crate::{
    client::ClientKey,
    partition::{Bounds, History, HistoryError, LogRead, PartitionLog},
    position::{Epoch, LogPosition, Offset, PartitionPosition, Timestamp},
};
use evidence::{Hole, PrecedingRecord};

pub(super) use ends::FoundEnd;

/// The start of a client in one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ResumePoint {
    /// The position as the id has it.
    pub(super) mark: LogPosition,
    /// The offset to read from: that of the position, or one after a hole.
    pub(super) next: Offset,
    /// The gap on the way, if any.
    pub(super) gap: Option<Gap>,
}

/// A start, or `None` if it cannot be told yet.
type MaybeResumed = Result<Option<ResumePoint>, HistoryError>;

/// The log was replaced while its history was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LogReplaced;

/// The search for the start of one client in one partition: its inputs.
pub(super) struct ResumeResolver {
    /// The current log.
    pub(super) log: Arc<PartitionLog>,
    /// Reads records that are not in the log's ring.
    pub(super) history: Arc<dyn History>,
    /// The client on whose account history is read.
    pub(super) client: ClientKey,
    /// The position at which the client wants to start.
    pub(super) place: PartitionPosition,
    /// Every record from this offset on came after the client did.
    pub(super) horizon: Offset,
    /// The offsets from the position's up to this one are known to be a hole: their expiry loses nothing.
    pub(super) scanned: Offset,
    /// The time of the request in milliseconds.
    pub(super) now: Timestamp,
    /// Whether the position was being read when another log replaced the one that it is in.
    pub(super) live: bool,
    /// The proof that a position must have.
    pub(super) proof: RequiredProof,
}

/// The proof that a position needs if its id has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequiredProof {
    /// None: a client does not wait for proof.
    Unneeded,
    /// The epoch of the record before it, or else the leader's epoch. A lane must know what clients know that join it
    /// with an id.
    RecordOrLeader,
}

impl ResumeResolver {
    /// Returns the start if it and its proof are at hand, and it has no gap. Of hundreds of partitions, most have such
    /// a start, and a future for each would cost more than everything else that is done for it.
    pub(super) fn answer_at_hand(&self) -> Option<ResumePoint> {
        match self.place {
            PartitionPosition::At(mark) => self.is_proven_at_hand(mark)?.then(|| self.exact(mark)),
            PartitionPosition::Since(time) if time > 0 && self.proof == RequiredProof::Unneeded => {
                let first = self.history.first_at_hand(&self.log, time)?;
                let is_dated = first == 0 || self.record_at_hand(first - 1)?.1 >= 0;
                (first <= self.horizon && is_dated).then(|| self.unproven(first, Some(time)))
            }
            PartitionPosition::Since(_) | PartitionPosition::Earliest | PartitionPosition::Latest => None,
        }
    }

    /// Returns whether the record before `mark` proves it; `None` if that record is not at hand.
    fn is_proven_at_hand(&self, mark: LogPosition) -> Option<bool> {
        let (found, time) = self.record_at_hand(mark.offset - 1)?;
        Some(match (mark.log, mark.epoch) {
            (Some(log), Some(epoch)) => log == self.log.tag() && has_epoch(found, epoch),
            (None, None) if self.proof == RequiredProof::Unneeded => mark.timestamp == Some(time),
            _ => false,
        })
    }

    /// Determines the start, however long the partition's leader takes to answer.
    pub(super) async fn resolve(self) -> Result<ResumePoint, LogReplaced> {
        let resolver = &self;
        until_answered(|| resolver.try_resolve()).await
    }

    async fn try_resolve(&self) -> MaybeResumed {
        match self.find_start().await? {
            Some(start) if self.proof == RequiredProof::RecordOrLeader && start.mark.epoch.is_none() => {
                // Asked before the record: an epoch that begins in between must not vouch for the state before it.
                let own = self.bounds().await?.epoch;
                self.proven(start, own).await.map(Some)
            }
            start => Ok(start),
        }
    }

    /// Determines the start. Returns `None` if it cannot be told yet.
    async fn find_start(&self) -> MaybeResumed {
        match self.place {
            PartitionPosition::Latest => Ok(Some(self.latest())),
            PartitionPosition::Earliest => Ok(Some(self.earliest().await?)),
            PartitionPosition::Since(time) => Ok(Some(self.at_time(time).await?)),
            PartitionPosition::At(mark) => self.at(mark).await,
        }
    }

    async fn at(&self, mark: LogPosition) -> MaybeResumed {
        let own = self.log.tag();
        match mark.log {
            Some(log) if !log.same_cluster(own) => self.other_cluster(mark).await.map(Some),
            Some(log) if log != own => {
                let start = self.unproven(self.bounds().await?.start, mark.timestamp);
                Ok(Some(self.lost(mark, start, GapReason::Recreated)))
            }
            Some(_) => match mark.epoch {
                Some(epoch) => self.by_epoch(mark, epoch).await,
                None => self.by_range(mark).await,
            },
            None => match mark.timestamp {
                Some(time) => self.by_timestamp(mark, time).await,
                None => self.by_range(mark).await,
            },
        }
    }

    /// Resumes in the same log: the record before the offset has the id's epoch, or the log was truncated.
    async fn by_epoch(&self, mark: LogPosition, epoch: Epoch) -> MaybeResumed {
        match self.before(mark.offset).await? {
            PrecedingRecord::Record { epoch: found, .. } if has_epoch(found, epoch) => {
                Ok(Some(self.exact(mark)))
            }
            PrecedingRecord::Record { .. } => self.truncated(mark, epoch).await,
            PrecedingRecord::Hole(hole) => self.behind_hole(mark, epoch, hole).await,
            PrecedingRecord::OutOfRange => {
                let bounds = self.bounds().await?;
                if mark.offset <= bounds.end {
                    return Ok(self.below(mark, bounds));
                }
                match bounds.epoch {
                    Some(newer) if newer > epoch => self.truncated(mark, epoch).await,
                    // The id comes from a replica that is milliseconds ahead of this leader's answer. The records will
                    // come.
                    Some(_) => Ok(None),
                    None => self.past_end(mark).await,
                }
            }
        }
    }

    /// Resumes in the same log if there is no record right before the offset: valid unless the log was truncated. If
    /// the leader's epoch is later than the id's, truncation is possible whenever the hole is unreadable or long.
    async fn behind_hole(&self, mark: LogPosition, epoch: Epoch, hole: Hole) -> MaybeResumed {
        if hole.newest.is_some_and(|newest| newest > epoch) {
            return self.truncated(mark, epoch).await;
        }
        if hole.unreadable.is_none() && !hole.is_long {
            return Ok(Some(self.exact(mark)));
        }
        let bounds = self.bounds().await?;
        if bounds.epoch.is_none_or(|own| own <= epoch) {
            return Ok(Some(self.exact(mark)));
        }
        if hole.is_long && self.first_newer_than(epoch, bounds.start, mark.offset).await? < mark.offset {
            return self.truncated(mark, epoch).await;
        }
        Ok(Some(match hole.unreadable {
            // Some of the unreadable offsets may never have been reported to the client. They are reported from their
            // start on; none of their records can be sent twice.
            Some(start) => {
                let start = self.unproven(start.max(bounds.start), mark.timestamp);
                self.lost(mark, start, GapReason::Unproven)
            }
            None => self.exact(mark),
        }))
    }

    /// Resumes an id without proof: valid if it is in range.
    async fn by_range(&self, mark: LogPosition) -> MaybeResumed {
        if matches!(self.log.read(mark.offset), LogRead::Page(_)) || mark.offset == self.log.next() {
            return Ok(Some(self.exact(mark)));
        }
        let bounds = self.bounds().await?;
        if mark.offset > bounds.end {
            return self.past_end(mark).await;
        }
        Ok(Some(self.below(mark, bounds).unwrap_or_else(|| self.exact(mark))))
    }

    /// Resumes an offset at or below the log start: its records have expired, and are lost unless the offsets were a
    /// hole. Returns `None` if the log still reaches that far back: then the answers were from different moments, or
    /// from different replicas.
    fn below(&self, mark: LogPosition, bounds: Bounds) -> Option<ResumePoint> {
        if mark.offset.max(self.scanned) >= bounds.start {
            let reached = mark.offset <= bounds.start || self.scanned > mark.offset;
            return reached.then(|| self.exact(mark));
        }
        let start = self.unproven(bounds.start, mark.timestamp);
        Some(self.lost(mark, start, GapReason::Expired))
    }

    /// Resumes an offset past the end of the log when no epoch explains it. If the answer is the same after a second,
    /// it is another log.
    async fn past_end(&self, mark: LogPosition) -> MaybeResumed {
        tokio::time::sleep(PAST_END_CONFIRMATION).await;
        if mark.offset <= self.bounds().await?.end {
            return Ok(None);
        }
        self.by_time(mark, GapReason::PastEnd).await.map(Some)
    }

    async fn truncated(&self, mark: LogPosition, epoch: Epoch) -> MaybeResumed {
        let bounds = self.bounds().await?;
        if self.log.next() > bounds.end {
            // Our tail has not noticed the truncation yet, and its ring still holds what was cut off. It will notice,
            // and replace the log.
            return Ok(None);
        }
        let first = self.first_newer_than(epoch, bounds.start, bounds.end).await?;
        // After several unclean elections there may be records of older epochs beyond the position that the client has
        // never seen.
        let first = self.with_unreadable(first.min(mark.offset)).await?;
        // The log may be truncated once more before a record arrives that proves the position.
        let start = self.unproven(first.max(bounds.start), mark.timestamp);
        let start = self.proven(start, bounds.epoch).await?;
        Ok(Some(self.lost(mark, start, GapReason::Truncated)))
    }

    fn latest(&self) -> ResumePoint {
        let mark = self.log.end();
        self.start(LogPosition {
            timestamp: mark.timestamp.or(Some(self.now)),
            ..mark
        })
    }

    /// Returns `start` with the epoch of the record before it. If there is no such record, takes the leader's epoch
    /// `own`, because a record written there later has a newer one.
    async fn proven(&self, mut start: ResumePoint, own: Option<Epoch>) -> Result<ResumePoint, HistoryError> {
        let found = match self.before(start.mark.offset).await? {
            PrecedingRecord::Record { epoch, timestamp } => {
                // Better than the time of the request, which is by our clock.
                if self.place == PartitionPosition::Latest && timestamp >= 0 {
                    start.mark.timestamp = Some(timestamp);
                }
                Some(epoch)
            }
            PrecedingRecord::Hole(hole) => hole.newest.or(own),
            PrecedingRecord::OutOfRange => own,
        };
        start.mark.epoch = found.filter(|epoch| *epoch >= 0);
        Ok(start)
    }

    /// Starts at an offset before which no record has been seen.
    fn unproven(&self, offset: Offset, timestamp: Option<Timestamp>) -> ResumePoint {
        self.start(LogPosition {
            offset,
            timestamp,
            log: None,
            epoch: None,
        })
    }

    fn exact(&self, mark: LogPosition) -> ResumePoint {
        ResumePoint {
            next: mark.offset.max(self.scanned),
            ..self.start(mark)
        }
    }

    fn start(&self, mark: LogPosition) -> ResumePoint {
        ResumePoint {
            mark: LogPosition {
                log: Some(self.log.tag()),
                ..mark
            },
            next: mark.offset,
            gap: None,
        }
    }

    fn lost(&self, asked: LogPosition, start: ResumePoint, reason: GapReason) -> ResumePoint {
        let gap = Gap {
            partition: self.log.partition().clone(),
            requested: Some(asked.offset),
            resumed: Some(start.mark.offset),
            reason,
        };
        ResumePoint {
            gap: Some(gap),
            ..start
        }
    }
}

/// Asks again, with growing pauses, until there is an answer.
async fn until_answered<T, A>(ask: impl Fn() -> A) -> Result<T, LogReplaced>
where
    A: Future<Output = Result<Option<T>, HistoryError>>,
{
    let mut pause = FIRST_PAUSE;
    loop {
        match ask().await {
            Ok(Some(answer)) => return Ok(answer),
            Err(HistoryError::Replaced) => return Err(LogReplaced),
            Ok(None) | Err(HistoryError::Unavailable | HistoryError::OutOfRange) => {}
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Returns whether a record with the epoch `found`, or with none, may be one of `epoch`.
fn has_epoch(found: Epoch, epoch: Epoch) -> bool {
    found == epoch || found < 0
}

/// The first pause between unanswered requests: short, because a leader is usually back within a second of its
/// election.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The longest pause between unanswered requests: ten thousand waiting clients then ask a cluster that is coming back
/// no more than 5,000 times a second together.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// How long the answer "the log ends before the offset" must stand when no epoch proves it. Replicas lag by
/// milliseconds.
const PAST_END_CONFIRMATION: Duration = Duration::from_secs(1);
