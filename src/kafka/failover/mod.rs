//! Failover: which cluster each group of streams is read from.
//!
//! A group is read from one cluster at a time, and the other clusters on its list are watched. Once the active one has failed for
//! longer than its deadline, the group moves to the next one that serves it. The way back takes a command: clients see every move
//! as repeated events, and a cluster that keeps failing and recovering must not move them each time.
//!
//! Not here: whether a cluster serves a topic (`status`), and what a cluster does when topics are released (`supervisor`).

mod choice;
mod history_router;
mod placement_file;

use std::{
    collections::BTreeSet,
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::{
    connect::Cluster,
    metrics::{KafkaMetrics, MoveLabels},
    status::UnavailableReason,
    supervisor::handle::ClusterHandle,
    threads::{self, RestartBackoff},
};
use crate::{catalog::StreamGroup, partition::History};
use choice::{Candidate, choose_cluster};
use history_router::HistoryRouter;
use placement_file::PlacementFile;

/// The cluster of every group at the start, from which the connections to the clusters are made.
pub struct FailoverPlan {
    groups: Vec<(StreamGroup, ActiveIndex)>,
    placements: PlacementFile,
}

/// Index of the cluster that is read, in its group's order of preference. Clones share it.
#[derive(Clone, Debug, Default)]
struct ActiveIndex(Arc<AtomicUsize>);

/// Moves groups between clusters. Dropping it stops that, and the groups stay where they are.
pub struct Failover {
    monitor: Arc<GroupMonitor>,
    stop: mpsc::Sender<()>,
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
    #[error("the stream is not read from cluster `{cluster}`; its clusters are {}", clusters.join(", "))]
    NotListed {
        /// The requested cluster.
        cluster: String,
        /// The clusters of the group.
        clusters: Vec<Arc<str>>,
    },
    /// The requested cluster does not serve the group.
    #[error("cluster `{0}` does not serve it: {1}")]
    Failing(Arc<str>, UnavailableReason),
    /// The previous move has not finished.
    #[error("it is being moved already; try again in a moment")]
    Moving,
}

/// The groups, and what a move of one of them needs.
struct GroupMonitor {
    groups: Vec<FailoverGroup>,
    placements: Mutex<PlacementFile>,
    counters: KafkaMetrics,
}

/// A group and its clusters.
struct FailoverGroup {
    group: StreamGroup,
    clusters: Vec<(ClusterHandle, Duration)>,
    active: ActiveIndex,
    /// Whether a move is in progress.
    moving: Arc<AtomicBool>,
    /// When the active cluster was chosen.
    since: Mutex<Instant>,
}

impl FailoverPlan {
    /// Places every group at its first cluster, or at the cluster noted in the `state` directory before a restart.
    pub fn new(groups: Vec<StreamGroup>, state: Option<&Path>) -> Self {
        let placements = PlacementFile::open(state);
        let groups = groups.into_iter().map(|group| {
            let active = placements.index_of(&group);
            (group, ActiveIndex(Arc::new(AtomicUsize::new(active))))
        });
        Self {
            groups: groups.collect(),
            placements,
        }
    }

    /// Returns the topics that list `cluster` but are read from another one for now.
    pub fn standby_topics(&self, cluster: &str) -> BTreeSet<Arc<str>> {
        let elsewhere = |(group, active): &&(StreamGroup, ActiveIndex)| {
            let current = group.clusters.get(active.get());
            current.is_none_or(|current| **current != *cluster)
        };
        let groups = self.groups.iter().filter(elsewhere);
        groups
            .flat_map(|(group, _)| group.topics.iter().cloned())
            .collect()
    }

    /// Returns the history reads, routed to the cluster from which each topic is read.
    pub fn history(&self, clusters: &[Cluster]) -> Arc<dyn History> {
        Arc::new(HistoryRouter::new(&self.groups, clusters))
    }

    /// Starts the thread that monitors the groups. `clusters` are all clusters that they list, each with the time that it may
    /// fail.
    ///
    /// # Errors
    /// If the system has no thread to give.
    pub fn start(
        self,
        clusters: &[(ClusterHandle, Duration)],
        counters: KafkaMetrics,
    ) -> io::Result<Failover> {
        let groups = self.groups.into_iter().map(|(group, active)| {
            let by_name = |name| clusters.iter().find(|(handle, _)| handle.name() == name).cloned();
            FailoverGroup {
                clusters: group.clusters.iter().filter_map(by_name).collect(),
                group,
                active,
                moving: Arc::default(),
                since: Mutex::new(Instant::now()),
            }
        });
        let monitor = Arc::new(GroupMonitor {
            groups: groups.collect(),
            placements: Mutex::new(self.placements),
            counters,
        });
        let (stop, stopped) = mpsc::channel();
        let watching = Arc::clone(&monitor);
        let guards = clusters
            .iter()
            .map(|(handle, _)| handle.panic_handler(&monitor.counters));
        let guards: Vec<_> = guards.collect();
        thread::Builder::new()
            .name(threads::FAILOVER.to_owned())
            .spawn(move || {
                let (mut pause, mut restarts) = (CHECK_EVERY, RestartBackoff::default());
                while stopped.recv_timeout(pause) == Err(mpsc::RecvTimeoutError::Timeout) {
                    pause = CHECK_EVERY;
                    if let Err(message) = threads::catch_panic(|| watching.check()) {
                        // The monitor decides for all clusters, so its panic is reported for each.
                        guards.iter().for_each(|guard| guard.report(&message));
                        pause = restarts.pause(Instant::now());
                    }
                }
            })?;
        Ok(Failover { monitor, stop })
    }
}

impl ActiveIndex {
    fn get(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }

    fn set(&self, index: usize) {
        self.0.store(index, Ordering::Release);
    }
}

impl Failover {
    /// Moves the group of `stream` to `cluster`. Without `force`, only if that cluster serves the group.
    ///
    /// # Errors
    /// If the group was not moved.
    pub fn activate(&self, stream: &str, cluster: &str, force: bool) -> Result<GroupMove, ActivateError> {
        let failover_group = self.monitor.groups.iter();
        let failover_group = failover_group
            .into_iter()
            .find(|failover_group| failover_group.group.streams.iter().any(|name| **name == *stream))
            .ok_or(ActivateError::NoStream)?;
        let to = failover_group.index_of(cluster)?;
        let (from, target) = (
            failover_group.name(failover_group.active.get()),
            &failover_group.clusters[to].0,
        );
        let moved = GroupMove {
            streams: failover_group.group.streams.clone(),
            from,
            to: Arc::clone(target.name()),
        };
        if moved.from == moved.to {
            return Ok(moved);
        }
        match target.status().unavailable_reason(&failover_group.group.topics) {
            Some(trouble) if !force => Err(ActivateError::Failing(moved.to, trouble)),
            _ if self.monitor.move_group(failover_group, to, "by command") => Ok(moved),
            _ => Err(ActivateError::Moving),
        }
    }

    /// Returns the state of every group.
    pub fn statuses(&self) -> Vec<GroupStatus> {
        self.monitor.groups.iter().map(FailoverGroup::status).collect()
    }

    /// Ends all further moves.
    pub fn stop(&self) {
        let _ = self.stop.send(());
    }
}

impl GroupStatus {
    /// Returns what an operator should look at. Returns `None` if all is well, or if the cluster's own status says enough.
    pub fn concern(&self) -> Option<String> {
        let streams = self.streams.join(", ");
        let cluster = &self.cluster;
        let moved = (!self.preferred).then(|| {
            format!("{streams}: read from {cluster}, which is not the first choice; back by command")
        });
        let clocks = self.log_append_time_topics.join(", ");
        let inexact = (!self.preferred && !clocks.is_empty())
            .then(|| format!("{clocks}: brokers set the timestamps, so the move repeated failover_overlap"));
        let leaderless = (self.unavailable_reason == Some(UnavailableReason::Leaderless))
            .then(|| format!("{streams}: no partition has a leader"));
        let concerns: Vec<_> = [moved, inexact, leaderless].into_iter().flatten().collect();
        (!concerns.is_empty()).then(|| concerns.join("; "))
    }
}

impl GroupMonitor {
    /// Reports concerns, and moves groups whose cluster has failed for too long.
    fn check(&self) {
        self.report_concerns();
        for failover_group in &self.groups {
            let candidates: Vec<_> = failover_group.candidates().collect();
            let (active, since) = (failover_group.active.get(), *failover_group.since.lock());
            if let Some(to) = choose_cluster(&candidates, active, since, Instant::now()) {
                self.move_group(failover_group, to, "the one before fails");
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
    fn move_group(&self, failover_group: &FailoverGroup, to: usize, why: &str) -> bool {
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
            trouble = trouble.map(|trouble| trouble.to_string()), "another cluster is read; events may repeat"
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

impl FailoverGroup {
    /// Returns the state of each cluster, in the order of preference.
    fn candidates(&self) -> impl Iterator<Item = Candidate> {
        self.clusters.iter().map(|(handle, failover_after)| Candidate {
            serves: handle.status().unavailable_reason(&self.group.topics).is_none(),
            served_at: handle.status().served_at(&self.group.topics),
            failover_after: *failover_after,
        })
    }

    fn index_of(&self, cluster: &str) -> Result<usize, ActivateError> {
        let index = self
            .clusters
            .iter()
            .position(|(handle, _)| **handle.name() == *cluster);
        index.ok_or_else(|| ActivateError::NotListed {
            cluster: cluster.to_owned(),
            clusters: self.group.clusters.clone(),
        })
    }

    fn name(&self, index: usize) -> Arc<str> {
        Arc::clone(self.clusters[index].0.name())
    }

    fn status(&self) -> GroupStatus {
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

/// Interval of the checks: a small part of the shortest sensible deadline, at the cost of a few locks.
const CHECK_EVERY: Duration = Duration::from_millis(250);
