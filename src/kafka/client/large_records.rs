//! How large records have been of late: what is on its way from brokers is as large as they are, and in no budget by itself.

use std::time::{Duration, Instant};

use super::config::PAGE_BYTES;

/// The largest of the records above the size of a page that came within the last minutes.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::kafka) struct LargeRecords {
    bytes: usize,
    until: Option<Instant>,
}

impl LargeRecords {
    /// Notes a record of so many bytes.
    pub(in crate::kafka) fn record(&mut self, bytes: usize, now: Instant) {
        if bytes > PAGE_BYTES && bytes >= self.recent_max(now) {
            *self = Self {
                bytes,
                until: Some(now + KEPT),
            };
        }
    }

    /// Returns what may be kept of `budget` bytes while so many such records are on their way: at least a quarter, or a few large
    /// records would leave nothing of what many share.
    pub(in crate::kafka) fn remaining_budget(
        &self,
        budget: usize,
        on_their_way: usize,
        now: Instant,
    ) -> usize {
        let on_their_way = self.recent_max(now).saturating_mul(on_their_way);
        budget.saturating_sub(on_their_way).max(budget / 4)
    }

    /// Its size in bytes; 0 when there was none.
    pub(in crate::kafka) fn recent_max(&self, now: Instant) -> usize {
        match self.until {
            Some(until) if now < until => self.bytes,
            _ => 0,
        }
    }
}

/// How long large records are reckoned with behind the last: topics that have them have them now and then.
const KEPT: Duration = Duration::from_secs(600);

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
        let later = now + KEPT;
        assert_eq!(large.remaining_budget(256 * MIB, 6, later), 256 * MIB);
        large.record(2 * MIB, later);
        assert_eq!(large.remaining_budget(256 * MIB, 6, later), 244 * MIB);
    }
}
