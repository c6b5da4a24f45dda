//! How long records take: one clock for whoever writes and whoever reads.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use serde::Serialize;

/// When each record was handed to the producer, by its number, from 0.
#[derive(Debug)]
pub struct Sent {
    began: Instant,
    /// Nanoseconds since then; 0 for a record that has not been sent.
    at: Vec<AtomicU64>,
    /// Numbers below it are the warm-up, and not measured.
    from: u64,
}

/// The times that one reader measured.
#[derive(Clone, Debug)]
pub struct Stopwatch {
    sent: Arc<Sent>,
    /// In nanoseconds.
    times: Histogram<u64>,
}

/// What half of the records took at most, and so on.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Quantiles {
    /// The median, in milliseconds.
    pub p50: f64,
    /// In milliseconds.
    pub p99: f64,
    /// In milliseconds.
    pub max: f64,
    /// How many were measured.
    pub count: u64,
}

impl Sent {
    /// Room for `count` numbers, of which the first `warm_up` are not measured.
    pub fn new(count: u64, warm_up: u64) -> Arc<Self> {
        Arc::new(Self {
            began: Instant::now(),
            at: (0..count).map(|_| AtomicU64::new(0)).collect(),
            from: warm_up,
        })
    }

    /// This record goes now.
    pub fn note(&self, number: u64) {
        let now = self.began.elapsed().as_nanos() as u64;
        self.at[number as usize].store(now, Ordering::Relaxed);
    }
}

impl Stopwatch {
    /// For one reader.
    ///
    /// # Panics
    /// Never: the bounds of its histogram are constants.
    pub fn new(sent: &Arc<Sent>) -> Self {
        let times = Histogram::new_with_max(LONGEST.as_nanos() as u64, 2).expect("a histogram");
        Self {
            sent: Arc::clone(sent),
            times,
        }
    }

    /// A record was there at `now`.
    pub fn arrived(&mut self, number: u64, now: Instant) {
        if number < self.sent.from {
            return;
        }
        if let Some(sent) = self.sent.at.get(number as usize) {
            let arrived = now.duration_since(self.sent.began).as_nanos() as u64;
            self.times
                .saturating_record(arrived.saturating_sub(sent.load(Ordering::Relaxed)));
        }
    }

    /// With what another reader measured.
    #[must_use]
    pub fn plus(mut self, other: &Self) -> Self {
        self.times += &other.times;
        self
    }

    /// The figures.
    pub fn quantiles(&self) -> Quantiles {
        Quantiles::of(&self.times)
    }
}

impl Quantiles {
    /// The figures of times in nanoseconds.
    pub(crate) fn of(times: &Histogram<u64>) -> Self {
        let milliseconds = |nanoseconds: u64| nanoseconds as f64 / 1e6;
        Self {
            p50: milliseconds(times.value_at_quantile(0.5)),
            p99: milliseconds(times.value_at_quantile(0.99)),
            max: milliseconds(times.max()),
            count: times.len(),
        }
    }
}

impl fmt::Display for Quantiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { p50, p99, max, count } = self;
        write!(f, "p50 {p50:.2} ms, p99 {p99:.2} ms, max {max:.1} ms, of {count}")
    }
}

/// What takes longer counts as this long. No run lasts that long after its last record.
const LONGEST: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_warm_up_is_not_measured_and_readers_add_up() {
        let sent = Sent::new(3, 1);
        (0..3).for_each(|number| sent.note(number));
        let mut one = Stopwatch::new(&sent);
        let mut other = one.clone();
        let later = Instant::now() + Duration::from_millis(20);
        (0..3).for_each(|number| one.arrived(number, later));
        other.arrived(2, later + Duration::from_millis(60));
        let quantiles = one.plus(&other).quantiles();
        assert_eq!(quantiles.count, 3);
        assert!((19.0..40.0).contains(&quantiles.p50), "{quantiles}");
        assert!((79.0..100.0).contains(&quantiles.max), "{quantiles}");
    }
}
