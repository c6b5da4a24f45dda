//! Measures the bytes that brokers send, over time.

use std::time::{Duration, Instant};

use riverhead_brokers::Cluster;

/// Samples of what the proxies of a cluster have forwarded to its clients.
pub struct Meter<'a> {
    cluster: &'a Cluster,
    samples: Vec<(Instant, u64)>,
}

impl<'a> Meter<'a> {
    /// Starts to count.
    pub fn start(cluster: &'a Cluster) -> Self {
        let mut meter = Self {
            cluster,
            samples: Vec::new(),
        };
        meter.look();
        meter
    }

    /// Takes a sample. Call it several times a second.
    pub fn look(&mut self) {
        self.samples
            .push((Instant::now(), self.cluster.client_counts().to_client));
    }

    /// Returns the number of bytes so far.
    pub fn bytes(&self) -> u64 {
        match &self.samples[..] {
            [first, .., last] => last.1 - first.1,
            _ => 0,
        }
    }

    /// Returns the highest rate of any five seconds, in bytes per second. A shorter measurement counts as a
    /// whole.
    pub fn peak(&self) -> f64 {
        most_of(&self.samples, WINDOW)
    }
}

/// Returns the highest rate within any window of this length, per second. A shorter measurement counts as a whole.
pub(crate) fn most_of(samples: &[(Instant, u64)], window: Duration) -> f64 {
    let mut most = 0.0_f64;
    let mut from = 0;
    for (at, bytes) in samples {
        while *at - samples[from].0 > window {
            from += 1;
        }
        // The sample before the window is too early, and this one is too late. The longer of the two
        // intervals is used.
        let (began, before) = samples[from.saturating_sub(1)];
        most = most.max((bytes - before) as f64 / (*at - began).max(window).as_secs_f64());
    }
    most
}

/// The window over which a rate limit is checked.
const WINDOW: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_within_the_window_counts_and_a_short_run_is_not_blown_up() {
        let start = Instant::now();
        let at = |millis: u64, bytes: u64| (start + Duration::from_millis(millis), bytes);
        let seconds = Duration::from_secs(5);
        let steady: Vec<_> = (0..200).map(|step| at(step * 50, step * 50)).collect();
        assert!((most_of(&steady, seconds) - 1000.0).abs() < 20.0);
        let burst = [at(0, 0), at(4000, 0), at(4050, 10_000), at(20_000, 10_000)];
        assert!((most_of(&burst, seconds) - 2000.0).abs() < 50.0);
    }
}
