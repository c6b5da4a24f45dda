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
mod tests {
    use super::*;

    const TOPIC: &str = "a";

    fn place(number: i32) -> Partition {
        Partition { topic: 0, number }
    }

    /// Returns ten records in each of two partitions: 0 to 9, and 100 to 109.
    fn truth() -> CommittedRecords {
        let mut truth = CommittedRecords::default();
        for offset in 0..10 {
            truth.add(place(0), offset, offset as u64);
            truth.add(place(1), offset, 100 + offset as u64);
        }
        truth
    }

    fn events(numbers: impl IntoIterator<Item = u64>) -> Vec<ObservationKind> {
        let event = |number| ObservationKind::Event { number, id: true };
        numbers.into_iter().map(event).collect()
    }

    fn gap(reason: &str, requested: i64, resumed: Option<i64>) -> ObservationKind {
        ObservationKind::Gap(Box::new(GapData {
            topic: TOPIC.into(),
            partition: 0,
            requested: Some(requested),
            resumed,
            reason: reason.into(),
            partitions: None,
        }))
    }

    fn begin(resumes: bool) -> ObservationKind {
        ObservationKind::Began { resumes }
    }

    /// Returns the first violation, or what is missing at the end.
    fn judged(
        truth: &CommittedRecords,
        numbers: fn(u64) -> bool,
        notes: &[Vec<ObservationKind>],
    ) -> Option<ViolationKind> {
        let mut judge = ReaderChecker::new(RecordSelection {
            topics: vec![0],
            numbers,
        });
        let topics = [TOPIC.to_owned()];
        let at = Duration::from_secs(100);
        let faults = notes.iter().flatten().map(|what| Observation {
            at,
            what: what.clone(),
        });
        let fault = faults.filter_map(|note| judge.take(&note, &topics, truth)).next();
        fault.or_else(|| judge.missing(truth, at)).map(|fault| fault.what)
    }

    fn all(truth: &CommittedRecords, notes: &[Vec<ObservationKind>]) -> Option<ViolationKind> {
        judged(truth, |_| true, notes)
    }

    #[test]
    fn everything_once_and_in_order_is_right_however_partitions_mix() {
        let notes = [events(0..5), events(100..110), events(5..10)];
        assert_eq!(all(&truth(), &notes), None);
        let odd = events([1, 101, 3, 5, 103, 7, 9, 105, 107, 109]);
        assert_eq!(judged(&truth(), |number| number % 2 == 1, &[odd]), None);
    }

    #[test]
    fn every_kind_of_fault_is_seen() {
        let others = events(100..110);
        let faulty = |numbers: &[u64]| all(&truth(), &[others.clone(), events(numbers.iter().copied())]);
        let (offset, number) = (3, 3);
        assert_eq!(
            faulty(&[0, 1, 2, 4]),
            Some(ViolationKind::Lost { offset, number })
        );
        assert_eq!(
            faulty(&[0, 1, 2]),
            Some(ViolationKind::Missing { offset, number })
        );
        assert!(matches!(faulty(&[0, 1, 1]), Some(ViolationKind::Again(_, 1))));
        assert_eq!(faulty(&[0, 77]), Some(ViolationKind::Invented(77)));
        let unwanted = judged(&truth(), |number| number != 2, &[events(0..10)]);
        assert_eq!(unwanted, Some(ViolationKind::Invented(2)));
    }

    #[test]
    fn what_came_behind_the_last_id_comes_again() {
        let without_id = vec![ObservationKind::Event { number: 3, id: false }];
        let rest = [events(3..10), events(100..110)].concat();
        let notes = [events(0..3), without_id.clone(), vec![begin(true)], rest.clone()];
        assert_eq!(all(&truth(), &notes), None);
        let notes = [events(0..3), without_id, rest.clone()];
        assert!(matches!(all(&truth(), &notes), Some(ViolationKind::Again(_, 3))));
        let notes = [events(0..3), vec![begin(false)], events(0..3), rest];
        assert_eq!(all(&truth(), &notes), None);
    }

    #[test]
    fn what_was_deleted_is_told_to_whoever_was_there_and_to_nobody_else() {
        let mut truth = truth();
        truth.delete(place(0), Duration::from_secs(50), 6);
        let (others, rest) = (events(100..110), events(6..10));
        let told = |requested, resumed| vec![gap("expired", requested, Some(resumed))];
        assert_eq!(all(&truth, &[others.clone(), rest.clone()]), None);
        let there = [events(0..2), others.clone()].concat();
        let (offset, number) = (2, 2);
        let lost = Some(ViolationKind::Lost { offset, number });
        assert_eq!(all(&truth, &[there.clone(), rest.clone()]), lost);
        assert_eq!(all(&truth, &[there.clone(), told(2, 6), rest.clone()]), None);
        assert_eq!(
            all(&truth, &[there.clone(), told(3, 6), rest.clone()]),
            lost,
            "a gap elsewhere"
        );
        let too_much = all(&truth, &[there.clone(), told(2, 8), events(8..10)]);
        assert!(
            matches!(too_much, Some(ViolationKind::Unfounded(_))),
            "{too_much:?}"
        );
        assert_eq!(
            all(&truth, &[there]),
            Some(ViolationKind::Missing { offset, number }),
            "without a gap"
        );
    }

