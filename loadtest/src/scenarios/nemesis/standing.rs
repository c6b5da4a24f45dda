//! Where a reader is in one partition, and where a record or a gap takes it.

use std::time::Duration;

use super::{
    note::GapData,
    truth::{CommittedRecords, Partition, PartitionRecords, RecordPosition},
};

/// Where a reader is in one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReaderPosition {
    /// It gets all that there is, of this incarnation or a later one. What is deleted before it gets there it need not be told.
    Start { least: u32 },
    /// It has all before `next`.
    At { incarnation: u32, era: u32, next: i64 },
}

/// Why a record is not the one that comes next.
pub(super) enum OrderError {
    Behind,
    Elsewhere,
    Skipped(i64, u64),
}

impl ReaderPosition {
    /// What is wrong with getting the record at `place` next; nothing, if it is the next that somebody here wants.
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

    /// The first record that is lost although it stands before what a gap tells of.
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
            // A place in a log that it has got nothing of.
            Self::Start { .. } => None,
        }
    }

    /// Where it is behind a gap; `None` if nothing happened that one could tell of so.
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
        // Nothing else can be in front of the place than what was deleted.
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
                // What a later era had before that was deleted with it.
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
            // Its place may be behind the cut all the same: it wanted nothing of what stood before.
            Self::Start { .. } => truth.newest(partition)?.era_from(0, from).map(|_| self),
        }
    }
}

/// The reason of a gap that tells of damage alone: all else is where it was.
const UNREADABLE: &str = "unreadable";
