//! Other groups in the place of those that run, when streams come, change and go.
//!
//! Not here: what each cluster does about its topics (`supervisor`).

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::{Arc, atomic::Ordering},
    thread,
    time::{Duration, Instant},
};

use super::{
    group::{ActiveIndex, FailoverGroup},
    handle::{Failover, GroupMonitor},
    plan::{PlacedGroup, standby_topics},
};
use crate::{catalog::StreamGroup, kafka::connect::Cluster};

/// Groups that are about to take the place of those that run. No group is moved before this is applied or dropped.
pub struct FailoverChange {
    monitor: Arc<GroupMonitor>,
    groups: Vec<PlacedGroup>,
}

impl Failover {
    /// Plans these groups in the place of those that run. Each stays at the cluster that its topics are read from, if it lists it. A
    /// blocking call, which waits until no group is being moved.
    pub fn plan_change(&self, groups: Vec<StreamGroup>) -> FailoverChange {
        let monitor = Arc::clone(&self.monitor);
        {
            let _groups = monitor.groups.write();
            monitor.is_changing.store(true, Ordering::Release);
        }
        wait_for_moves(&monitor);
        let groups = place(&monitor, groups);
        FailoverChange { monitor, groups }
    }
}

impl FailoverChange {
    /// Returns the topics that list `cluster` but are read from another one.
    pub fn standby_topics(&self, cluster: &str) -> BTreeSet<Arc<str>> {
        standby_topics(&self.groups, cluster)
    }

    /// Puts the groups in their place. `clusters` are all clusters that they list.
    pub fn apply(mut self, clusters: &[Cluster]) {
        let groups = std::mem::take(&mut self.groups);
        let streams: HashSet<_> = groups
            .iter()
            .flat_map(|(group, _)| &group.streams)
            .cloned()
            .collect();
        let mut running = self.monitor.groups.write();
        let groups = groups
            .into_iter()
            .map(|placed| keep_or_create(&running, placed, clusters));
        let groups: Vec<_> = groups.collect();
        let routed = groups.iter().map(|group| (&group.group, &group.active));
        self.monitor.router.set(routed, clusters);
        *running = groups;
        drop(running);
        self.monitor
            .placements
            .lock()
            .retain(|stream| streams.contains(stream));
    }
}

impl Drop for FailoverChange {
    fn drop(&mut self) {
        self.monitor.is_changing.store(false, Ordering::Release);
    }
}

/// Returns the running group that shares the index of this one, or creates it.
fn keep_or_create(
    running: &[Arc<FailoverGroup>],
    placed: PlacedGroup,
    clusters: &[Cluster],
) -> Arc<FailoverGroup> {
    let same = running.iter().find(|own| own.active.is(&placed.1));
    same.map_or_else(|| Arc::new(FailoverGroup::new(placed, clusters)), Arc::clone)
}

/// Places each group at the cluster that the first of its topics is read from. A group that is as it was shares its index.
fn place(monitor: &GroupMonitor, groups: Vec<StreamGroup>) -> Vec<PlacedGroup> {
    let running = monitor.groups.read();
    let by_topic: HashMap<_, _> = running
        .iter()
        .flat_map(|own| own.group.topics.iter().map(move |topic| (topic, own)))
        .collect();
    let placements = monitor.placements.lock();
    let placed = groups.into_iter().map(|group| {
        let before = group.topics.iter().find_map(|topic| by_topic.get(topic));
        let active = match before {
            Some(own) if own.group == group => own.active.clone(),
            Some(own) => ActiveIndex::new(own.index_in(&group)),
            None => ActiveIndex::new(placements.index_of(&group)),
        };
        (group, active)
    });
    placed.collect()
}

impl FailoverGroup {
    /// Returns the index among the clusters of `group` of the cluster that this group is read from. Returns the first if it is none
    /// of them.
    fn index_in(&self, group: &StreamGroup) -> usize {
        let current = self.clusters.get(self.active.get());
        let index = current.and_then(|own| group.clusters.iter().position(|name| name == own.name()));
        index.unwrap_or_default()
    }
}

/// Waits until no group is being moved. A move takes milliseconds, unless the thread of a cluster has died.
fn wait_for_moves(monitor: &GroupMonitor) {
    let deadline = Instant::now() + MOVES_TIMEOUT;
    let is_moving = || {
        let groups = monitor.groups.read();
        groups.iter().any(|group| group.moving.load(Ordering::Acquire))
    };
    while is_moving() && Instant::now() < deadline {
        thread::sleep(LOOK_EVERY);
    }
}

const MOVES_TIMEOUT: Duration = Duration::from_secs(5);

const LOOK_EVERY: Duration = Duration::from_millis(2);
