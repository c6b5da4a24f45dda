//! Compares what one reader received with what the logs contained.

use std::{collections::BTreeMap, fmt, time::Duration};

use super::{
    note::{GapData, Observation, ObservationKind},
    standing::{OrderError, ReaderPosition},
    truth::{CommittedRecords, Partition, RecordPosition},
};

/// Checks the observations of a reader, in their order.
#[derive(Debug)]
pub(super) struct ReaderChecker {
    wants: RecordSelection,
    standings: BTreeMap<Partition, ReaderPosition>,
    /// What changed since the last id, where the reader resumes.
    since_id: Vec<(Partition, ReaderPosition)>,
    /// When each partition was last correct.
    well: BTreeMap<Partition, Duration>,
}

/// The records that a reader requested.
#[derive(Clone, Debug)]
pub(super) struct RecordSelection {
    pub(super) topics: Vec<usize>,
    /// Which of all numbers it requested.
    pub(super) numbers: fn(u64) -> bool,
}

/// A violation.
#[derive(Clone, Debug)]
pub(super) struct Violation {
    pub(super) at: Duration,
    /// When the partition was last correct.
    pub(super) well: Duration,
    pub(super) partition: Option<Partition>,
    pub(super) what: ViolationKind,
}

/// The kinds of violations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ViolationKind {
    /// A record was not delivered, without a gap, although a later one was.
    Lost { offset: i64, number: u64 },
    /// A record is still missing long after all faults were undone.
    Missing { offset: i64, number: u64 },
    /// A record was delivered again, or after a later one.
    Again(RecordPosition, u64),
    /// A record of a recreated topic was delivered without a gap.
    Untold(RecordPosition, u64),
    /// A record was delivered that was not committed, or that the reader did not request.
    Invented(u64),
    /// A gap has no cause, or covers more than was lost.
    Unfounded(GapData),
    /// A request was refused, or a response is malformed.
    Strange(String),
}

impl ReaderChecker {
    pub(super) fn new(wants: RecordSelection) -> Self {
        Self {
            wants,
            standings: BTreeMap::new(),
            since_id: Vec::new(),
            well: BTreeMap::new(),
        }
    }

    /// Checks the next observation.
    pub(super) fn take(
        &mut self,
        note: &Observation,
        topics: &[String],
        truth: &CommittedRecords,
    ) -> Option<Violation> {
        let (partition, wrong) = match &note.what {
            ObservationKind::Began { resumes } => {
                self.begin(*resumes);
                return None;
            }
            ObservationKind::Ended => return None,
            ObservationKind::Id => {
                self.since_id.clear();
                return None;
            }
            ObservationKind::Event { number, id } => self.event(*number, *id, note.at, truth)?,
            ObservationKind::Gap(told) => self.gap(told, note.at, topics, truth)?,
            ObservationKind::Strange(text) => (None, ViolationKind::Strange(text.clone())),
        };
        Some(self.fault(note.at, partition, wrong))
    }

    /// Returns the first record that is due and was not received.
    pub(super) fn missing(&self, truth: &CommittedRecords, at: Duration) -> Option<Violation> {
        truth.partitions_of(&self.wants.topics).find_map(|partition| {
            let (offset, number) = self.due(partition, truth)?;
            Some(self.fault(at, Some(partition), ViolationKind::Missing { offset, number }))
        })
    }

    fn fault(&self, at: Duration, partition: Option<Partition>, what: ViolationKind) -> Violation {
        let well = partition.and_then(|partition| self.well.get(&partition));
        Violation {
            at,
            well: well.copied().unwrap_or_default(),
            partition,
            what,
        }
    }

    fn begin(&mut self, resumes: bool) {
        if resumes {
            for (partition, standing) in self.since_id.drain(..).rev() {
                self.standings.insert(partition, standing);
            }
        } else {
            self.since_id.clear();
            self.standings.clear();
        }
    }

