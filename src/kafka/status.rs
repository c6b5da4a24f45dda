//! What is known of a cluster now: written by its threads, read by whoever decides or tells.

use std::{
    collections::HashMap,
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::RwLock;

use super::identity::cluster::WrongCluster;
use crate::health::TopicFault;

/// The state of one cluster.
#[derive(Debug)]
pub struct ClusterStatus(RwLock<State>);

#[derive(Debug)]
struct State {
    since: Instant,
    /// When a look was answered last, and whether the newest was.
    answered: Option<Instant>,
    silent: bool,
    recorded: Option<Instant>,
    wrong_cluster: Option<WrongCluster>,
    topics: HashMap<Arc<str>, Leadership>,
    log_append_time_topics: Vec<Arc<str>>,
}

/// Who leads a topic, as the newest look showed.
#[derive(Debug, Default)]
struct Leadership {
    /// Whether any of its partitions has a leader.
    led: bool,
    /// When one of them had a leader last.
    led_at: Option<Instant>,
    /// Why the cluster told nothing of it, if it did not.
    fault: Option<TopicFault>,
}

/// Why a cluster cannot serve some topics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnavailableReason {
    /// The brokers are those of another cluster.
    WrongCluster(WrongCluster),
    /// No broker has answered for so long.
    NoAnswer(Duration),
    /// None of the topics' partitions has a leader.
    Leaderless,
    /// The cluster has none of the topics, or does not let us see them; this is one.
    Topic(Arc<str>, TopicFault),
    /// The first look is still under way.
    Starting,
}

impl Default for ClusterStatus {
    fn default() -> Self {
        Self(RwLock::new(State {
            since: Instant::now(),
            answered: None,
            silent: false,
            recorded: None,
            wrong_cluster: None,
            topics: HashMap::new(),
            log_append_time_topics: Vec::new(),
        }))
    }
}

impl ClusterStatus {
    /// What is wrong with the cluster for those who want these topics; `None` when at least one of their partitions has a
    /// leader that brokers tell of.
    pub fn unavailable_reason(&self, topics: &[Arc<str>]) -> Option<UnavailableReason> {
        let state = self.0.read();
        if let Some(wrong_cluster) = &state.wrong_cluster {
            return Some(UnavailableReason::WrongCluster(wrong_cluster.clone()));
        }
        if state.silent {
            let since = state.answered.unwrap_or(state.since);
            return Some(UnavailableReason::NoAnswer(since.elapsed()));
        }
        if state.answered.is_none() {
            return Some(UnavailableReason::Starting);
        }
        let led = |topic| state.topics.get(topic).is_some_and(|topic| topic.led);
        if topics.iter().any(led) {
            return None;
        }
        let refused = topics.iter().find_map(|topic| {
            let fault = state.topics.get(topic)?.fault?;
            Some(UnavailableReason::Topic(Arc::clone(topic), fault))
        });
        Some(refused.unwrap_or(UnavailableReason::Leaderless))
    }

    /// When the cluster was last seen to serve one of these topics; `None` when it never was.
    pub fn served_at(&self, topics: &[Arc<str>]) -> Option<Instant> {
        let state = self.0.read();
        let led = topics.iter().filter_map(|topic| state.topics.get(topic)?.led_at);
        // Records still come although no look is answered: a cluster that only its metadata is missing of.
        led.chain(state.recorded.filter(|_| state.silent)).max()
    }

    /// When the tail read something last.
    pub fn recorded_at(&self) -> Option<Instant> {
        self.0.read().recorded
    }

    /// The topics whose brokers set the timestamps, as far as records have shown.
    pub fn log_append_time_topics(&self) -> Vec<Arc<str>> {
        self.0.read().log_append_time_topics.clone()
    }

    /// A look was answered, by the right cluster.
    pub(super) fn record_answer(&self) {
        let mut state = self.0.write();
        state.answered = Some(Instant::now());
        state.silent = false;
        state.wrong_cluster = None;
    }

    /// A look was not answered.
    pub(super) fn record_no_answer(&self) {
        self.0.write().silent = true;
    }

    /// It was answered by another cluster.
    pub(super) fn set_wrong_cluster(&self, wrong_cluster: WrongCluster) {
        self.0.write().wrong_cluster = Some(wrong_cluster);
    }

    /// What a look showed of a topic: whether any of its partitions has a leader.
    pub(super) fn set_led(&self, topic: &Arc<str>, led: bool) {
        let mut state = self.0.write();
        let topic = state.topics.entry(Arc::clone(topic)).or_default();
        topic.led = led;
        topic.fault = None;
        if led {
            topic.led_at = Some(Instant::now());
        }
    }

    /// Notes that a look did not show this topic, and why.
    pub(super) fn set_topic_fault(&self, topic: &Arc<str>, fault: TopicFault) {
        let mut state = self.0.write();
        let topic = state.topics.entry(Arc::clone(topic)).or_default();
        topic.led = false;
        topic.fault = Some(fault);
    }

    /// The tail has read something.
    pub(super) fn record_read(&self) {
        self.0.write().recorded = Some(Instant::now());
    }

    /// A record of this topic bears its broker's time.
    pub(super) fn add_log_append_time_topic(&self, topic: &Arc<str>) {
        let mut state = self.0.write();
        if !state.log_append_time_topics.contains(topic) {
            state.log_append_time_topics.push(Arc::clone(topic));
        }
    }
}

impl fmt::Display for UnavailableReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongCluster(wrong_cluster) => wrong_cluster.fmt(f),
            Self::NoAnswer(since) => write!(f, "no broker has answered for {} s", since.as_secs()),
            Self::Leaderless => f.write_str("no partition has a leader"),
            Self::Topic(topic, TopicFault::Missing) => write!(f, "it has no topic {topic}"),
            Self::Topic(topic, _) => write!(f, "topic {topic} is not allowed to us"),
            Self::Starting => f.write_str("no broker has answered yet"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_serves_topics_as_long_as_one_of_their_partitions_has_a_leader() {
        let status = ClusterStatus::default();
        let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
        let both = [a.clone(), b.clone()];
        assert_eq!(
            status.unavailable_reason(&both),
            Some(UnavailableReason::Starting)
        );
        status.record_answer();
        status.set_led(&a, true);
        status.set_led(&b, false);
        assert_eq!(status.unavailable_reason(&both), None);
        assert_eq!(
            status.unavailable_reason(std::slice::from_ref(&b)),
            Some(UnavailableReason::Leaderless)
        );
        assert!(status.served_at(&both).is_some());
        assert_eq!(status.served_at(std::slice::from_ref(&b)), None);
        status.set_led(&a, false);
        assert_eq!(
            status.unavailable_reason(&both),
            Some(UnavailableReason::Leaderless)
        );
        assert!(status.served_at(&both).is_some(), "it was seen to once");
    }

    #[test]
    fn records_count_as_service_only_while_no_look_says_otherwise() {
        let status = ClusterStatus::default();
        let topics = ["a".into()];
        status.record_answer();
        status.record_read();
        assert_eq!(status.served_at(&topics), None);
        status.record_no_answer();
        assert!(status.served_at(&topics).is_some());
        assert!(matches!(
            status.unavailable_reason(&topics),
            Some(UnavailableReason::NoAnswer(_))
        ));
    }
}
