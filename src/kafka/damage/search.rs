//! Finds where an unreadable range of a log begins and ends, by trying offsets.

use std::{ops::Range, time::Duration};

use crate::position::Offset;

/// Tries offsets of one partition.
pub(super) trait Probe {
    /// Reads on from `from`; the first place that cannot be read, `None` when there is none up to the end, or for a while.
    fn scan(&mut self, from: Offset) -> Result<Option<Offset>, Unsure>;

    /// Begins at `offset`, and waits for what comes first. `thorough` waits longer before it says that nothing does.
    fn look(&mut self, offset: Offset, thorough: bool) -> Result<Seen, Unsure>;

    /// The end of the log.
    fn end(&mut self) -> Result<Offset, Unsure>;

    /// Waits before the next try.
    fn rest(&mut self, pause: Duration) -> Result<(), Unsure>;
}

/// What came first behind an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// A record, or the end of the log.
    Readable,
    /// Nothing, although the broker answers and the log goes on; the batch that fails begins here, if that is known.
    Unreadable(Option<Offset>),
}

/// It could not be found out: the broker does not answer, the cluster is being closed, or nothing behind the place can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unsure;

/// The first range at or behind `from` that cannot be read; `None` when reading goes on.
pub(super) fn find(probe: &mut impl Probe, from: Offset) -> Result<Option<Range<Offset>>, Unsure> {
    let Some(start) = probe.scan(from)? else {
        return Ok(None);
    };
    for pause in CONFIRM {
        probe.rest(pause)?;
        if probe.look(start, true)? == Seen::Readable {
            return Ok(None);
        }
    }
    let mut at = start;
    for _ in 0..MOST_STRETCHES {
        at = behind(probe, at)?;
        if probe.look(at, false)? == Seen::Readable {
            if at >= probe.end()? && !is_read_before(probe, start)? {
                return Err(Unsure);
            }
            // What comes there may come because fetches are answered again.
            let still = probe.look(start, true)? != Seen::Readable;
            return Ok(still.then_some(start..at));
        }
    }
    Err(Unsure)
}

/// Returns whether the record before `start` comes. No record shows that fetches are answered where a range ends with its log, and
/// a broker that refuses them all for a while, which librdkafka keeps to itself, may tell the end nevertheless.
fn is_read_before(probe: &mut impl Probe, start: Offset) -> Result<bool, Unsure> {
    Ok(start > 0 && probe.look(start - 1, true)? == Seen::Readable)
}

/// The first offset behind `start`, which cannot be read, that can, or that is of another batch: what lies between two
/// damaged batches is not to be lost.
fn behind(probe: &mut impl Probe, start: Offset) -> Result<Offset, Unsure> {
    let Seen::Unreadable(batch) = probe.look(start, false)? else {
        return Err(Unsure);
    };
    let (mut low, mut high) = double(probe, start, batch)?;
    for _ in 0..MOST_CORRECTIONS {
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            match is_behind(probe.look(middle, false)?, batch) {
                true => high = middle,
                false => low = middle,
            }
        }
        // Nothing came there, and perhaps was only late.
        if low == start || !is_behind(probe.look(low, true)?, batch) {
            return Ok(high);
        }
        (low, high) = (start, low);
    }
    Err(Unsure)
}

/// An offset that is not behind yet, and one that is, twice as far from `start`.
fn double(probe: &mut impl Probe, start: Offset, batch: Option<Offset>) -> Result<(Offset, Offset), Unsure> {
    let (end, mut low, mut step) = (probe.end()?, start, 1);
    while low < end {
        let next = start.saturating_add(step).min(end);
        if is_behind(probe.look(next, false)?, batch) {
            return Ok((low, next));
        }
        (low, step) = (next, step.saturating_mul(2));
    }
    Err(Unsure)
}

fn is_behind(seen: Seen, batch: Option<Offset>) -> bool {
    match (seen, batch) {
        (Seen::Readable, _) => true,
        (Seen::Unreadable(Some(other)), Some(batch)) => other > batch,
        (Seen::Unreadable(_), _) => false,
    }
}

/// Between the tries that a place gets before it counts as unreadable: together longer than a broker needs to find a segment
/// again that it has just rolled or moved.
const CONFIRM: [Duration; 2] = [Duration::from_millis(300), Duration::from_millis(900)];

/// Damaged batches in a row.
const MOST_STRETCHES: usize = 64;