    fn event(&mut self, number: u64, id: bool, at: Duration, truth: &CommittedRecords) -> Option<Verdict> {
        let wants = self.wants.numbers;
        let place = truth.find(number);
        let own = place.filter(|place| self.wants.topics.contains(&place.partition.topic) && wants(number));
        let Some(place) = own else {
            return Some((None, ViolationKind::Invented(number)));
        };
        let log = truth.log(place.partition, place.incarnation)?;
        let stray = self.standing(place.partition).stray(place, log, at, wants);
        let wrong = stray.map(|stray| match stray {
            OrderError::Behind => ViolationKind::Again(place, number),
            OrderError::Elsewhere => ViolationKind::Untold(place, number),
            OrderError::Skipped(offset, number) => ViolationKind::Lost { offset, number },
        });
        let next = ReaderPosition::At {
            incarnation: place.incarnation,
            era: place.era,
            next: place.offset + 1,
        };
        self.stand(place.partition, next);
        if id {
            self.since_id.clear();
        }
        if wrong.is_none() {
            self.well.insert(place.partition, at);
        }
        wrong.map(|wrong| (Some(place.partition), wrong))
    }

    fn gap(
        &mut self,
        told: &GapData,
        at: Duration,
        topics: &[String],
        truth: &CommittedRecords,
    ) -> Option<Verdict> {
        let Some(topic) = topics.iter().position(|topic| *topic == told.topic) else {
            return Some((None, ViolationKind::Unfounded(told.clone())));
        };
        let first = Partition {
            topic,
            number: told.partition,
        };
        // One gap covers all partitions that are gone, and names the lowest.
        let also = told.partitions.unwrap_or(1).saturating_sub(1) as usize;
        let behind = self.standings.range(first..).map(|(partition, _)| *partition);
        let rest: Vec<_> = behind
            .filter(|other| other.topic == topic && *other != first)
            .take(also)
            .collect();
        std::iter::once(first)
            .chain(rest)
            .find_map(|partition| self.gap_in(partition, told, at, truth))
    }

    fn gap_in(
        &mut self,
        partition: Partition,
        told: &GapData,
        at: Duration,
        truth: &CommittedRecords,
    ) -> Option<Verdict> {
        let standing = self.standing(partition);
        let before = standing.before_gap(told, partition, truth, at, self.wants.numbers);
        let wrong = match (before, standing.moved(told, partition, truth)) {
            (Some((offset, number)), _) => ViolationKind::Lost { offset, number },
            (None, None) => ViolationKind::Unfounded(told.clone()),
            (None, Some(next)) => {
                self.stand(partition, next);
                return None;
            }
        };
        Some((Some(partition), wrong))
    }

    /// Returns the first record that is due in the newest log of a partition, or lost in the log of the
    /// reader's position.
    fn due(&self, partition: Partition, truth: &CommittedRecords) -> Option<(i64, u64)> {
        let newest = truth.newest(partition)?;
        let start = newest.start();
        let there = || {
            newest.first_between((0, 0), None, |offset, n| {
                offset >= start && (self.wants.numbers)(n)
            })
        };
        match self.standing(partition) {
            ReaderPosition::Start { .. } => there(),
            ReaderPosition::At {
                incarnation,
                era,
                next,
            } => {
                let own = truth.log(partition, incarnation)?;
                let left = own.first_between((era, next), None, self.wanted());
                let moved = incarnation != truth.incarnation(partition.topic);
                left.or_else(|| there().filter(|_| moved))
            }
        }
    }

    fn wanted(&self) -> impl Fn(i64, u64) -> bool {
        let wants = self.wants.numbers;
        move |_, number| wants(number)
    }

    fn standing(&self, partition: Partition) -> ReaderPosition {
        let known = self.standings.get(&partition);
        known.copied().unwrap_or(ReaderPosition::Start { least: 0 })
    }

    fn stand(&mut self, partition: Partition, next: ReaderPosition) {
        let before = self.standing(partition);
        self.since_id.push((partition, before));
        self.standings.insert(partition, next);
    }
}

type Verdict = (Option<Partition>, ViolationKind);

impl fmt::Display for ViolationKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost { offset, number } => {
                write!(f, "record {number} at offset {offset} was skipped without a gap")
            }
            Self::Missing { offset, number } => {
                write!(f, "record {number} at offset {offset} was never received")
            }
            Self::Again(place, number) => {
                write!(
                    f,
                    "record {number} at offset {} was received again, or out of order",
                    place.offset
                )
            }
            Self::Untold(place, number) => write!(
                f,
                "record {number} at offset {} is from a topic that was recreated, without a gap",
                place.offset
            ),
            Self::Invented(number) => write!(f, "record {number} was not committed, or not requested"),
            Self::Unfounded(told) => write!(f, "a gap has no cause: {told:?}"),
            Self::Strange(text) => f.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests;
