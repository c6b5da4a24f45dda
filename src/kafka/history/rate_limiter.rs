//! Limit on the bytes per second that a cluster is asked for as history.
//!
//! Not here: the wait itself, which the readers do (`worker`).

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// A token bucket over bytes, shared by all readers of a cluster. The size of a page is known only after the read. So a read
/// starts if the bucket is not in debt, and may leave it in debt.
#[derive(Debug)]
pub(super) struct ByteRateLimiter {
    /// Bytes per second.
    rate: u64,
    /// When the bucket is out of debt; at most [`BURST`] in the past.
    clear: Mutex<Option<Instant>>,
}

impl ByteRateLimiter {
    /// Creates a full bucket of `rate` bytes per second.
    pub(super) fn new(rate: u64) -> Self {
        Self {
            rate: rate.max(1),
            clear: Mutex::new(None),
        }
    }

    /// Returns how long to wait before the next read.
    pub(super) fn delay(&self, now: Instant) -> Duration {
        let clear = *self.clear.lock();
        clear.map_or(Duration::ZERO, |clear| clear.saturating_duration_since(now))
    }

    /// Takes the bytes of a read from the bucket.
    pub(super) fn consume(&self, bytes: usize, now: Instant) {
        let cost = Duration::from_secs_f64(bytes as f64 / self.rate as f64);
        let mut clear = self.clear.lock();
        let full = now.checked_sub(BURST).unwrap_or(now);
        *clear = Some(clear.map_or(full, |clear| clear.max(full)) + cost);
    }
}

/// Capacity of the bucket, as time: one or two pages without delay after a pause.
const BURST: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn over_time_no_more_than_the_rate_is_spent() {
        let rate = ByteRateLimiter::new(1_000_000);
        let start = Instant::now();
        let mut now = start;
        let mut spent = 0;
        while now < start + Duration::from_secs(10) {
            match rate.delay(now) {
                Duration::ZERO => {
                    rate.consume(50_000, now);
                    spent += 50_000;
                }
                delay => now += delay,
            }
        }
        assert!((10_000_000..10_200_000).contains(&spent), "{spent}");
    }
}
