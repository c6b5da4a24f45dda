//! Applies a metadata refresh to topics and their partitions, and activates or releases topics.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use rdkafka::types::RDKafkaErrorCode;

use super::{
    Supervisor,
    event::Topology,
    topics::{PartitionState, TailStart, TopicState, is_absent},
};
use crate::{
    health::TopicFault,
    kafka::{client::raw::TopicInfo, faults},
    position::LogTag,
};

impl Supervisor {
    /// Activates these topics from their ends on. Older positions are served from history.
    pub(super) fn activate_topics(&mut self, topics: &[Arc<str>]) {
        let topics: HashSet<_> = topics.iter().collect();
        let activated = self.topics.iter_mut().filter(|it| topics.contains(&it.name));
        for topic in activated {
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

    /// Stops reading these topics and removes their logs.
    pub(super) fn release_topics(&mut self, topics: &[Arc<str>]) {
        let topics: HashSet<_> = topics.iter().collect();
        for index in 0..self.topics.len() {
            if !topics.contains(&self.topics[index].name) {
                continue;
            }
            for number in 0..self.topics[index].partitions.len() {
                self.stop(index, number);
            }
            self.topics[index].set_active(false);
            self.shared.health.forget(&self.topics[index].name);
            for log in self.shared.directory.remove_logs(&self.topics[index].name) {
                self.pool.forget(&log);
            }
        }
        let active = self.topics.iter().any(|topic| topic.active);
        self.shared.health.set_active(active);
    }

    /// Applies the result of a metadata refresh.
    pub(super) fn apply_topology(&mut self, topology: &Topology) {
        let health = &self.shared.health;
        health.record_topology(&topology.cluster_id, Instant::now());
        for (hint, (topic, info)) in topology.topics.iter().enumerate() {
            // A topic that is not read any more.
            let Some(index) = self.index_of(topic, hint) else {
                continue;
            };
            match info {
                Ok(info) => self.apply_topic(index, &topology.cluster_id, info),
                // Partitions that appear from now on are newer than our start. The old logs stay until another topic has the
                // name.
                Err(code) if is_absent(*code) => {
                    self.topics[index].seen = true;
                    self.report_topic_fault(index, TopicFault::Missing, *code);
                    self.note_missing(index, Instant::now());
                }
                Err(code @ RDKafkaErrorCode::TopicAuthorizationFailed) => {
                    self.report_topic_fault(index, TopicFault::Denied, *code);
                }
                // Health reports it if it persists.
                Err(code) => self.report_topic_fault(index, TopicFault::Refused, *code),
            }
        }
    }

    /// Returns the index of a topic, which mostly is `hint`. Returns `None` if the topic is not read.
    fn index_of(&self, topic: &str, hint: usize) -> Option<usize> {
        let is_it = |own: &TopicState| *own.name == *topic;
        match self.topics.get(hint) {
            Some(own) if is_it(own) => Some(hint),
            _ => self.topics.iter().position(is_it),
        }
    }

    /// Applies what a refresh showed of one topic.
    fn apply_topic(&mut self, index: usize, cluster_id: &str, info: &TopicInfo) {
        let (health, directory) = (&self.shared.health, &self.shared.directory);
        let (topic, leaders) = (&mut self.topics[index], &info.leaders);
        topic.missing_since = None;
        if topic.retired_ids.contains(&info.id) {
            return;
        }
        self.shared.leaders.set(&topic.name, leaders);
        let led = leaders.iter().any(Option::is_some);
        self.shared.status.set_led(&topic.name, led);
        if !topic.active {
            return;
        }
        health.set_leaders(&topic.name, leaders, Instant::now());
        directory.set_partition_count(&topic.name, leaders.len() as i32);
        let recreated = topic.id.is_some_and(|id| id != info.id);
        let from = match std::mem::replace(&mut topic.seen, true) {
            true => TailStart::Start,
            false => TailStart::End,
        };
        let tag = LogTag::new(cluster_id, &info.id);
        if recreated {
            self.recreate(index, tag, info.leaders.len());
        }
        // Set only now: a change that a panic leaves half done is done again at the next refresh.
        let topic = &mut self.topics[index];
        topic.retired_ids.extend(topic.id.filter(|_| recreated));
        topic.id = Some(info.id);
        let known = self.topics[index].partitions.len();
        for partition in known..info.leaders.len() {
            let added = PartitionState::new(tag, from);
            self.topics[index].partitions.push(added);
            self.query_bounds(index, partition, from);
        }
    }

    /// Switches to the new topic of this name: from here on, other logs are read. The old log of a partition that the new topic
    /// lacks stays, and is not appended to.
    fn recreate(&mut self, index: usize, tag: LogTag, partitions: usize) {
        let topic = &self.topics[index];
        tracing::warn!(
            cluster = %self.shared.cluster, topic = %topic.name, log = %tag,
            "the topic was deleted and created again; its partitions are read from their start"
        );
        for number in 0..topic.partitions.len() {
            self.stop(index, number);
        }
        self.drop_pages(index);
        self.topics[index].partitions.truncate(partitions);
        for number in 0..self.topics[index].partitions.len() {
            self.topics[index].partitions[number].tag = tag;
            self.query_bounds(index, number, TailStart::Start);
        }
    }

    /// Handles that the brokers report no such topic. A broker that has just started may not know it yet. If the report
    /// persists, nothing that was read of the topic is served any more.
    fn note_missing(&mut self, index: usize, now: Instant) {
        let since = *self.topics[index].missing_since.get_or_insert(now);
        if now - since >= DELETED_AFTER {
            self.drop_pages(index);
        }
    }

    /// Drops everything that is in memory of a topic. If its records exist all the same, the next fetch says so.
    fn drop_pages(&self, index: usize) {
        for log in self.topics[index].logs() {
            self.shared.directory.set_start(log, log.next());
        }
    }

    /// Records why a refresh did not show a topic.
    fn report_topic_fault(&self, index: usize, fault: TopicFault, code: RDKafkaErrorCode) {
        let topic = &self.topics[index];
        if fault != TopicFault::Refused {
            self.shared.status.set_topic_fault(&topic.name, fault);
        }
        if topic.active {
            if fault == TopicFault::Missing {
                self.shared.directory.set_absent(&topic.name);
            }
            let (health, error) = (&self.shared.health, faults::name(code));
            health.refuse_topic(&topic.name, fault, &error, Instant::now());
        }
    }

    pub(super) fn stop(&self, index: usize, number: usize) {
        if let Some(session) = &self.session {
            session.tail.stop(self.topics[index].partition(number));
        }
    }
}

/// How long the brokers must report that there is no such topic before it counts as deleted.
const DELETED_AFTER: Duration = Duration::from_secs(3);
