//! How many requests a broker gets at a time, and when one that failed is asked again.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use crate::{kafka::backoff::Backoff, partition::TopicPartition};

/// The brokers and partitions that are being asked, or rest after a failure.
#[derive(Default)]
pub(super) struct Pace {
    brokers: HashMap<i32, Broker>,
    partitions: HashMap<TopicPartition, Rest>,
}

/// What a request is for. Bounds go before times, and are many questions in one, so a few requests do for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Bounds,
    Times,
}

#[derive(Default)]
struct Broker {
    bounds: usize,
    times: usize,
    /// When it last answered.
    heard: Option<Instant>,
    /// Since it did not answer. Until it does it is asked one thing at a time.
    silent: Option<Silent>,
}

struct Silent {
    since: Instant,
    rest: Rest,
}

struct Rest {
    backoff: Backoff,
    until: Instant,
}

impl Pace {
    /// Whether a broker may be sent a request of this class now.
    pub(super) fn admits(&self, broker: i32, class: Class, now: Instant) -> bool {
        let Some(broker) = self.brokers.get(&broker) else {
            return true;
        };
        let in_flight = broker.bounds + broker.times;
        match &broker.silent {
            Some(silent) => in_flight == 0 && silent.rest.until <= now,
            None => in_flight < IN_FLIGHT && (class == Class::Times || broker.bounds < BOUNDS_IN_FLIGHT),
        }
    }

    /// Whether a partition is left alone now.
    pub(super) fn rests(&self, partition: &TopicPartition, now: Instant) -> bool {
        self.partitions
            .get(partition)
            .is_some_and(|rest| now < rest.until)
    }

    /// A request goes out.
    pub(super) fn sent(&mut self, broker: i32, class: Class) {
        *self.brokers.entry(broker).or_default().count(class) += 1;
    }

    /// It is over, and the broker has answered.
    pub(super) fn answered(&mut self, broker: i32, class: Class, now: Instant) {
        let broker = self.brokers.entry(broker).or_default();
        *broker.count(class) -= 1;
        broker.heard = Some(now);
        broker.silent = None;
    }

    /// It is over, and the broker has not answered. What was sent before an earlier failure says nothing new, and a broker that
    /// has answered anything since is slow, not silent.
    pub(super) fn unanswered(&mut self, broker: i32, class: Class, sent: Instant, now: Instant) {
        let broker = self.brokers.entry(broker).or_default();
        *broker.count(class) -= 1;
        if broker.heard.is_some_and(|heard| sent < heard) {
            return;
        }
        let silent = broker.silent.get_or_insert_with(|| Silent {
            since: sent,
            rest: Rest::new(now),
        });
        if sent >= silent.since {
            silent.since = now;
            silent.rest.prolong(now);
        }
    }

    /// Its leader refused a partition, or is not known.
    pub(super) fn refused(&mut self, partition: &TopicPartition, now: Instant) {
        self.partitions
            .entry(partition.clone())
            .or_insert_with(|| Rest::new(now))
            .prolong(now);
    }

    /// A partition was answered for.
    pub(super) fn told(&mut self, partition: &TopicPartition) {
        self.partitions.remove(partition);
    }

    /// When the next rest is over.
    pub(super) fn next_due(&self, now: Instant) -> Option<Instant> {
        let brokers = self.brokers.values().filter_map(|broker| broker.silent.as_ref());
        let rests = brokers.map(|silent| &silent.rest).chain(self.partitions.values());
        rests.map(|rest| rest.until).filter(|until| now < *until).min()
    }
}

impl Broker {
    fn count(&mut self, class: Class) -> &mut usize {
        match class {
            Class::Bounds => &mut self.bounds,
            Class::Times => &mut self.times,
        }
    }
}

impl Rest {
    fn new(now: Instant) -> Self {
        Self {
            backoff: Backoff::new(FIRST, MOST),
            until: now,
        }
    }

    fn prolong(&mut self, now: Instant) {
        self.until = now + self.backoff.step();
    }
}

/// Requests in flight to one broker, which serves those of one connection in turn: enough that a round trip of 10 ms costs
/// nothing, and few enough that what comes next waits for little.
pub(super) const IN_FLIGHT: usize = 64;

/// Of these for bounds: what comes while they are on their way goes together in the next.
const BOUNDS_IN_FLIGHT: usize = 4;

const FIRST: Duration = Duration::from_millis(100);

/// How late it is found out at worst that a leader is back: less than what callers wait.
const MOST: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn admitted(pace: &mut Pace, class: Class, now: Instant) -> usize {
        let mut count = 0;
        while pace.admits(1, class, now) {
            pace.sent(1, class);
            count += 1;
        }
        count
    }

    #[test]
    fn a_broker_has_a_bounded_number_of_requests_and_bounds_never_fill_it() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        assert_eq!(admitted(&mut pace, Class::Bounds, now), BOUNDS_IN_FLIGHT);
        assert_eq!(
            admitted(&mut pace, Class::Times, now),
            IN_FLIGHT - BOUNDS_IN_FLIGHT
        );
        assert!(pace.admits(2, Class::Times, now), "another broker");
        pace.answered(1, Class::Times, now);
        assert!(pace.admits(1, Class::Times, now));
    }

    #[test]
    fn a_mute_broker_is_asked_one_thing_after_growing_pauses() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        assert_eq!(admitted(&mut pace, Class::Times, start), IN_FLIGHT);
        let mut now = start + Duration::from_secs(2);
        for _ in 0..IN_FLIGHT {
            pace.unanswered(1, Class::Times, start, now);
        }
        let mut pauses = Vec::new();
        for _ in 0..6 {
            let due = pace.next_due(now).expect("a rest");
            pauses.push((due - now).as_millis());
            assert_eq!(
                admitted(&mut pace, Class::Times, due - Duration::from_millis(1)),
                0
            );
            assert_eq!(admitted(&mut pace, Class::Bounds, due), 1);
            assert_eq!(admitted(&mut pace, Class::Times, due), 0, "one at a time");
            now = due + Duration::from_secs(2);
            pace.unanswered(1, Class::Bounds, due, now);
        }
        assert_eq!(
            pauses,
            [100, 200, 400, 800, 1000, 1000],
            "all of a burst are one failure"
        );
        let due = pace.next_due(now).expect("a rest");
        assert_eq!(admitted(&mut pace, Class::Times, due), 1);
        pace.answered(1, Class::Times, due);
        assert_eq!(admitted(&mut pace, Class::Times, due), IN_FLIGHT, "it is back");
    }

    #[test]
    fn a_broker_that_is_slow_is_not_taken_for_mute() {
        let (mut pace, sent) = (Pace::default(), Instant::now());
        assert_eq!(admitted(&mut pace, Class::Times, sent), IN_FLIGHT);
        let now = sent + Duration::from_secs(2);
        pace.answered(1, Class::Times, now);
        pace.unanswered(1, Class::Times, sent, now);
        assert_eq!(admitted(&mut pace, Class::Times, now), 2);
    }

    #[test]
    fn a_refused_partition_rests_alone() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        let [one, other] = [0, 1].map(|partition| TopicPartition {
            topic: "t".into(),
            partition,
        });
        pace.refused(&one, now);
        assert!(pace.rests(&one, now) && !pace.rests(&other, now));
        assert!(!pace.rests(&one, now + FIRST));
        pace.refused(&one, now);
        assert!(pace.rests(&one, now + FIRST), "longer each time");
        pace.told(&one);
        assert!(!pace.rests(&one, now));
    }
}
