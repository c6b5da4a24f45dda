//! Detection of stale answers: answers that are behind what the tail has read, because the history readers use a leader that was
//! cut off from the other brokers.
//!
//! Such a leader continues to answer without an error. librdkafka refreshes its metadata from the broker that it used last, which
//! may be that leader every time. New clients start with the metadata of other brokers.
//!
//! Not here: replacing the clients (`pool`).

use std::{
    collections::HashMap,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use crate::partition::TopicPartition;

/// The partitions whose last answer was behind the tail.
#[derive(Debug, Default)]
pub(super) struct StaleAnswers {
    /// Whether there are any, so that the usual check takes no lock.
    any: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// When each was first and last found stale.
    behind: HashMap<TopicPartition, (Instant, Instant)>,
    /// When the clients were last replaced.
    last_replacement: Option<Instant>,
}

impl StaleAnswers {
    /// Forgets a topic that is not read any more.
    pub(super) fn forget_topic(&self, topic: &str) {
        let mut state = self.state.lock();
        state.behind.retain(|partition, _| *partition.topic != *topic);
    }

    /// Records an answer that is behind the tail. Returns whether the clients should be replaced.
    pub(super) fn record_stale(&self, partition: &TopicPartition, now: Instant) -> bool {
        let mut state = self.state.lock();
        self.any.store(true, Ordering::Relaxed);
        let (first, last) = state.behind.entry(partition.clone()).or_insert((now, now));
        if now.saturating_duration_since(*last) > FORGET_AFTER {
            *first = now;
        }
        *last = now;
        let persists = now.saturating_duration_since(*first) >= TOLERATED_FOR;
        let is_recent = state
            .last_replacement
            .is_some_and(|at| now < at + REPLACE_INTERVAL);
        if !persists || is_recent {
            return false;
        }
        state.last_replacement = Some(now);
        state.behind.clear();
        true
    }

    /// Records an answer that is not behind the tail.
    pub(super) fn record_fresh(&self, partition: &TopicPartition) {
        if !self.any.load(Ordering::Relaxed) {
            return;
        }
        let mut state = self.state.lock();
        state.behind.remove(partition);
        self.any.store(!state.behind.is_empty(), Ordering::Relaxed);
    }
}

/// Stale answers are tolerated this long: a leader that was just elected may report an end that lags by one fetch of its
/// followers.
const TOLERATED_FOR: Duration = Duration::from_secs(2);

/// A stale answer older than this does not count together with a new one.
const FORGET_AFTER: Duration = Duration::from_secs(10);

/// Time that new clients get to connect and refresh their metadata before they are replaced in turn.
const REPLACE_INTERVAL: Duration = Duration::from_secs(5);

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
        // The new clients' answers are stale as well, but their time is not over.
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
