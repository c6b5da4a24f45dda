//! The size of recent large records. Records on their way from brokers take memory that no budget counts by itself.

use std::time::{Duration, Instant};

use super::config::PAGE_BYTES;

/// The largest of the records above the size of a page that arrived within the last minutes.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::kafka) struct LargeRecords {
    bytes: usize,
    until: Option<Instant>,
}

impl LargeRecords {
    /// Records the arrival of a record of this many bytes.
    pub(in crate::kafka) fn record(&mut self, bytes: usize, now: Instant) {
        if bytes > PAGE_BYTES && bytes >= self.recent_max(now) {
            *self = Self {
                bytes,
                until: Some(now + LARGE_KEPT),
            };
        }
    }

    /// Returns what may be kept of `budget` bytes while `on_their_way` such records are on their way. It is at least a quarter
    /// of the budget, or a few large records would leave nothing of what many share.
    pub(in crate::kafka) fn remaining_budget(
        &self,
        budget: usize,
        on_their_way: usize,
        now: Instant,
    ) -> usize {
        let on_their_way = self.recent_max(now).saturating_mul(on_their_way);
        budget.saturating_sub(on_their_way).max(budget / 4)
    }

    /// Returns the size of that record in bytes; 0 if there was none.
    pub(in crate::kafka) fn recent_max(&self, now: Instant) -> usize {
        match self.until {
            Some(until) if now < until => self.bytes,
            _ => 0,
        }
    }
}

/// How long the memory for large records is reserved after the last one. Topics with large records have them now and then.
pub(in crate::kafka) const LARGE_KEPT: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    #[test]
    fn what_is_on_its_way_is_left_of_the_budget_for_as_long_as_it_may_come() {
        let (mut large, now) = (LargeRecords::default(), Instant::now());
        large.record(PAGE_BYTES, now);
        assert_eq!(
            large.remaining_budget(256 * MIB, 6, now),
            256 * MIB,
            "usual records"
        );
        large.record(8 * MIB, now);
        large.record(2 * MIB, now);
        assert_eq!(large.remaining_budget(256 * MIB, 6, now), 208 * MIB);
        assert_eq!(
            large.remaining_budget(16 * MIB, 6, now),
            4 * MIB,
            "a quarter stays"
        );
        let later = now + LARGE_KEPT;
        assert_eq!(large.remaining_budget(256 * MIB, 6, later), 256 * MIB);
        large.record(2 * MIB, later);
        assert_eq!(large.remaining_budget(256 * MIB, 6, later), 244 * MIB);
    }
}
