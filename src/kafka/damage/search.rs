//! Search for the start and end of a damaged range, by trying offsets.
//!
//! Not here: how an offset is tried (`trial`), and what follows from the result (`searcher`).

use std::{ops::Range, time::Duration};

use crate::position::Offset;

/// Tries to read offsets of one partition.
pub(super) trait OffsetTrial {
    /// Reads from `from` on. Returns the first offset that cannot be read; `None` if there is none up to the log's end, or for a
    /// while.
    fn scan(&mut self, from: Offset) -> Result<Option<Offset>>;

    /// Starts at `offset`, and waits for the first item. With `thorough` it waits longer before it returns `Unreadable`.
    fn try_offset(&mut self, offset: Offset, thorough: bool) -> Result<TrialResult>;

    /// Returns the end of the log.
    fn end(&self) -> Result<Offset>;

    /// Waits before the next trial.
    fn pause(&mut self, pause: Duration) -> Result<()>;
}

/// The first item at or behind an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TrialResult {
    /// A record, or the end of the log.
    Readable,
    /// No item, although the broker answers and the log goes on. Holds the first offset of the damaged batch, if known.
    Unreadable(Option<Offset>),
}

/// No result: the broker does not answer, the cluster is being closed, or nothing behind the offset can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Inconclusive;

pub(super) type Result<T> = std::result::Result<T, Inconclusive>;

/// Returns the first range at or behind `from` that cannot be read; `None` if reading goes on.
pub(super) fn find(trial: &mut impl OffsetTrial, from: Offset) -> Result<Option<Range<Offset>>> {
    let Some(start) = trial.scan(from)? else {
        return Ok(None);
    };
    for pause in CONFIRM_PAUSES {
        trial.pause(pause)?;
        if trial.try_offset(start, true)? == TrialResult::Readable {
            return Ok(None);
        }
    }
    let mut at = start;
    for _ in 0..MAX_BATCHES {
        at = find_end(trial, at)?;
        if trial.try_offset(at, false)? == TrialResult::Readable {
            if at >= trial.end()? && !is_readable_before(trial, start)? {
                return Err(Inconclusive);
            }
            // The item may have arrived only because the broker answers fetches again. Then the start can be read, too.
            let still = trial.try_offset(start, true)? != TrialResult::Readable;
            return Ok(still.then_some(start..at));
        }
    }
    Err(Inconclusive)
}

/// Returns whether the record before `start` can be read. Needed if a range ends with its log: no record behind it shows that
/// fetches are answered. A broker that refuses all fetches for a while, which librdkafka does not report, may still tell the
/// log's end.
fn is_readable_before(trial: &mut impl OffsetTrial, start: Offset) -> Result<bool> {
    Ok(start > 0 && trial.try_offset(start - 1, true)? == TrialResult::Readable)
}

/// Returns the first offset behind the unreadable `start` that can be read or belongs to another batch. Intact records between
/// two damaged batches are not lost that way.
fn find_end(trial: &mut impl OffsetTrial, start: Offset) -> Result<Offset> {
    let TrialResult::Unreadable(batch) = trial.try_offset(start, false)? else {
        return Err(Inconclusive);
    };
    let (mut low, mut high) = bracket_end(trial, start, batch)?;
    for _ in 0..MAX_CORRECTIONS {
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            match is_past(trial.try_offset(middle, false)?, batch) {
                true => high = middle,
                false => low = middle,
            }
        }
        // Nothing arrived at `low`; it may only have been late.
        if low == start || !is_past(trial.try_offset(low, true)?, batch) {
            return Ok(high);
        }
        (low, high) = (start, low);
    }
    Err(Inconclusive)
}

/// Returns an offset that is not past the batch and one that is, found by doubling the distance from `start`.
fn bracket_end(
    trial: &mut impl OffsetTrial,
    start: Offset,
    batch: Option<Offset>,
) -> Result<(Offset, Offset)> {
    let (end, mut low, mut step) = (trial.end()?, start, 1);
    while low < end {
        let next = start.saturating_add(step).min(end);
        if is_past(trial.try_offset(next, false)?, batch) {
            return Ok((low, next));
        }
        (low, step) = (next, step.saturating_mul(2));
    }
    Err(Inconclusive)
}

/// Returns whether a trial result lies past the damaged batch.
fn is_past(seen: TrialResult, batch: Option<Offset>) -> bool {
    match (seen, batch) {
        (TrialResult::Readable, _) => true,
        (TrialResult::Unreadable(Some(other)), Some(batch)) => other > batch,
        (TrialResult::Unreadable(_), _) => false,
    }
}

/// Pauses between the trials before an offset counts as unreadable. Together they are longer than a broker needs to find a
/// segment again that it has just rolled or moved.
const CONFIRM_PAUSES: [Duration; 2] = [Duration::from_millis(300), Duration::from_millis(900)];

/// Longest run of damaged batches that is followed.
const MAX_BATCHES: usize = 64;

