//! A group of streams with its clusters, and its state.
//!
//! Not here: when it moves (`choice`), and how (`handle`).

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Instant,
};

use parking_lot::Mutex;

use super::choice::Candidate;
use crate::{
    catalog::StreamGroup,
    kafka::{connect::Cluster, status::UnavailableReason, supervisor::handle::ClusterHandle},
};

/// A group and its clusters.
pub(super) struct FailoverGroup {
    pub(super) group: StreamGroup,
    pub(super) clusters: Vec<ClusterHandle>,
    pub(super) active: ActiveIndex,
    /// Whether a move is in progress.
    pub(super) moving: Arc<AtomicBool>,
    /// When the active cluster was chosen.
    pub(super) since: Mutex<Instant>,
}

/// Index of the cluster that is read, in its group's order of preference. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct ActiveIndex(Arc<AtomicUsize>);

impl ActiveIndex {
    /// Creates an index that starts at `index`.
    pub(super) fn new(index: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(index)))
    }

    /// Whether both are the same index.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    pub(super) fn get(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }

    pub(super) fn set(&self, index: usize) {
        self.0.store(index, Ordering::Release);
    }
}

/// State of a group, for reports.
#[derive(Clone, Debug)]
pub struct GroupStatus {
    /// The streams of the group.
    pub streams: Vec<Arc<str>>,
    /// The cluster from which it is read.
    pub cluster: Arc<str>,
    /// Whether that cluster is the first on its list.
    pub preferred: bool,
    /// Why that cluster does not serve the group, if it does not.
    pub unavailable_reason: Option<UnavailableReason>,
    /// Topics whose timestamps are set by brokers. After a move they repeat `failover_overlap` more.
    pub log_append_time_topics: Vec<Arc<str>>,
}

impl FailoverGroup {
    /// Creates a group that was placed, from all clusters that it lists.
    pub(super) fn new((group, active): (StreamGroup, ActiveIndex), clusters: &[Cluster]) -> Self {
        let by_name = |name: &Arc<str>| {
            let handle = clusters.iter().map(Cluster::handle).find(|it| it.name() == name);
            handle.cloned()
        };
        Self {
            clusters: group.clusters.iter().filter_map(by_name).collect(),
            group,
            active,
            moving: Arc::default(),
            since: Mutex::new(Instant::now()),
        }
    }

    /// Returns the state of each cluster, in the order of preference.
    pub(super) fn candidates(&self) -> impl Iterator<Item = Candidate> {
        self.clusters.iter().map(|handle| Candidate {
            serves: handle.status().unavailable_reason(&self.group.topics).is_none(),
            served_at: handle.status().served_at(&self.group.topics),
            failover_after: handle.shared.settings.failover_after,
        })
    }

    /// Returns the index of a cluster, in the order of preference.
    pub(super) fn index_of(&self, cluster: &str) -> Option<usize> {
        self.clusters.iter().position(|it| **it.name() == *cluster)
    }

    /// Returns the state of the group.
    pub(super) fn status(&self) -> GroupStatus {
        let (active, topics) = (self.active.get(), &self.group.topics);
        let cluster = &self.clusters[active];
        let is_log_append_time = |topic: &&Arc<str>| {
            let mut clusters = self.clusters.iter();
            clusters.any(|it| it.shared.log_append_time_topics.contains(topic))
        };
        GroupStatus {
            streams: self.group.streams.clone(),
            cluster: Arc::clone(cluster.name()),
            preferred: active == 0,
            unavailable_reason: cluster.status().unavailable_reason(topics),
            log_append_time_topics: topics.iter().filter(is_log_append_time).cloned().collect(),
        }
    }
}

impl GroupStatus {
    /// Returns what an operator should look at. Returns `None` if all is well, or if the cluster's own status says enough.
    pub fn concern(&self) -> Option<String> {
        let streams = self.streams.join(", ");
        let cluster = &self.cluster;
        let moved = (!self.preferred).then(|| {
            format!("{streams}: read from {cluster}, which is not the first choice; a command moves it back")
        });
        let clocks = self.log_append_time_topics.join(", ");
        let inexact = (!self.preferred && !clocks.is_empty()).then(|| {
            format!("{clocks}: brokers set the timestamps; the move repeated events of failover_overlap too")
        });
        let leaderless = (self.unavailable_reason == Some(UnavailableReason::Leaderless))
            .then(|| format!("{streams}: no partition has a leader"));
        let concerns: Vec<_> = [moved, inexact, leaderless].into_iter().flatten().collect();
        (!concerns.is_empty()).then(|| concerns.join("; "))
    }
}
