//! The position of a reader in one partition, and how a record or a gap moves it.

use std::time::Duration;

use super::{
    note::GapData,
    truth::{CommittedRecords, Partition, PartitionRecords, RecordPosition},
};

/// The position of a reader in one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReaderPosition {
    /// The reader must get all existing records of this incarnation or a later one. Records that are deleted
    /// before it gets there need no gap.
    Start { least: u32 },
    /// It has all records before `next`.
    At { incarnation: u32, era: u32, next: i64 },
}

/// Why a record is not the next one.
pub(super) enum OrderError {
    Behind,
    Elsewhere,
    Skipped(i64, u64),
}

impl ReaderPosition {
    /// Returns the fault if the record at `place` comes next. Returns `None` if it is the next record that is
    /// requested.
    pub(super) fn stray(
        self,
        place: RecordPosition,
        log: &PartitionRecords,
        at: Duration,
        wants: fn(u64) -> bool,
    ) -> Option<OrderError> {
        let to = Some((place.era, place.offset));
        let skipped = match self {
            Self::Start { least } if place.incarnation < least => return Some(OrderError::Behind),
            Self::Start { .. } => {
                let start = log.deleted_by(at);
                log.first_between((0, 0), to, |offset, number| offset >= start && wants(number))
            }
            Self::At { incarnation, .. } if place.incarnation > incarnation => {
                return Some(OrderError::Elsewhere);
            }
            Self::At {
                incarnation,
                era,
                next,
            } => {
                if (place.incarnation, place.era, place.offset) < (incarnation, era, next) {
                    return Some(OrderError::Behind);
                }
                log.first_between((era, next), to, |_, number| wants(number))
            }
        };
        skipped.map(|(offset, number)| OrderError::Skipped(offset, number))
    }

    /// Returns the first record that is lost although it lies before the range of a gap.
    pub(super) fn before_gap(
        self,
        told: &GapData,
        partition: Partition,
        truth: &CommittedRecords,
        at: Duration,
        wants: fn(u64) -> bool,
    ) -> Option<(i64, u64)> {
        let requested = told.requested?;
        match self {
            Self::At {
                incarnation,
                era,
                next,
            } => {
                let log = truth.log(partition, incarnation)?;
                log.first_between((era, next), Some((era, requested)), |_, number| wants(number))
            }
            Self::Start { .. } if told.reason == UNREADABLE => {
                let log = truth.newest(partition)?;
                let (start, to) = (log.deleted_by(at), (log.era_at(requested), requested));
                log.first_between((0, 0), Some(to), |offset, number| {
                    offset >= start && wants(number)
                })
            }
            // A position in a log of which nothing was received.
            Self::Start { .. } => None,
        }
    }

    /// Returns the position after a gap; `None` if nothing happened that justifies the gap.
    pub(super) fn moved(
        self,
        told: &GapData,
        partition: Partition,
        truth: &CommittedRecords,
    ) -> Option<Self> {
        match (&*told.reason, told.resumed) {
            ("recreated", Some(from)) => self.recreated(from, partition, truth),
            ("partition_gone", None) => self.recreated(0, partition, truth),
            ("expired", Some(from)) => self.expired(from, partition, truth),
            ("truncated", Some(from)) => self.truncated(from, partition, truth),
            (UNREADABLE, Some(from)) => self.unreadable(told.requested?, from, partition, truth),
            _ => None,
        }
    }

    fn recreated(self, from: i64, partition: Partition, truth: &CommittedRecords) -> Option<Self> {
        let least = match self {
            Self::At { incarnation, .. } => incarnation + 1,
            Self::Start { least } => least,
        };
        let mut later = (least.max(1)..=truth.incarnation(partition.topic)).rev();
        // Only deleted records can lie before the position.
        let fits = |incarnation| {
            from <= truth
                .log(partition, incarnation)
                .map_or(0, PartitionRecords::start)
        };
        later.any(fits).then_some(Self::Start { least })
    }

    fn expired(self, from: i64, partition: Partition, truth: &CommittedRecords) -> Option<Self> {
        match self {
            Self::At { incarnation, era, .. } => {
                let log = truth.log(partition, incarnation)?;
                let next = from;
                // What a later era had before the deletion was deleted with it.
                let era = log.era_at(from).max(era);
                (from <= log.start()).then_some(Self::At {
                    incarnation,
                    era,
                    next,
                })
            }
            Self::Start { least } => {
                let mut later = least..=truth.incarnation(partition.topic);
                let fits = |incarnation| {
                    from <= truth
                        .log(partition, incarnation)
                        .map_or(0, PartitionRecords::start)
                };
                later.any(fits).then_some(self)
            }
        }
    }

    fn unreadable(
        self,
        requested: i64,
        next: i64,
        partition: Partition,
        truth: &CommittedRecords,
    ) -> Option<Self> {
        let (incarnation, era) = match self {
            Self::At { incarnation, era, .. } => (incarnation, era),
            Self::Start { .. } => {
                let log = truth.newest(partition)?;
                (truth.incarnation(partition.topic), log.era_at(requested))
            }
        };
        let log = truth.log(partition, incarnation)?;
        log.is_damaged(requested, next).then_some(Self::At {
            incarnation,
            era,
            next,
        })
    }

    fn truncated(self, from: i64, partition: Partition, truth: &CommittedRecords) -> Option<Self> {
        match self {
            Self::At { incarnation, era, .. } => {
                let era = truth.log(partition, incarnation)?.era_from(era, from)?;
                let next = from;
                Some(Self::At {
                    incarnation,
                    era,
                    next,
                })
            }
            // The position may lie after the cut all the same: nothing before it was requested.
            Self::Start { .. } => truth.newest(partition)?.era_from(0, from).map(|_| self),
        }
    }
}

/// The reason of a gap that is about damage only. Everything else stays where it is.
const UNREADABLE: &str = "unreadable";
