//! Answers that are behind what the tail has read: the readers believe a leader that was cut off from the others.
//!
//! Such a leader goes on answering without an error, and librdkafka asks who leads of the broker that it used last, which may be
//! that one every time. Clients that are opened anew begin with what other brokers say.

use std::{
    collections::HashMap,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use crate::partition::TopicPartition;

/// The partitions whose newest answer was behind the tail.
#[derive(Debug, Default)]
pub(super) struct StaleAnswers {
    /// Whether there are any: the usual look costs no lock.
    any: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// When each was first and last found behind.
    behind: HashMap<TopicPartition, (Instant, Instant)>,
    renewed: Option<Instant>,
}

impl StaleAnswers {
    /// Notes an answer that is behind the tail; returns whether the clients that give such answers should be replaced.
    pub(super) fn record_stale(&self, partition: &TopicPartition, now: Instant) -> bool {
        let mut state = self.state.lock();
        self.any.store(true, Ordering::Relaxed);
        let (first, last) = state.behind.entry(partition.clone()).or_insert((now, now));
        if now.saturating_duration_since(*last) > FORGOTTEN {
            *first = now;
        }
        *last = now;
        let persists = now.saturating_duration_since(*first) >= PERSISTS;
        let rests = state.renewed.is_some_and(|at| now < at + RENEW_EVERY);
        if !persists || rests {
            return false;
        }
        state.renewed = Some(now);
        state.behind.clear();
        true
    }

    /// Notes an answer that is as new as the tail.
    pub(super) fn record_fresh(&self, partition: &TopicPartition) {
        if !self.any.load(Ordering::Relaxed) {
            return;
        }
        let mut state = self.state.lock();
        state.behind.remove(partition);
        self.any.store(!state.behind.is_empty(), Ordering::Relaxed);
    }
}

/// A leader that was just elected may tell an end that lags for as long as its followers take to fetch once.
const PERSISTS: Duration = Duration::from_secs(2);

/// What was behind so long ago is no part of what is behind now.
const FORGOTTEN: Duration = Duration::from_secs(10);

/// New clients get this long to connect and learn before they are replaced in turn.
const RENEW_EVERY: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(number: i32) -> TopicPartition {
        TopicPartition {
            topic: "edits".into(),
            partition: number,
        }
    }

    #[test]
    fn only_what_stays_behind_is_replaced_and_not_again_at_once() {
        let (stale, start) = (StaleAnswers::default(), Instant::now());
        let at = |millis| start + Duration::from_millis(millis);
        assert!(!stale.record_stale(&partition(0), at(0)));
        assert!(!stale.record_stale(&partition(0), at(1999)));
        assert!(stale.record_stale(&partition(0), at(2000)));
        // The new clients are behind as well: they get their time.
        assert!(!stale.record_stale(&partition(0), at(2100)));
        assert!(!stale.record_stale(&partition(0), at(6999)));
        assert!(stale.record_stale(&partition(0), at(7000)));
    }

    #[test]
    fn an_answer_that_is_in_step_or_long_ago_begins_the_count_anew() {
        let (stale, start) = (StaleAnswers::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(!stale.record_stale(&partition(0), at(0)));
        assert!(!stale.record_stale(&partition(1), at(0)));
        stale.record_fresh(&partition(0));
        assert!(!stale.record_stale(&partition(0), at(3)));
        assert!(stale.record_stale(&partition(1), at(3)), "each for itself");
        let stale = StaleAnswers::default();
        assert!(!stale.record_stale(&partition(0), at(0)));
        assert!(!stale.record_stale(&partition(0), at(60)));
    }
}
