//! Pacing of offset queries: how many requests a broker gets at a time, and when a failed one is retried.
//!
//! Not here: which queries go into a request (`pending`).

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use crate::{kafka::backoff::Backoff, partition::TopicPartition};

/// Brokers with requests in flight, and brokers and partitions that back off after a failure.
#[derive(Default)]
pub(super) struct QueryPacer {
    brokers: HashMap<i32, BrokerPacing>,
    partitions: HashMap<TopicPartition, RetryBackoff>,
}

/// Kind of a request. Bounds are sent before times. One request holds many of them, so a few requests are enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum QueryClass {
    Bounds,
    Times,
}

#[derive(Default)]
struct BrokerPacing {
    /// Requests for bounds in flight.
    bounds: usize,
    /// Requests for times in flight.
    times: usize,
    /// When the broker last answered.
    last_answer: Option<Instant>,
    /// Set while the broker does not answer. Until it does, it gets one request at a time.
    silent: Option<SilentBroker>,
}

struct SilentBroker {
    /// A timeout of a request that was sent before this is no new failure.
    since: Instant,
    backoff: RetryBackoff,
}

struct RetryBackoff {
    backoff: Backoff,
    until: Instant,
}

impl QueryPacer {
    /// Returns whether a broker may get a request of this class now.
    pub(super) fn can_send(&self, broker: i32, class: QueryClass, now: Instant) -> bool {
        let Some(broker) = self.brokers.get(&broker) else {
            return true;
        };
        let in_flight = broker.bounds + broker.times;
        match &broker.silent {
            Some(silent) => in_flight == 0 && silent.backoff.until <= now,
            None => in_flight < IN_FLIGHT && (class == QueryClass::Times || broker.bounds < BOUNDS_IN_FLIGHT),
        }
    }

    /// Returns whether a partition is backing off now.
    pub(super) fn is_backing_off(&self, partition: &TopicPartition, now: Instant) -> bool {
        self.partitions
            .get(partition)
            .is_some_and(|backoff| now < backoff.until)
    }

    /// Records that a request was sent.
    pub(super) fn record_sent(&mut self, broker: i32, class: QueryClass) {
        *self.brokers.entry(broker).or_default().count(class) += 1;
    }

    /// Records that the broker has answered a request.
    pub(super) fn record_answer(&mut self, broker: i32, class: QueryClass, now: Instant) {
        let broker = self.brokers.entry(broker).or_default();
        *broker.count(class) -= 1;
        broker.last_answer = Some(now);
        broker.silent = None;
    }

    /// Records that the broker did not answer a request. A request sent before an earlier failure is no new evidence, and a
    /// broker that has answered anything since is slow rather than silent.
    pub(super) fn record_timeout(&mut self, broker: i32, class: QueryClass, sent: Instant, now: Instant) {
        let broker = self.brokers.entry(broker).or_default();
        *broker.count(class) -= 1;
        if broker.last_answer.is_some_and(|last_answer| sent < last_answer) {
            return;
        }
        let silent = broker.silent.get_or_insert_with(|| SilentBroker {
            since: sent,
            backoff: RetryBackoff::new(now),
        });
        if sent >= silent.since {
            silent.since = now;
            silent.backoff.extend(now);
        }
    }

    /// Records that a partition's leader refused it, or is unknown.
    pub(super) fn record_refusal(&mut self, partition: &TopicPartition, now: Instant) {
        self.partitions
            .entry(partition.clone())
            .or_insert_with(|| RetryBackoff::new(now))
            .extend(now);
    }

    /// Records that a partition's leader answered for it.
    pub(super) fn record_success(&mut self, partition: &TopicPartition) {
        self.partitions.remove(partition);
    }

    /// Returns when the next backoff ends.
    pub(super) fn next_due(&self, now: Instant) -> Option<Instant> {
        let brokers = self.brokers.values().filter_map(|broker| broker.silent.as_ref());
        let rests = brokers
            .map(|silent| &silent.backoff)
            .chain(self.partitions.values());
        rests
            .map(|backoff| backoff.until)
            .filter(|until| now < *until)
            .min()
    }
}

impl BrokerPacing {
    fn count(&mut self, class: QueryClass) -> &mut usize {
        match class {
            QueryClass::Bounds => &mut self.bounds,
            QueryClass::Times => &mut self.times,
        }
    }
}

impl RetryBackoff {
    fn new(now: Instant) -> Self {
        Self {
            backoff: Backoff::new(FIRST_DELAY, MAX_DELAY),
            until: now,
        }
    }

