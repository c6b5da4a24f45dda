//! A group of streams with its clusters, and its state.
//!
//! Not here: when it moves (`choice`), and how (`monitor`).

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::{active_index::ActiveIndex, choice::Candidate};
use crate::{
    catalog::StreamGroup,
    kafka::{status::UnavailableReason, supervisor::handle::ClusterHandle},
};

/// A group and its clusters.
pub(super) struct FailoverGroup {
    pub(super) group: StreamGroup,
    pub(super) clusters: Vec<(ClusterHandle, Duration)>,
    pub(super) active: ActiveIndex,
    /// Whether a move is in progress.
    pub(super) moving: Arc<AtomicBool>,
    /// When the active cluster was chosen.
    pub(super) since: Mutex<Instant>,
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
    /// Returns the state of each cluster, in the order of preference.
    pub(super) fn candidates(&self) -> impl Iterator<Item = Candidate> {
        self.clusters.iter().map(|(handle, failover_after)| Candidate {
            serves: handle.status().unavailable_reason(&self.group.topics).is_none(),
            served_at: handle.status().served_at(&self.group.topics),
            failover_after: *failover_after,
        })
    }

    /// Returns the index of a cluster, in the order of preference.
    pub(super) fn index_of(&self, cluster: &str) -> Option<usize> {
        self.clusters
            .iter()
            .position(|(handle, _)| **handle.name() == *cluster)
    }

    /// Returns the name of a cluster.
    pub(super) fn name(&self, index: usize) -> Arc<str> {
        Arc::clone(self.clusters[index].0.name())
    }

    /// Returns the state of the group.
    pub(super) fn status(&self) -> GroupStatus {
        let active = self.active.get();
        let clocks = self
            .clusters
            .iter()
            .flat_map(|(handle, _)| handle.status().log_append_time_topics());
        let mut log_append_time_topics: Vec<_> =
            clocks.filter(|topic| self.group.topics.contains(topic)).collect();
        log_append_time_topics.sort();
        log_append_time_topics.dedup();
        GroupStatus {
            streams: self.group.streams.clone(),
            cluster: self.name(active),
            preferred: active == 0,
            unavailable_reason: self.clusters[active]
                .0
                .status()
                .unavailable_reason(&self.group.topics),
            log_append_time_topics,
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
