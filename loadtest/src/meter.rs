//! What brokers send, second by second.

use std::time::{Duration, Instant};

use riverhead_brokers::Cluster;

/// Samples of what the proxies of a cluster have forwarded to its clients.
pub struct Meter<'a> {
    cluster: &'a Cluster,
    samples: Vec<(Instant, u64)>,
}

impl<'a> Meter<'a> {
    /// Begins to count.
    pub fn start(cluster: &'a Cluster) -> Self {
        let mut meter = Self {
            cluster,
            samples: Vec::new(),
        };
        meter.look();
        meter
    }

    /// Takes a sample: do so many times a second.
    pub fn look(&mut self) {
        self.samples
            .push((Instant::now(), self.cluster.client_counts().to_client));
    }

    /// How many bytes came.
    pub fn bytes(&self) -> u64 {
        match &self.samples[..] {
            [first, .., last] => last.1 - first.1,
            _ => 0,
        }
    }

    /// The most bytes of any five seconds, a second; of all of it, if it is shorter than that.
    pub fn peak(&self) -> f64 {
        most_of(&self.samples, WINDOW)
    }
}

fn most_of(samples: &[(Instant, u64)], window: Duration) -> f64 {
    let mut most = 0.0_f64;
    let mut from = 0;
    for (at, bytes) in samples {
        while *at - samples[from].0 > window {
            from += 1;
        }
        // The sample before the window begins too early, and this one too late: of the two the longer stretch is taken.
        let (began, before) = samples[from.saturating_sub(1)];
        most = most.max((bytes - before) as f64 / (*at - began).max(window).as_secs_f64());
    }
    most
}

/// What a limit of a rate is held to.
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
