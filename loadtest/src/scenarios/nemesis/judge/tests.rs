//! Verdicts on readers of ten records in each of two partitions.

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
