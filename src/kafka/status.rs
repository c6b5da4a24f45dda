//! The current status of a cluster: written by its threads, read by failover and the status page.
//!
//! Not here: the health of single partitions (`crate::health`).

use std::{
    collections::HashMap,
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::RwLock;

use super::identity::cluster::WrongCluster;
use crate::health::TopicFault;

/// The status of one cluster.
#[derive(Debug)]
pub struct ClusterStatus(RwLock<State>);

/// The status behind the lock.
#[derive(Debug)]
struct State {
    since: Instant,
    /// When a metadata refresh was answered last.
    answered: Option<Instant>,
    /// Whether the newest metadata refresh was not answered.
    silent: bool,
    recorded: Option<Instant>,
    wrong_cluster: Option<WrongCluster>,
    topics: HashMap<Arc<str>, Leadership>,
}

/// Whether a topic has leaders, as the last metadata refresh showed.
#[derive(Debug, Default)]
struct Leadership {
    /// Whether any of its partitions has a leader now.
    led: bool,
    /// When one of its partitions last had a leader.
    led_at: Option<Instant>,
    /// Why the cluster described nothing of the topic; `None` if it did.
    fault: Option<TopicFault>,
}

/// Why a cluster cannot serve some topics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnavailableReason {
    /// The brokers belong to another cluster.
    WrongCluster(WrongCluster),
    /// No broker has answered for this long.
    NoAnswer(Duration),
    /// None of the topics' partitions has a leader.
    Leaderless,
    /// The cluster has none of the topics, or does not let us see them. This is one of them.
    Topic(Arc<str>, TopicFault),
    /// The first metadata refresh is still under way.
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
        }))
    }
}

impl ClusterStatus {
    /// Returns why the cluster cannot serve these topics; `None` when at least one of their partitions has a leader.
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

    /// Returns when the cluster was last seen to serve one of these topics; `None` if it never was.
    pub fn served_at(&self, topics: &[Arc<str>]) -> Option<Instant> {
        let state = self.0.read();
        let led = topics.iter().filter_map(|topic| state.topics.get(topic)?.led_at);
        // While no refresh is answered, records may still arrive: such a cluster lacks only its metadata.
        led.chain(state.recorded.filter(|_| state.silent)).max()
    }

    /// Returns when the tail last read a record.
    pub fn recorded_at(&self) -> Option<Instant> {
        self.0.read().recorded
    }

    /// Records that the right cluster answered a metadata refresh.
    pub(super) fn record_answer(&self) {
        let mut state = self.0.write();
        state.answered = Some(Instant::now());
        state.silent = false;
        state.wrong_cluster = None;
    }

    /// Records that no broker answered a metadata refresh.
    pub(super) fn record_no_answer(&self) {
        self.0.write().silent = true;
    }

    /// Records that another cluster answered.
    pub(super) fn set_wrong_cluster(&self, wrong_cluster: WrongCluster) {
        self.0.write().wrong_cluster = Some(wrong_cluster);
    }

    /// Records whether any partition of this topic has a leader, as a metadata refresh showed.
    pub(super) fn set_led(&self, topic: &Arc<str>, led: bool) {
        let mut state = self.0.write();
        let topic = state.topics.entry(Arc::clone(topic)).or_default();
        topic.led = led;
        topic.fault = None;
        if led {
            topic.led_at = Some(Instant::now());
        }
    }

    /// Records that a metadata refresh did not show this topic, and why.
    pub(super) fn set_topic_fault(&self, topic: &Arc<str>, fault: TopicFault) {
        let mut state = self.0.write();
        let topic = state.topics.entry(Arc::clone(topic)).or_default();
        topic.led = false;
        topic.fault = Some(fault);
    }

    /// Forgets a topic that is not read any more.
    pub(super) fn forget_topic(&self, topic: &str) {
        self.0.write().topics.remove(topic);
    }

    /// Records that the tail has read a record.
    pub(super) fn record_read(&self) {
        self.0.write().recorded = Some(Instant::now());
    }
}

impl fmt::Display for UnavailableReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongCluster(wrong_cluster) => wrong_cluster.fmt(f),
            Self::NoAnswer(since) => write!(f, "no broker has answered for {} s", since.as_secs()),
            Self::Leaderless => f.write_str("no partition has a leader"),
            Self::Topic(topic, TopicFault::Missing) => write!(f, "the cluster has no topic {topic}"),
            Self::Topic(topic, _) => write!(f, "access to topic {topic} is denied"),
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
