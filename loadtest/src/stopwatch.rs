//! Measures latencies with one clock for producers and readers.

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

/// The times at which records were passed to the producer, by number from 0 on.
#[derive(Debug)]
pub struct Sent {
    began: Instant,
    /// Nanoseconds since then, and above [`LAP_SHIFT`] the lap; 0 for a record that has not been sent.
    at: Vec<AtomicU64>,
    lap: AtomicU64,
    /// Lower numbers belong to the warm-up, and are not measured.
    from: u64,
}

/// The latencies that one reader measured.
#[derive(Clone, Debug)]
pub struct Stopwatch {
    sent: Arc<Sent>,
    /// The histogram of each lap, in nanoseconds.
    laps: Vec<Histogram<u64>>,
}

/// Quantiles of latencies.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Quantiles {
    /// The median, in milliseconds.
    pub p50: f64,
    /// In milliseconds.
    pub p99: f64,
    /// In milliseconds.
    pub max: f64,
    /// The number of measured records.
    pub count: u64,
}

impl Sent {
    /// Creates it for `count` numbers, of which the first `warm_up` are not measured.
    pub fn new(count: u64, warm_up: u64) -> Arc<Self> {
        Arc::new(Self {
            began: Instant::now(),
            at: (0..count).map(|_| AtomicU64::new(0)).collect(),
            lap: AtomicU64::new(0),
            from: warm_up,
        })
    }

    /// Records that this number is sent now.
    pub fn note(&self, number: u64) {
        let now = self.began.elapsed().as_nanos() as u64;
        let lap = self.lap.load(Ordering::Relaxed) << LAP_SHIFT;
        self.at[number as usize].store(lap | now, Ordering::Relaxed);
    }

    /// Starts a new lap: what is sent from now on is measured separately. There can be 256 laps.
    pub fn next_lap(&self) {
        self.lap.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns when this record was sent, in nanoseconds, and in which lap; `None` if it was not sent.
    fn of(&self, number: u64) -> Option<(u64, usize)> {
        let at = self.at.get(number as usize)?.load(Ordering::Relaxed);
        (at > 0).then_some((at & ((1 << LAP_SHIFT) - 1), (at >> LAP_SHIFT) as usize))
    }
}

impl Stopwatch {
    /// Creates a stopwatch for one reader.
    pub fn new(sent: &Arc<Sent>) -> Self {
        Self {
            sent: Arc::clone(sent),
            laps: Vec::new(),
        }
    }

    /// Records that a number arrived at `now`.
    pub fn arrived(&mut self, number: u64, now: Instant) {
        if number < self.sent.from {
            return;
        }
        if let Some((sent, lap)) = self.sent.of(number) {
            let arrived = now.duration_since(self.sent.began).as_nanos() as u64;
            self.lap_mut(lap).saturating_record(arrived.saturating_sub(sent));
        }
    }

    fn lap_mut(&mut self, lap: usize) -> &mut Histogram<u64> {
        if self.laps.len() <= lap {
            self.laps.resize_with(lap + 1, histogram);
        }
        &mut self.laps[lap]
    }

    /// Returns the sum with the measurements of another reader.
    #[must_use]
    pub fn plus(mut self, other: &Self) -> Self {
        for (lap, times) in other.laps.iter().enumerate() {
            *self.lap_mut(lap) += times;
        }
        self
    }

    /// Returns the quantiles of all laps together.
    pub fn quantiles(&self) -> Quantiles {
        let mut all = histogram();
        self.laps.iter().for_each(|times| all += times);
        Quantiles::of(&all)
    }

    /// Returns the quantiles of one lap, counted from 0.
    pub fn lap(&self, lap: usize) -> Quantiles {
        self.laps
            .get(lap)
            .map_or_else(|| Quantiles::of(&histogram()), Quantiles::of)
    }
}

impl Quantiles {
    /// Returns the quantiles of latencies in nanoseconds.
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

fn histogram() -> Histogram<u64> {
    Histogram::new_with_max(LONGEST.as_nanos() as u64, 2).expect("bounds that are constants")
}

impl fmt::Display for Quantiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { p50, p99, max, count } = self;
        write!(f, "p50 {p50:.2} ms, p99 {p99:.2} ms, max {max:.1} ms, of {count}")
    }
}

/// The bits below it hold the nanoseconds of two years.
const LAP_SHIFT: u32 = 56;

/// Longer latencies are recorded as this one. No run lasts for that long after its last record.
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

    #[test]
    fn laps_are_told_apart_and_what_was_not_sent_is_not_measured() {
        let sent = Sent::new(4, 0);
        sent.note(0);
        sent.next_lap();
        sent.note(1);
        sent.note(2);
        let mut one = Stopwatch::new(&sent);
        let other = one.clone();
        (0..9).for_each(|number| one.arrived(number, Instant::now()));
        let both = other.plus(&one);
        assert_eq!(
            [both.lap(0), both.lap(1), both.lap(2), both.quantiles()].map(|lap| lap.count),
            [1, 2, 0, 3]
        );
    }
}
