//! How many events of each topic come, over the last minute and the last hour.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use serde::Serialize;
use tokio::time::Instant;

/// Events a second, on average.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct EventRate {
    /// Over the last minute, or since the start if that is less. `None` in the first seconds.
    pub minute: Option<f64>,
    /// Over the last hour, or since the start if that is less. `None` in the first seconds.
    pub hour: Option<f64>,
}

impl EventRate {
    /// Returns the rate of two topics together. A topic of which nothing is known adds nothing.
    pub(super) fn plus(self, other: Self) -> Self {
        let sum = |one: Option<f64>, other: Option<f64>| match (one, other) {
            (Some(one), Some(other)) => Some(one + other),
            (one, other) => one.or(other),
        };
        Self {
            minute: sum(self.minute, other.minute),
            hour: sum(self.hour, other.hour),
        }
    }
}

/// The numbers of events that each topic had got at some moments of the last hour.
#[derive(Debug, Default)]
pub(super) struct RateMeter {
    minute: Window,
    hour: Window,
}

impl RateMeter {
    /// Records how many events each topic has got by now. To be called every [`SAMPLE_EVERY`].
    pub(super) fn sample(&mut self, counts: &[(Arc<str>, u64)], now: Instant) {
        self.minute.sample(counts, now, SAMPLE_EVERY, MINUTE_SAMPLES);
        self.hour.sample(counts, now, HOUR_SAMPLE_EVERY, HOUR_SAMPLES);
    }

    /// Returns the rate of a topic that has got `count` events by now.
    pub(super) fn of(&self, topic: &str, count: u64, now: Instant) -> EventRate {
        let minute = self.minute.rate(topic, count, now);
        EventRate {
            minute,
            // A topic that has come since the last sample of the hour has been there for less than a minute.
            hour: self.hour.rate(topic, count, now).or(minute),
        }
    }
}

/// Samples at equal distances. A topic that came later has fewer of them, and always the newest.
#[derive(Debug, Default)]
struct Window {
    times: VecDeque<Instant>,
    counts: HashMap<Arc<str>, VecDeque<u64>>,
}

impl Window {
    /// Adds a sample if the last one is at least `every` old. Keeps `most` samples, and forgets topics that are gone.
    fn sample(&mut self, counts: &[(Arc<str>, u64)], now: Instant, every: Duration, most: usize) {
        // Ticks come a little late, and the next one not so late.
        let due = |last: &Instant| now.duration_since(*last) + TOLERANCE >= every;
        if !self.times.back().is_none_or(due) {
            return;
        }
        push_bounded(&mut self.times, now, most);
        let mut before = std::mem::take(&mut self.counts);
        self.counts.reserve(counts.len());
        for (topic, count) in counts {
            let mut samples = before.remove(topic).unwrap_or_default();
            push_bounded(&mut samples, *count, most);
            self.counts.insert(Arc::clone(topic), samples);
        }
    }

    fn rate(&self, topic: &str, count: u64, now: Instant) -> Option<f64> {
        let samples = self.counts.get(topic)?;
        let since = self.times.get(self.times.len() - samples.len())?;
        let elapsed = now.duration_since(*since);
        let events = count.saturating_sub(*samples.front()?);
        let per_second = events as f64 / elapsed.as_secs_f64();
        // A thousandth of an event: more digits mean nothing.
        (elapsed >= SAMPLE_EVERY).then(|| (per_second * 1000.0).round() / 1000.0)
    }
}

fn push_bounded<T>(samples: &mut VecDeque<T>, sample: T, most: usize) {
    if samples.len() >= most {
        samples.pop_front();
    }
    samples.push_back(sample);
}

/// How often the counts are sampled. The minute is measured over 60 to 70 s.
pub(super) const SAMPLE_EVERY: Duration = Duration::from_secs(10);

/// The samples of a minute: one at each end.
const MINUTE_SAMPLES: usize = 7;

/// How often the counts are sampled for the hour.
const HOUR_SAMPLE_EVERY: Duration = Duration::from_secs(60);

/// The samples of an hour: one at each end.
const HOUR_SAMPLES: usize = 61;

/// How much less than its distance from the last one a sample may come. Less than half of [`SAMPLE_EVERY`].
const TOLERANCE: Duration = Duration::from_secs(4);

#[cfg(test)]
mod tests {
    use super::*;

    /// Samples a topic that gets `rate` events a second for so many seconds, and returns its rate then.
    fn run(meter: &mut RateMeter, from: Instant, count: &mut u64, seconds: u64, rate: u64) -> EventRate {
        let steps = seconds / SAMPLE_EVERY.as_secs();
        for step in 0..steps {
            meter.sample(&[("t".into(), *count)], from + SAMPLE_EVERY * step as u32);
            *count += rate * SAMPLE_EVERY.as_secs();
        }
        meter.of("t", *count, from + SAMPLE_EVERY * steps as u32)
    }

    #[test]
    fn a_rate_is_that_of_the_time_there_was_and_then_of_the_last_minute_and_hour() {
        let (mut meter, mut count, start) = (RateMeter::default(), 0, Instant::now());
        assert_eq!(meter.of("t", 7, start), EventRate::default());
        meter.sample(&[("t".into(), 0)], start);
        assert_eq!(
            meter.of("t", 7, start),
            EventRate::default(),
            "no time has passed"
        );

        let rate = run(&mut meter, start, &mut count, 600, 5);
        assert_eq!((rate.minute, rate.hour), (Some(5.0), Some(5.0)));
        let later = start + Duration::from_secs(600);
        let rate = run(&mut meter, later, &mut count, 1800, 0);
        assert_eq!((rate.minute, rate.hour), (Some(0.0), Some(1.25)));
        let later = later + Duration::from_secs(1800);
        let rate = run(&mut meter, later, &mut count, 7200, 100);
        assert_eq!(
            (rate.minute, rate.hour),
            (Some(100.0), Some(100.0)),
            "all else is over"
        );
    }

    #[test]
    fn a_topic_that_comes_later_has_both_rates_after_ten_seconds() {
        let (mut meter, start) = (RateMeter::default(), Instant::now());
        meter.sample(&[], start);
        let later = start + SAMPLE_EVERY;
        meter.sample(&[("t".into(), 0)], later);
        let rate = meter.of("t", 50, later + SAMPLE_EVERY);
        assert_eq!((rate.minute, rate.hour), (Some(5.0), Some(5.0)));
    }

    #[test]
    fn what_is_kept_is_bounded_and_a_topic_that_is_gone_is_forgotten() {
        let (mut meter, mut count, start) = (RateMeter::default(), 0, Instant::now());
        run(&mut meter, start, &mut count, 10_000, 1);
        assert_eq!(meter.minute.times.len(), MINUTE_SAMPLES);
        assert_eq!(meter.hour.times.len(), HOUR_SAMPLES);
        let later = start + Duration::from_secs(10_060);
        meter.sample(&[("new".into(), 3)], later);
        assert_eq!(meter.of("t", count, later), EventRate::default());
        let now = later + Duration::from_secs(20);
        assert_eq!(
            meter.of("new", 63, now).minute,
            Some(3.0),
            "of the 20 s that it is there"
        );
    }

    #[test]
    fn topics_add_up_and_one_that_nothing_is_known_of_adds_nothing() {
        let one = EventRate {
            minute: Some(1.5),
            hour: None,
        };
        let other = EventRate {
            minute: Some(2.0),
            hour: Some(4.0),
        };
        let sum = EventRate {
            minute: Some(3.5),
            hour: Some(4.0),
        };
        assert_eq!(one.plus(EventRate::default()).plus(other), sum);
    }
}
