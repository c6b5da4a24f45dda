//! Moves of groups between clusters, and the reports about them.
//!
//! Not here: the decision (`choice`), and the thread that checks (`plan`).

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use parking_lot::Mutex;

use super::{
    choice::choose_cluster,
    group::{FailoverGroup, GroupStatus},
    placement_file::PlacementFile,
};
use crate::kafka::{
    metrics::{KafkaMetrics, MoveLabels},
    supervisor::handle::ClusterHandle,
};

/// The groups, and what a move of one of them needs.
pub(super) struct GroupMonitor {
    pub(super) groups: Vec<FailoverGroup>,
    pub(super) placements: Mutex<PlacementFile>,
    pub(super) counters: KafkaMetrics,
}

impl GroupMonitor {
    /// Reports concerns, and moves groups whose cluster has failed for too long.
    pub(super) fn check(&self) {
        self.report_concerns();
        for failover_group in &self.groups {
            let candidates: Vec<_> = failover_group.candidates().collect();
            let (active, since) = (failover_group.active.get(), *failover_group.since.lock());
            if let Some(to) = choose_cluster(&candidates, active, since, Instant::now()) {
                self.move_group(failover_group, to, "the active cluster has failed");
            }
        }
    }

    /// Reports to health what an operator should know about each cluster.
    fn report_concerns(&self) {
        let statuses: Vec<_> = self.groups.iter().map(FailoverGroup::status).collect();
        for (handle, _) in self
            .groups
            .iter()
            .flat_map(|failover_group| &failover_group.clusters)
        {
            let own = statuses.iter().filter(|status| status.cluster == *handle.name());
            let concerns: Vec<_> = own.filter_map(GroupStatus::concern).collect();
            handle.set_concern((!concerns.is_empty()).then(|| concerns.join("; ")));
        }
    }

    /// Moves a group. Returns `false` if a move is in progress. The old cluster releases the topics first, so that no partition
    /// ever has two tails, and no cluster is asked for the log of another.
    pub(super) fn move_group(&self, failover_group: &FailoverGroup, to: usize, why: &str) -> bool {
        let from = failover_group.active.get();
        if failover_group.moving.swap(true, Ordering::AcqRel) {
            return false;
        }
        let (old, new) = (
            &failover_group.clusters[from].0,
            failover_group.clusters[to].0.clone(),
        );
        let trouble = old.status().unavailable_reason(&failover_group.group.topics);
        tracing::warn!(
            streams = failover_group.group.streams.join(","), from = %old.name(), to = %new.name(), why,
            trouble = trouble.map(|trouble| trouble.to_string()),
            "the streams are now read from another cluster; events may repeat"
        );
        self.count_move(old, &new);
        *failover_group.since.lock() = Instant::now();
        let (topics, active) = (failover_group.group.topics.clone(), failover_group.active.clone());
        let moving = MoveGuard(Arc::clone(&failover_group.moving));
        old.release_topics(topics.clone(), move || {
            active.set(to);
            new.activate_topics(topics);
            drop(moving);
        });
        self.placements.lock().save(&failover_group.group, to);
        true
    }

    fn count_move(&self, from: &ClusterHandle, to: &ClusterHandle) {
        let labels = MoveLabels {
            from: from.name().to_string(),
            to: to.name().to_string(),
        };
        self.counters.moves.get_or_create(&labels).inc();
    }
}

/// A move in progress. It ends on drop, also if its callback is never called, for example after a panic of the cluster's thread.
struct MoveGuard(Arc<AtomicBool>);

impl Drop for MoveGuard {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}
