//! When a cluster is healthy, and how it becomes healthy again.

use std::{collections::BTreeSet, time::Duration};

use rdkafka::consumer::Consumer;

use super::{CHANGE, Cluster};
use crate::{
    patience::eventually,
    proxy::{Fault, Proxy},
};

impl Cluster {
    /// Undoes everything that a test has done: all proxies pass, all nodes run, the topics of earlier tests
    /// are deleted, and every remaining partition has its leader and all its replicas in sync.
    ///
    /// Settings of brokers that were changed with [`Cluster::alter_broker_config`] stay.
    ///
    /// # Panics
    ///
    /// If that does not succeed within a minute.
    pub fn heal(&self) {
        self.brokers
            .values()
            .flat_map(super::Broker::proxies)
            .for_each(|proxy| proxy.set(Fault::Pass));
        if self.nodes.values().filter(|node| node.bring_back()).count() > 0 {
            self.clients.forget();
        }
        self.wait_for_all_brokers();
        self.delete_leftover_topics();
        self.wait_until_in_sync();
    }

    /// Waits until metadata lists this broker: until it is registered and not fenced.
    pub fn wait_for_broker(&self, broker: i32) {
        eventually(CHANGE, &format!("broker {broker} in service"), || {
            let live = self.live_brokers()?;
            if live.contains(&broker) {
                Ok(())
            } else {
                Err(format!("in service: {live:?}"))
            }
        });
    }

    /// Waits until metadata no longer lists this broker.
    pub fn wait_until_fenced(&self, broker: i32) {
        eventually(CHANGE, &format!("broker {broker} fenced"), || {
            let live = self.live_brokers()?;
            if live.contains(&broker) {
                // The broker that answered may be this one, which was cut off without noticing. The next
                // client asks another.
                self.clients.forget();
                Err(format!("in service: {live:?}"))
            } else {
                Ok(())
            }
        });
    }

    /// Returns the brokers that metadata lists. Fenced and dead ones are not among them.
    ///
    /// # Errors
    ///
    /// If no broker answers within a second, with the reason.
    pub fn live_brokers(&self) -> Result<BTreeSet<i32>, String> {
        let metadata = self.consumer().fetch_metadata(Some(NO_TOPIC), ANSWER);
        let metadata = metadata.map_err(|error| error.to_string())?;
        Ok(metadata.brokers().iter().map(|broker| broker.id()).collect())
    }

    /// Waits until every partition of every topic has a leader and all its replicas in sync.
    pub fn wait_until_in_sync(&self) {
        eventually(CHANGE, "all replicas in sync", || {
            let lagging: Vec<String> = self.lagging_partitions()?;
            if lagging.is_empty() {
                Ok(())
            } else {
                Err(lagging.join(", "))
            }
        });
    }

    pub(super) fn wait_for_all_brokers(&self) {
        let all: BTreeSet<i32> = self.brokers.keys().copied().collect();
        eventually(START, "all brokers in service", || {
            self.fail_if_a_node_ended();
            let live = self.live_brokers()?;
            if live == all {
                Ok(())
            } else {
                Err(format!("in service: {live:?}"))
            }
        });
    }

    fn fail_if_a_node_ended(&self) {
        let ended: Vec<i32> = self
            .nodes
            .iter()
            .filter(|(_, node)| node.has_ended())
            .map(|(id, _)| *id)
            .collect();
        assert!(
            ended.is_empty(),
            "nodes {ended:?} ended while starting:\n{}",
            self.log_tails()
        );
    }

    fn lagging_partitions(&self) -> Result<Vec<String>, String> {
        let metadata = self
            .consumer()
            .fetch_metadata(None, ANSWER)
            .map_err(|error| error.to_string())?;
        let topics = metadata.topics().iter();
        let partitions =
            topics.flat_map(|topic| topic.partitions().iter().map(move |part| (topic.name(), part)));
        let lagging =
            partitions.filter(|(_, part)| part.leader() < 0 || part.isr().len() < part.replicas().len());
        Ok(lagging
            .map(|(topic, part)| format!("{topic}-{} in sync {:?}", part.id(), part.isr()))
            .collect())
    }
}

impl super::Broker {
    fn proxies(&self) -> impl Iterator<Item = &Proxy> {
        [&self.client, &self.inter_broker]
            .into_iter()
            .chain(&self.controller)
    }
}

/// A metadata request without a topic would describe all topics, so it names one. A request for a missing
/// topic does not create it, because the brokers are configured so.
const NO_TOPIC: &str = "no-such-topic";

/// A healthy broker answers within this time, with a new connection, on a busy machine.
pub(crate) const ANSWER: Duration = Duration::from_secs(1);

/// Four JVMs take 4 s on two idle cores.
const START: Duration = Duration::from_secs(60);
