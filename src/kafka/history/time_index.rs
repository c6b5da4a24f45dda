//! Index of known times of a log, from the answers of its leader.
//!
//! Not here: the query itself (`offset_queries`), and the search through pages (`pool::times`).

use crate::position::{Offset, Timestamp};

/// Times of one log, and for each the first record at or after it, as its leader said.
///
/// An entry stays true for as long as the log is not replaced, because later records have higher offsets. No record before the
/// entry's offset has the entry's time or a later one. So a time a little later is found by reading on from there, and thousands
/// of clients that start at different times cost the leader a few queries.
#[derive(Debug, Default)]
pub(super) struct TimeIndex {
    /// Sorted; times and offsets both rise.
    known: Vec<(Timestamp, Offset)>,
    /// Index of the entry that was evicted last. Entries are evicted in turn.
    last_out: usize,
}

impl TimeIndex {
    /// Records that the first record at or after `time` is at `offset`.
    pub(super) fn insert(&mut self, time: Timestamp, offset: Offset) {
        let at = self.known.partition_point(|(known, _)| *known <= time);
        let (before, behind) = self.known.split_at_mut(at);
        if before.last().is_some_and(|(_, known)| *known > offset)
            || behind.first().is_some_and(|(_, known)| *known < offset)
        {
            // The entries contradict the new answer, which is trusted: it is the latest.
            self.known.clear();
            self.known.push((time, offset));
            return;
        }
        if before
            .last()
            .is_some_and(|(_, known)| offset - known < MIN_DISTANCE)
        {
            return;
        }
        if let Some(next) = behind.first_mut()
            && next.1 - offset < MIN_DISTANCE
        {
            *next = (time, offset);
            return;
        }
        if self.known.len() < MAX_ENTRIES {
            self.known.insert(at, (time, offset));
            return;
        }
        self.last_out = (self.last_out + 1) % MAX_ENTRIES;
        self.known.remove(self.last_out);
        let at = at - usize::from(self.last_out < at);
        self.known.insert(at, (time, offset));
    }

    /// Returns an offset before which no record has `time` or a later one.
    pub(super) fn lower_bound(&self, time: Timestamp) -> Option<Offset> {
        let at = self.known.partition_point(|(known, _)| *known <= time);
        Some(self.known.get(at.checked_sub(1)?)?.1)
    }
}

/// Entries closer than this count as one: half a page.
const MIN_DISTANCE: Offset = 512;

/// Entries of one log, 16 bytes each. With the pages that are searched behind each entry, they cover over a hundred pages.
const MAX_ENTRIES: usize = 32;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Returns the first record at or after `time`.
    fn first_at(log: &[Timestamp], time: Timestamp) -> Option<Offset> {
        let found = log.iter().position(|of| *of >= time);
        found.map(|at| at as Offset * 100)
    }

    proptest! {
        #[test]
        fn no_record_of_that_time_stands_before_what_is_known(
            log in prop::collection::vec(0..1000i64, 1..200),
            asked in prop::collection::vec(0..1000i64, 0..300),
            wanted in prop::collection::vec(0..1000i64, 1..50),
        ) {
            let mut times = TimeIndex::default();
            for time in asked {
                if let Some(offset) = first_at(&log, time) {
                    times.insert(time, offset);
                }
                prop_assert!(times.known.len() <= MAX_ENTRIES);
            }
            for time in wanted {
                if let (Some(known), Some(first)) = (times.lower_bound(time), first_at(&log, time)) {
                    prop_assert!(known <= first, "{known} for {time}, which is at {first}");
                }
            }
        }
    }

    #[test]
    fn what_is_near_is_known_once() {
        let mut times = TimeIndex::default();
        for n in 0..10_000 {
            times.insert(n, n);
        }
        assert!(
            times.known.len() <= 10_000 / MIN_DISTANCE as usize + 1,
            "{times:?}"
        );
        assert_eq!(times.lower_bound(-1), None);
        for n in (0..10_000).step_by(100) {
            let known = times.lower_bound(n).expect("a time before it");
            assert!((n - MIN_DISTANCE..=n).contains(&known), "{known} for {n}");
        }
    }

    #[test]
    fn times_without_an_end_take_a_bounded_room() {
        let mut times = TimeIndex::default();
        for n in 0..10_000 {
            times.insert(n, n * MIN_DISTANCE);
        }
        assert_eq!(times.known.len(), MAX_ENTRIES);
        assert!(
            times.lower_bound(10_000).expect("a time") >= 9_900 * MIN_DISTANCE,
            "{times:?}"
        );
    }

    #[test]
    fn a_leader_that_contradicts_the_one_before_is_believed() {
        let mut times = TimeIndex::default();
        times.insert(10, 1000);
        times.insert(20, 3000);
        times.insert(15, 5000);
        assert_eq!((times.lower_bound(14), times.lower_bound(20)), (None, Some(5000)));
    }
}