/// How often a trial may turn out to have been too short.
const MAX_CORRECTIONS: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    /// The batches of a log: the start of each, and how it fails.
    struct ModelLog {
        batches: Vec<(Offset, FailureMode)>,
        end: Offset,
        looks: usize,
    }

    #[derive(Clone, Copy, PartialEq)]
    enum FailureMode {
        Not,
        /// librdkafka reports the batch.
        Loudly,
        Silently,
    }

    impl ModelLog {
        fn batch(&self, offset: Offset) -> (Offset, FailureMode) {
            let at = self.batches.partition_point(|(start, _)| *start <= offset);
            self.batches[at - 1]
        }
    }

    impl OffsetTrial for ModelLog {
        fn scan(&mut self, from: Offset) -> Result<Option<Offset>> {
            Ok((from..self.end).find(|at| self.batch(*at).1 != FailureMode::Not))
        }

        fn try_offset(&mut self, offset: Offset, _: bool) -> Result<TrialResult> {
            self.looks += 1;
            Ok(match self.batch(offset) {
                _ if offset >= self.end => TrialResult::Readable,
                (_, FailureMode::Not) => TrialResult::Readable,
                (start, FailureMode::Loudly) => TrialResult::Unreadable(Some(start)),
                (_, FailureMode::Silently) => TrialResult::Unreadable(None),
            })
        }

        fn end(&self) -> Result<Offset> {
            Ok(self.end)
        }

        fn pause(&mut self, _: Duration) -> Result<()> {
            Ok(())
        }
    }

    fn model(batches: &[(Offset, FailureMode)], end: Offset) -> ModelLog {
        ModelLog {
            batches: batches.to_vec(),
            end,
            looks: 0,
        }
    }

    #[test]
    fn the_range_is_exactly_the_damaged_batch_wherever_it_lies() {
        for fails in [FailureMode::Loudly, FailureMode::Silently] {
            for (start, end) in [(0, 1), (1, 2), (7, 1031), (100, 150), (999, 1000), (500, 9_999)] {
                let mut batches = vec![(0, FailureMode::Not), (start, fails), (end, FailureMode::Not)];
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
            (0, FailureMode::Loudly),
            (10, FailureMode::Not),
            (12, FailureMode::Loudly),
            (20, FailureMode::Not),
        ];
        let mut model = model(&batches, 100);
        assert_eq!(find(&mut model, 0), Ok(Some(0..10)));
        assert_eq!(find(&mut model, 10), Ok(Some(12..20)));
    }

    #[test]
    fn damaged_batches_in_a_row_are_one_range() {
        let batches = [
            (0, FailureMode::Not),
            (10, FailureMode::Loudly),
            (20, FailureMode::Loudly),
            (23, FailureMode::Silently),
            (50, FailureMode::Not),
        ];
        assert_eq!(find(&mut model(&batches, 100), 0), Ok(Some(10..50)));
    }

    #[test]
    fn a_damaged_batch_at_the_end_is_behind_at_the_end() {
        for fails in [FailureMode::Loudly, FailureMode::Silently] {
            let batches = [(0, FailureMode::Not), (90, fails)];
            assert_eq!(find(&mut model(&batches, 100), 0), Ok(Some(90..100)));
        }
    }

    #[test]
    fn what_can_be_read_is_not_skipped() {
        assert_eq!(find(&mut model(&[(0, FailureMode::Not)], 100), 0), Ok(None));
    }

    /// Fails once at the offset where it was found to fail, and not again.
    struct TransientFailure(ModelLog);

    impl OffsetTrial for TransientFailure {
        fn scan(&mut self, _: Offset) -> Result<Option<Offset>> {
            Ok(Some(50))
        }

        fn try_offset(&mut self, offset: Offset, thorough: bool) -> Result<TrialResult> {
            self.0.try_offset(offset, thorough)
        }

        fn end(&self) -> Result<Offset> {
            self.0.end()
        }

        fn pause(&mut self, pause: Duration) -> Result<()> {
            self.0.pause(pause)
        }
    }

    #[test]
    fn a_failure_that_passes_loses_nothing() {
        assert_eq!(
            find(&mut TransientFailure(model(&[(0, FailureMode::Not)], 100)), 0),
            Ok(None)
        );
    }

    /// Answers no fetch for the first `looks` trials. The log is intact.
    struct RefusingBroker {
        whole: ModelLog,
        looks: usize,
    }

    impl OffsetTrial for RefusingBroker {
        fn scan(&mut self, from: Offset) -> Result<Option<Offset>> {
            Ok(Some(from))
        }

        fn try_offset(&mut self, offset: Offset, thorough: bool) -> Result<TrialResult> {
            let seen = self.whole.try_offset(offset, thorough)?;
            let answers = self.whole.looks > self.looks || offset >= self.whole.end;
            Ok(if answers {
                seen
            } else {
                TrialResult::Unreadable(None)
            })
        }

        fn end(&self) -> Result<Offset> {
            self.whole.end()
        }

        fn pause(&mut self, pause: Duration) -> Result<()> {
            self.whole.pause(pause)
        }
    }

    #[test]
    fn fetches_that_are_answered_again_during_the_search_lose_nothing() {
        let refuses = |looks| RefusingBroker {
            whole: model(&[(0, FailureMode::Not)], 100),
            looks,
        };
        let mut never = refuses(usize::MAX);
        assert_eq!(
            find(&mut never, 5),
            Err(Inconclusive),
            "the end alone is no proof"
        );
        for looks in 0..never.whole.looks {
            let found = find(&mut refuses(looks), 5);
            assert!(
                matches!(found, Ok(None) | Err(Inconclusive)),
                "{looks}: {found:?}"
            );
        }
    }
}
