//! A sampler for log lines: one a second, for events that may happen thousands of times a second.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

/// Decides which of many similar lines are written.
#[derive(Debug)]
pub(super) struct LogSampler {
    start: Instant,
    /// The second after the last one in which a line was written, counted from `start`.
    next: AtomicU64,
    left_out: AtomicU64,
}

impl LogSampler {
    pub(super) fn new() -> Self {
        Self {
            start: Instant::now(),
            next: AtomicU64::new(0),
            left_out: AtomicU64::new(0),
        }
    }

    /// Returns how many lines were left out since the last one if this one should be written, and `None` otherwise.
    pub(super) fn take(&self) -> Option<u64> {
        self.take_at(self.start.elapsed().as_secs())
    }

    fn take_at(&self, second: u64) -> Option<u64> {
        if self.next.fetch_max(second + 1, Ordering::Relaxed) <= second {
            Some(self.left_out.swap(0, Ordering::Relaxed))
        } else {
            self.left_out.fetch_add(1, Ordering::Relaxed);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_a_second_is_written_and_says_how_many_were_not() {
        let sample = LogSampler::new();
        assert_eq!(sample.take_at(0), Some(0));
        assert_eq!(sample.take_at(0), None);
        assert_eq!(sample.take_at(0), None);
        assert_eq!(sample.take_at(7), Some(2));
        assert_eq!(sample.take_at(7), None);
    }
}