    fn extend(&mut self, now: Instant) {
        self.until = now + self.backoff.next_delay();
    }
}

/// Requests in flight to one broker. A broker serves the requests of one connection in order. This is enough to hide a round trip
/// of 10 ms, and few enough for the next request to wait only shortly.
pub(super) const IN_FLIGHT: usize = 64;

/// How many of these may be for bounds. Queries that arrive meanwhile go into the next request together.
const BOUNDS_IN_FLIGHT: usize = 4;

const FIRST_DELAY: Duration = Duration::from_millis(100);

/// Longest time until a leader that has recovered is asked again: less than callers wait.
const MAX_DELAY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn admitted(pacer: &mut QueryPacer, class: QueryClass, now: Instant) -> usize {
        let mut count = 0;
        while pacer.can_send(1, class, now) {
            pacer.record_sent(1, class);
            count += 1;
        }
        count
    }

    #[test]
    fn a_broker_has_a_bounded_number_of_requests_and_bounds_never_fill_it() {
        let (mut pacer, now) = (QueryPacer::default(), Instant::now());
        assert_eq!(admitted(&mut pacer, QueryClass::Bounds, now), BOUNDS_IN_FLIGHT);
        assert_eq!(
            admitted(&mut pacer, QueryClass::Times, now),
            IN_FLIGHT - BOUNDS_IN_FLIGHT
        );
        assert!(pacer.can_send(2, QueryClass::Times, now), "another broker");
        pacer.record_answer(1, QueryClass::Times, now);
        assert!(pacer.can_send(1, QueryClass::Times, now));
    }

    #[test]
    fn a_mute_broker_is_asked_one_thing_after_growing_pauses() {
        let (mut pacer, start) = (QueryPacer::default(), Instant::now());
        assert_eq!(admitted(&mut pacer, QueryClass::Times, start), IN_FLIGHT);
        let mut now = start + Duration::from_secs(2);
        for _ in 0..IN_FLIGHT {
            pacer.record_timeout(1, QueryClass::Times, start, now);
        }
        let mut pauses = Vec::new();
        for _ in 0..6 {
            let due = pacer.next_due(now).expect("a backoff");
            pauses.push((due - now).as_millis());
            assert_eq!(
                admitted(&mut pacer, QueryClass::Times, due - Duration::from_millis(1)),
                0
            );
            assert_eq!(admitted(&mut pacer, QueryClass::Bounds, due), 1);
            assert_eq!(admitted(&mut pacer, QueryClass::Times, due), 0, "one at a time");
            now = due + Duration::from_secs(2);
            pacer.record_timeout(1, QueryClass::Bounds, due, now);
        }
        assert_eq!(
            pauses,
            [100, 200, 400, 800, 1000, 1000],
            "a whole burst counts as one failure"
        );
        let due = pacer.next_due(now).expect("a backoff");
        assert_eq!(admitted(&mut pacer, QueryClass::Times, due), 1);
        pacer.record_answer(1, QueryClass::Times, due);
        assert_eq!(
            admitted(&mut pacer, QueryClass::Times, due),
            IN_FLIGHT,
            "the broker answers again"
        );
    }

    #[test]
    fn a_broker_that_is_slow_is_not_taken_for_mute() {
        let (mut pacer, sent) = (QueryPacer::default(), Instant::now());
        assert_eq!(admitted(&mut pacer, QueryClass::Times, sent), IN_FLIGHT);
        let now = sent + Duration::from_secs(2);
        pacer.record_answer(1, QueryClass::Times, now);
        pacer.record_timeout(1, QueryClass::Times, sent, now);
        assert_eq!(admitted(&mut pacer, QueryClass::Times, now), 2);
    }

    #[test]
    fn a_refused_partition_rests_alone() {
        let (mut pacer, now) = (QueryPacer::default(), Instant::now());
        let [one, other] = [0, 1].map(|partition| TopicPartition {
            topic: "t".into(),
            partition,
        });
        pacer.record_refusal(&one, now);
        assert!(pacer.is_backing_off(&one, now) && !pacer.is_backing_off(&other, now));
        assert!(!pacer.is_backing_off(&one, now + FIRST_DELAY));
        pacer.record_refusal(&one, now);
        assert!(pacer.is_backing_off(&one, now + FIRST_DELAY), "longer each time");
        pacer.record_success(&one);
        assert!(!pacer.is_backing_off(&one, now));
    }
}
