//! The running failover: its commands and reports, and the moves of groups between clusters.
//!
//! Not here: the decision for a move (`choice`), and the thread that checks (`plan`).

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::Instant,
};

use parking_lot::{Mutex, RwLock};

use super::{
    choice::choose_cluster,
    group::{FailoverGroup, GroupStatus},
    history_router::HistoryRouter,
    placement_file::PlacementFile,
};
use crate::kafka::{metrics::MoveLabels, status::UnavailableReason};

/// Moves groups between clusters. Dropping it stops that, and the groups stay where they are.
pub struct Failover {
    pub(super) monitor: Arc<GroupMonitor>,
    pub(super) stop: mpsc::Sender<()>,
}

/// Result of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMove {
    /// All streams that moved: those that share topics move together.
    pub streams: Vec<Arc<str>>,
    /// The previous cluster.
    pub from: Arc<str>,
    /// The cluster from which they are read now; equal to `from` if there was nothing to do.
    pub to: Arc<str>,
}

/// Why a command was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ActivateError {
    /// No group has this stream.
    #[error("there is no such stream")]
    NoStream,
    /// The group does not list this cluster.
    #[error("the stream does not list cluster `{cluster}`; its clusters are {}", clusters.join(", "))]
    NotListed {
        /// The requested cluster.
        cluster: String,
        /// The clusters of the group.
        clusters: Vec<Arc<str>>,
    },
    /// The requested cluster does not serve the group.
    #[error("cluster `{0}` cannot serve the stream: {1}")]
    Failing(Arc<str>, UnavailableReason),
    /// The previous move has not finished.
    #[error("the stream is already being moved to another cluster; try again in a moment")]
    Moving,
}

impl Failover {
    /// Moves the group of `stream` to `cluster`. Without `force`, only if that cluster serves the group.
    ///
    /// # Errors
    /// If the group was not moved.
    pub fn activate(&self, stream: &str, cluster: &str, force: bool) -> Result<GroupMove, ActivateError> {
        // Held until the move has begun: a change of the groups waits for moves that have.
        let groups = self.monitor.groups.read();
        let found = groups
            .iter()
            .find(|found| found.group.streams.iter().any(|name| **name == *stream))
            .ok_or(ActivateError::NoStream)?;
        let FailoverGroup { group, clusters, .. } = &**found;
        let to = found.index_of(cluster).ok_or_else(|| ActivateError::NotListed {
            cluster: cluster.to_owned(),
            clusters: group.clusters.clone(),
        })?;
        let target = &clusters[to];
        let moved = GroupMove {
            streams: group.streams.clone(),
            from: Arc::clone(clusters[found.active.get()].name()),
            to: Arc::clone(target.name()),
        };
        if moved.from == moved.to {
            return Ok(moved);
        }
        match target.status().unavailable_reason(&group.topics) {
            Some(trouble) if !force => Err(ActivateError::Failing(moved.to, trouble)),
            _ if self.monitor.move_group(found, to, "by command") => Ok(moved),
            _ => Err(ActivateError::Moving),
        }
    }

    /// Returns the state of every group.
    pub fn statuses(&self) -> Vec<GroupStatus> {
        self.monitor.statuses()
    }

    /// Ends all further moves.
    pub fn stop(&self) {
        let _ = self.stop.send(());
    }
}

/// The groups, and what a move of one of them needs.
pub(super) struct GroupMonitor {
    pub(super) groups: RwLock<Vec<Arc<FailoverGroup>>>,
    /// Whether the groups are being changed, so that none of them is moved. Set while `groups` is locked for writing.
    pub(super) is_changing: AtomicBool,
    pub(super) router: Arc<HistoryRouter>,
    pub(super) placements: Mutex<PlacementFile>,
}

impl GroupMonitor {
    /// Reports concerns, and moves groups whose cluster has failed for too long.
    pub(super) fn check(&self) {
        self.report_concerns();
        for group in &*self.groups.read() {
            let candidates: Vec<_> = group.candidates().collect();
            let (active, since) = (group.active.get(), *group.since.lock());
            if let Some(to) = choose_cluster(&candidates, active, since, Instant::now()) {
                self.move_group(group, to, "the active cluster has failed");
            }
        }
    }

    /// Reports to health what an operator should know about each cluster.
    fn report_concerns(&self) {
        let statuses = self.statuses();
        for handle in self.groups.read().iter().flat_map(|group| &group.clusters) {
            let own = statuses.iter().filter(|status| status.cluster == *handle.name());
            let concerns: Vec<_> = own.filter_map(GroupStatus::concern).collect();
            let concern = (!concerns.is_empty()).then(|| concerns.join("; "));
            handle.shared.health.set_concern(concern);
        }
    }

    fn statuses(&self) -> Vec<GroupStatus> {
        let groups = self.groups.read();
        groups.iter().map(|group| group.status()).collect()
    }

    /// Moves a group. Returns `false` if a move is in progress, or if the groups are being changed. The old cluster releases the topics first, so that no partition
    /// ever has two tails, and no cluster is asked for the log of another.
    pub(super) fn move_group(&self, moved: &FailoverGroup, to: usize, why: &str) -> bool {
        let FailoverGroup { group, clusters, .. } = moved;
        let from = moved.active.get();
        if self.is_changing.load(Ordering::Acquire) || moved.moving.swap(true, Ordering::AcqRel) {
            return false;
        }
        let (old, new) = (&clusters[from], clusters[to].clone());
        let trouble = old.status().unavailable_reason(&group.topics);
        tracing::warn!(
            streams = group.streams.join(","), from = %old.name(), to = %new.name(), why,
            trouble = trouble.map(|trouble| trouble.to_string()),
            "the streams are now read from another cluster; events may repeat"
        );
        let labels = MoveLabels {
            from: old.name().to_string(),
            to: new.name().to_string(),
        };
        old.shared.counters.moves.get_or_create(&labels).inc();
        *moved.since.lock() = Instant::now();
        let (topics, active) = (group.topics.clone(), moved.active.clone());
        let moving = MoveGuard(Arc::clone(&moved.moving));
        old.release_topics(topics.clone(), move || {
            active.set(to);
            new.activate_topics(topics);
            drop(moving);
        });
        self.placements.lock().save(group, to);
        true
    }
}

/// A move in progress. It ends on drop, also if its callback is never called, for example after a panic of the cluster's thread.
struct MoveGuard(Arc<AtomicBool>);

impl Drop for MoveGuard {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}