    #[test]
    fn a_gap_without_a_cause_is_a_fault() {
        for reason in ["expired", "truncated", "recreated", "unproven", "failover"] {
            let notes = [events(0..5), vec![gap(reason, 5, Some(5))]];
            let wrong = all(&truth(), &notes);
            assert!(
                matches!(wrong, Some(ViolationKind::Unfounded(_))),
                "{reason}: {wrong:?}"
            );
        }
    }

    #[test]
    fn damage_is_told_at_its_place_and_all_around_it_comes() {
        let mut truth = truth();
        truth.damage(place(0), 4..6);
        let others = events(100..110);
        let told = vec![gap("unreadable", 4, Some(6))];
        let right = [events(0..4), told.clone(), events(6..10), others.clone()];
        assert_eq!(all(&truth, &right), None);
        assert_eq!(all(&truth, &[events(0..10), others.clone()]), None, "read before");
        let (offset, number) = (3, 3);
        let lost = Some(ViolationKind::Lost { offset, number });
        assert_eq!(all(&truth, &[events(0..3), told.clone(), events(6..10)]), lost);
        let (offset, number) = (0, 0);
        let lost = Some(ViolationKind::Lost { offset, number });
        assert_eq!(all(&truth, &[told, events(6..10)]), lost);
        let wide = all(&truth, &[events(0..4), vec![gap("unreadable", 4, Some(7))]]);
        assert!(matches!(wide, Some(ViolationKind::Unfounded(_))), "{wide:?}");
    }

    #[test]
    fn a_cut_is_told_to_whoever_was_ahead_of_it() {
        let mut truth = truth();
        truth.cut(place(0), 6);
        (6..9).for_each(|offset| truth.add(place(0), offset, 200 + offset as u64));
        let others = events(100..110);
        let rest = events(206..209);
        let told = vec![gap("truncated", 10, Some(6))];
        assert_eq!(
            all(&truth, &[others.clone(), events(0..10), told, rest.clone()]),
            None
        );
        assert_eq!(
            all(&truth, &[others.clone(), events(0..6), rest.clone()]),
            None,
            "the position was after it"
        );
        let (offset, number) = (6, 206);
        let untold = [others, events(0..10), events(207..209)];
        assert_eq!(all(&truth, &untold), Some(ViolationKind::Lost { offset, number }));
    }

    #[test]
    fn what_was_written_behind_a_cut_and_deleted_is_told_of_with_all_else_that_was_deleted() {
        let mut truth = truth();
        truth.cut(place(0), 6);
        (6..9).for_each(|offset| truth.add(place(0), offset, 200 + offset as u64));
        truth.delete(place(0), Duration::from_secs(50), 8);
        let others = events(100..110);
        let told = vec![gap("expired", 4, Some(8))];
        let notes = [others, events(0..4), told, events([208])];
        assert_eq!(all(&truth, &notes), None);
    }

    #[test]
    fn a_topic_that_is_created_again_is_another_one() {
        let mut truth = truth();
        truth.recreate(0);
        (0..3).for_each(|offset| truth.add(place(0), offset, 300 + offset as u64));
        let (before, rest) = (events(0..4), events(300..303));
        let told = vec![gap("recreated", 4, Some(0))];
        assert_eq!(all(&truth, &[before.clone(), told.clone(), rest.clone()]), None);
        let untold = all(&truth, &[before.clone(), rest]);
        assert!(
            matches!(untold, Some(ViolationKind::Untold(_, 300))),
            "{untold:?}"
        );
        let late = all(&truth, &[before, told, events([4])]);
        assert!(matches!(late, Some(ViolationKind::Again(_, 4))), "{late:?}");
    }

    #[test]
    fn one_gap_tells_of_all_partitions_that_are_gone() {
        let mut truth = truth();
        truth.recreate(0);
        (0..3).for_each(|offset| truth.add(place(1), offset, 300 + offset as u64));
        let gone = |partitions| {
            vec![ObservationKind::Gap(Box::new(GapData {
                topic: TOPIC.into(),
                partition: 0,
                requested: None,
                resumed: None,
                reason: "partition_gone".into(),
                partitions,
            }))]
        };
        let before = [events(0..10), events(100..110)].concat();
        let notes = |gap| [before.clone(), gap, events(300..303)];
        assert_eq!(all(&truth, &notes(gone(Some(2)))), None);
        assert!(matches!(
            all(&truth, &notes(gone(None))),
            Some(ViolationKind::Untold(_, 300))
        ));
    }
}