/// How often a look may turn out to have been too short.
const MOST_CORRECTIONS: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    /// Batches of a log: where each begins, and how it fails.
    struct Model {
        batches: Vec<(Offset, Fails)>,
        end: Offset,
        looks: usize,
    }

    #[derive(Clone, Copy, PartialEq)]
    enum Fails {
        Not,
        /// librdkafka names the batch.
        Loudly,
        Silently,
    }

    impl Model {
        fn batch(&self, offset: Offset) -> (Offset, Fails) {
            let at = self.batches.partition_point(|(start, _)| *start <= offset);
            self.batches[at - 1]
        }
    }

    impl Probe for Model {
        fn scan(&mut self, from: Offset) -> Result<Option<Offset>, Unsure> {
            Ok((from..self.end).find(|at| self.batch(*at).1 != Fails::Not))
        }

        fn look(&mut self, offset: Offset, _: bool) -> Result<Seen, Unsure> {
            self.looks += 1;
            Ok(match self.batch(offset) {
                _ if offset >= self.end => Seen::Readable,
                (_, Fails::Not) => Seen::Readable,
                (start, Fails::Loudly) => Seen::Unreadable(Some(start)),
                (_, Fails::Silently) => Seen::Unreadable(None),
            })
        }

        fn end(&mut self) -> Result<Offset, Unsure> {
            Ok(self.end)
        }

        fn rest(&mut self, _: Duration) -> Result<(), Unsure> {
            Ok(())
        }
    }

    fn model(batches: &[(Offset, Fails)], end: Offset) -> Model {
        Model {
            batches: batches.to_vec(),
            end,
            looks: 0,
        }
    }

    #[test]
    fn the_range_is_exactly_the_damaged_batch_wherever_it_lies() {
        for fails in [Fails::Loudly, Fails::Silently] {
            for (start, end) in [(0, 1), (1, 2), (7, 1031), (100, 150), (999, 1000), (500, 9_999)] {
                let mut batches = vec![(0, Fails::Not), (start, fails), (end, Fails::Not)];
                batches.retain(|batch| batch.0 > 0 || start > 0 || batch.1 == fails);
                let mut model = model(&batches, 10_000);
                assert_eq!(find(&mut model, 0), Ok(Some(start..end)));
                assert!(model.looks < 40, "{} looks", model.looks);
            }
        }
    }

    #[test]
    fn what_lies_between_two_damaged_batches_is_not_given_up() {
        let batches = [
            (0, Fails::Loudly),
            (10, Fails::Not),
            (12, Fails::Loudly),
            (20, Fails::Not),
        ];
        let mut model = model(&batches, 100);
        assert_eq!(find(&mut model, 0), Ok(Some(0..10)));
        assert_eq!(find(&mut model, 10), Ok(Some(12..20)));
    }

    #[test]
    fn damaged_batches_in_a_row_are_one_range() {
        let batches = [
            (0, Fails::Not),
            (10, Fails::Loudly),
            (20, Fails::Loudly),
            (23, Fails::Silently),
            (50, Fails::Not),
        ];
        assert_eq!(find(&mut model(&batches, 100), 0), Ok(Some(10..50)));
    }

    #[test]
    fn a_damaged_batch_at_the_end_is_behind_at_the_end() {
        for fails in [Fails::Loudly, Fails::Silently] {
            let batches = [(0, Fails::Not), (90, fails)];
            assert_eq!(find(&mut model(&batches, 100), 0), Ok(Some(90..100)));
        }
    }

    #[test]
    fn what_can_be_read_is_not_skipped() {
        assert_eq!(find(&mut model(&[(0, Fails::Not)], 100), 0), Ok(None));
    }

    /// Fails where it was found to fail once only.
    struct Hiccup(Model);

    impl Probe for Hiccup {
        fn scan(&mut self, _: Offset) -> Result<Option<Offset>, Unsure> {
            Ok(Some(50))
        }

        fn look(&mut self, offset: Offset, thorough: bool) -> Result<Seen, Unsure> {
            self.0.look(offset, thorough)
        }

        fn end(&mut self) -> Result<Offset, Unsure> {
            self.0.end()
        }

        fn rest(&mut self, pause: Duration) -> Result<(), Unsure> {
            self.0.rest(pause)
        }
    }

    #[test]
    fn a_failure_that_passes_loses_nothing() {
        assert_eq!(find(&mut Hiccup(model(&[(0, Fails::Not)], 100)), 0), Ok(None));
    }

    /// Answers nothing until so many looks were taken, and is whole.
    struct Refuses {
        whole: Model,
        looks: usize,
    }

    impl Probe for Refuses {
        fn scan(&mut self, from: Offset) -> Result<Option<Offset>, Unsure> {
            Ok(Some(from))
        }

        fn look(&mut self, offset: Offset, thorough: bool) -> Result<Seen, Unsure> {
            let seen = self.whole.look(offset, thorough)?;
            let answers = self.whole.looks > self.looks || offset >= self.whole.end;
            Ok(if answers { seen } else { Seen::Unreadable(None) })
        }

        fn end(&mut self) -> Result<Offset, Unsure> {
            self.whole.end()
        }

        fn rest(&mut self, pause: Duration) -> Result<(), Unsure> {
            self.whole.rest(pause)
        }
    }

    #[test]
    fn fetches_that_are_answered_again_during_the_search_lose_nothing() {
        let refuses = |looks| Refuses {
            whole: model(&[(0, Fails::Not)], 100),
            looks,
        };
        let mut never = refuses(usize::MAX);
        assert_eq!(find(&mut never, 5), Err(Unsure), "the end alone is no proof");
        for looks in 0..never.whole.looks {
            let found = find(&mut refuses(looks), 5);
            assert!(matches!(found, Ok(None) | Err(Unsure)), "{looks}: {found:?}");
        }
    }
}
