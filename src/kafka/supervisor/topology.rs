//! Applies a metadata refresh: what it changes of topics and their partitions, and which topics are read.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use rdkafka::types::RDKafkaErrorCode;

use super::{
    Supervisor,
    event::Topology,
    topics::{PartitionState, TailStart, is_absent},
};
use crate::{
    health::TopicFault,
    kafka::{client::raw::TopicInfo, faults},
    position::LogTag,
};

impl Supervisor {
    /// Activates these topics from their ends on. Older positions are served from history.
    pub(super) fn activate_topics(&mut self, topics: &[Arc<str>]) {
        for topic in self
            .topics
            .iter_mut()
            .filter(|topic| topics.contains(&topic.name))
        {
            topic.set_active(true);
            self.shared.health.set_active(true);
            let reachable = !self.outage.is_reported();
            self.shared.directory.set_reachable(&topic.name, reachable);
        }
        if let Some(topology) = self.topology.clone() {
            self.apply_topology(&topology);
        }
        self.refresh_metadata();
    }

    pub(super) fn release_topics(&mut self, topics: &[Arc<str>]) {
        for at in 0..self.topics.len() {
            if !topics.contains(&self.topics[at].name) {
                continue;
            }
            for number in 0..self.topics[at].partitions.len() {
                self.stop(at, number);
            }
            self.topics[at].set_active(false);
            self.shared.health.forget(&self.topics[at].name);
            for log in self.shared.directory.remove_logs(&self.topics[at].name) {
                self.pool.forget(&log);
            }
        }
        let active = self.topics.iter().any(|topic| topic.active);
        self.shared.health.set_active(active);
    }

    pub(super) fn apply_topology(&mut self, topology: &Topology) {
        self.shared
            .health
            .record_topology(&topology.cluster_id, Instant::now());
        for (at, info) in topology.topics.iter().enumerate() {
            match info {
                Ok(info) => self.apply_topic(at, &topology.cluster_id, info),
                // Partitions that appear from now on are newer than our start. The old logs stay until another topic has the
                // name.
                Err(code) if is_absent(*code) => {
                    self.topics[at].seen = true;
                    self.report_topic_fault(at, TopicFault::Missing, *code);
                    self.note_missing(at, Instant::now());
                }
                Err(code @ RDKafkaErrorCode::TopicAuthorizationFailed) => {
                    self.report_topic_fault(at, TopicFault::Denied, *code);
                }
                // Health reports it if it persists.
                Err(code) => self.report_topic_fault(at, TopicFault::Refused, *code),
            }
        }
    }

    fn apply_topic(&mut self, at: usize, cluster_id: &str, info: &TopicInfo) {
        let topic = &mut self.topics[at];
        topic.missing_since = None;
        if topic.retired_ids.contains(&info.id) {
            return;
        }
        self.shared.leaders.set(&topic.name, &info.leaders);
        let led = info.leaders.iter().any(Option::is_some);
        self.shared.status.set_led(&topic.name, led);
        if !topic.active {
            return;
        }
        self.shared
            .health
            .set_leaders(&topic.name, &info.leaders, Instant::now());
        self.shared
            .directory
            .set_partition_count(&topic.name, info.leaders.len() as i32);
        let recreated = topic.id.is_some_and(|id| id != info.id);
        let from = if topic.seen {
            TailStart::Start
        } else {
            TailStart::End
        };
        topic.seen = true;
        let tag = LogTag::new(cluster_id, &info.id);
        if recreated {
            self.recreate(at, tag, info.leaders.len());
        }
        // Only now: what a panic leaves half done is done again at the next refresh.
        let topic = &mut self.topics[at];
        topic.retired_ids.extend(topic.id.filter(|_| recreated));
        topic.id = Some(info.id);
        let known = self.topics[at].partitions.len();
        for partition in known..info.leaders.len() {
            let added = PartitionState::new(tag, from);
            self.topics[at].partitions.push(added);
            self.query_bounds(at, partition, from);
        }
    }

    /// Switches to the new topic of this name: from here on, other logs are read. The old log of a partition that the new topic
    /// lacks stays, and is not appended to.
    fn recreate(&mut self, at: usize, tag: LogTag, partitions: usize) {
        let topic = &self.topics[at];
        tracing::warn!(
            cluster = %self.shared.cluster, topic = %topic.name, log = %tag,
            "the topic was deleted and created again; its partitions are read from their start"
        );
        for number in 0..topic.partitions.len() {
            self.stop(at, number);
        }
        self.drop_pages(at);
        self.topics[at].partitions.truncate(partitions);
        for number in 0..self.topics[at].partitions.len() {
            self.topics[at].partitions[number].tag = tag;
            self.query_bounds(at, number, TailStart::Start);
        }
    }

    /// Handles that the brokers report no such topic. A broker that has just started may not know it yet. If the report
    /// persists, nothing that was read of the topic is served any more.
    fn note_missing(&mut self, at: usize, now: Instant) {
        let since = *self.topics[at].missing_since.get_or_insert(now);
        if now - since >= DELETED_AFTER {
            self.drop_pages(at);
        }
    }

    /// Drops everything that is in memory of a topic. If its records exist all the same, the next fetch says so.
    fn drop_pages(&self, at: usize) {
        for log in self.topics[at].logs() {
            self.shared.directory.set_start(log, log.next());
        }
    }

    fn report_topic_fault(&self, at: usize, fault: TopicFault, code: RDKafkaErrorCode) {
        let topic = &self.topics[at];
        if fault != TopicFault::Refused {
            self.shared.status.set_topic_fault(&topic.name, fault);
        }
        if topic.active {
            if fault == TopicFault::Missing {
                self.shared.directory.set_absent(&topic.name);
            }
            let name = faults::name(code);
            self.shared
                .health
                .refuse_topic(&topic.name, fault, &name, Instant::now());
        }
    }

    fn stop(&self, at: usize, number: usize) {
        if let Some(session) = &self.session {
            session.tail.stop(self.topics[at].partition(number));
        }
    }
}

/// How long the brokers must report that there is no such topic before it counts as deleted.
const DELETED_AFTER: Duration = Duration::from_secs(3);
