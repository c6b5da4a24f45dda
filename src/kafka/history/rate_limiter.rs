//! Limit on the bytes per second that a cluster is asked for as history.
//!
//! Not here: the wait itself, which the readers do (`worker`).

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// A token bucket over bytes, shared by all readers of a cluster. It counts what brokers were asked for, whether or not a client
/// got it. The size of a fetch is known only afterwards. So a read starts if the bucket is not in debt, and may leave it in debt.
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

    /// Returns whether a fetch of this many bytes is small beside what may be read in a second.
    pub(super) fn allows(&self, bytes: usize) -> bool {
        (bytes as u64).saturating_mul(FETCHES_PER_SECOND) <= self.rate
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

/// Fetches of a size that fit into a second, so that one for each of several partitions does not exceed the rate of some seconds.
const FETCHES_PER_SECOND: u64 = 16;

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

    /// Spends all that it can in fetches of `bytes`. Returns the most that was spent in any five seconds.
    fn most_in_five_seconds(rate: &ByteRateLimiter, bytes: usize) -> usize {
        let start = Instant::now();
        let (mut now, mut fetches) = (start, Vec::new());
        while now < start + Duration::from_secs(20) {
            match rate.delay(now) {
                Duration::ZERO => {
                    rate.consume(bytes, now);
                    fetches.push(now);
                }
                delay => now += delay,
            }
        }
        let (mut first, mut most) = (0, 0);
        for (index, at) in fetches.iter().enumerate() {
            while at.duration_since(fetches[first]) >= Duration::from_secs(5) {
                first += 1;
            }
            most = most.max(index + 1 - first);
        }
        most * bytes
    }

    #[test]
    fn whole_fetches_stay_near_the_rate_in_any_five_seconds_and_large_ones_are_for_large_rates() {
        for mib in [16_u64, 64, 1024] {
            let rate = ByteRateLimiter::new(mib << 20);
            assert!(rate.allows(1 << 20));
            let most = most_in_five_seconds(&rate, 1 << 20) as u64;
            assert!(most <= 6 * (mib << 20), "{mib} MiB/s: {most}");
        }
        let slow = ByteRateLimiter::new(1 << 20);
        assert!(!slow.allows(1 << 20));
        assert!(most_in_five_seconds(&slow, 224 << 10) <= 6 << 20);
    }
}
