//! The placement of all groups at the start, and the start of their monitor.
//!
//! Not here: the moves (`handle`), and the decision for them (`choice`).

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::Path,
    sync::{Arc, atomic::AtomicBool, mpsc},
    time::{Duration, Instant},
};

use parking_lot::{Mutex, RwLock};

use super::{
    group::{ActiveIndex, FailoverGroup},
    handle::{Failover, GroupMonitor},
    history_router::HistoryRouter,
    placement_file::PlacementFile,
};
use crate::{
    catalog::StreamGroup,
    kafka::{
        connect::Cluster,
        threads::{self, PanicHandler, RestartBackoff},
    },
    partition::History,
};

/// The cluster of every group at the start, from which the connections to the clusters are made.
pub struct FailoverPlan {
    groups: Vec<PlacedGroup>,
    router: Arc<HistoryRouter>,
    placements: PlacementFile,
}

/// A group, and which of its clusters it is read from.
pub(super) type PlacedGroup = (StreamGroup, ActiveIndex);

impl FailoverPlan {
    /// Places every group at its first cluster, or at the cluster noted in the `state` directory before a restart.
    pub fn new(groups: Vec<StreamGroup>, state: Option<&Path>) -> Self {
        let placements = PlacementFile::open(state);
        let groups = groups.into_iter().map(|group| {
            let active = placements.index_of(&group);
            (group, ActiveIndex::new(active))
        });
        Self {
            groups: groups.collect(),
            router: Arc::default(),
            placements,
        }
    }

    /// Returns the topics that list `cluster` but are read from another one for now.
    pub fn standby_topics(&self, cluster: &str) -> BTreeSet<Arc<str>> {
        standby_topics(&self.groups, cluster)
    }

    /// Returns the history reads, routed to the cluster from which each topic is read.
    pub fn history(&self, clusters: &[Cluster]) -> Arc<dyn History> {
        let groups = self.groups.iter().map(|(group, active)| (group, active));
        self.router.set(groups, clusters);
        Arc::clone(&self.router) as Arc<dyn History>
    }

    /// Starts the thread that monitors the groups. `clusters` are all clusters that they list.
    ///
    /// # Errors
    /// If the system has no thread to give.
    pub fn start(self, clusters: &[Cluster]) -> io::Result<Failover> {
        let groups = self.groups.into_iter();
        let groups = groups.map(|placed| Arc::new(FailoverGroup::new(placed, clusters)));
        let monitor = Arc::new(GroupMonitor {
            groups: RwLock::new(groups.collect()),
            is_changing: AtomicBool::new(false),
            router: self.router,
            placements: Mutex::new(self.placements),
        });
        let (stop, stopped) = mpsc::channel();
        let watching = Arc::clone(&monitor);
        threads::spawn(threads::FAILOVER, move || {
            let (mut pause, mut restarts) = (CHECK_EVERY, RestartBackoff::default());
            while stopped.recv_timeout(pause) == Err(mpsc::RecvTimeoutError::Timeout) {
                pause = CHECK_EVERY;
                if let Err(message) = threads::catch_panic(|| watching.check()) {
                    watching.report_panic(&message);
                    pause = restarts.pause(Instant::now());
                }
            }
        })?;
        Ok(Failover { monitor, stop })
    }
}

impl GroupMonitor {
    /// Reports a panic of the monitor for each cluster, because it decides for all of them.
    fn report_panic(&self, message: &str) {
        let groups = self.groups.read();
        let handles = groups.iter().flat_map(|group| &group.clusters);
        let handles: BTreeMap<_, _> = handles.map(|handle| (handle.name(), handle)).collect();
        for handle in handles.into_values() {
            PanicHandler::new(&handle.shared, threads::FAILOVER).report(message);
        }
    }
}

/// Returns the topics of these groups that list `cluster` but are read from another one.
pub(super) fn standby_topics(groups: &[PlacedGroup], cluster: &str) -> BTreeSet<Arc<str>> {
    let elsewhere = |(group, active): &&PlacedGroup| {
        let current = group.clusters.get(active.get());
        current.is_none_or(|current| **current != *cluster)
    };
    let groups = groups.iter().filter(elsewhere);
    groups
        .flat_map(|(group, _)| group.topics.iter().cloned())
        .collect()
}

/// Interval of the checks: a small part of the shortest sensible deadline, at the cost of a few locks.
const CHECK_EVERY: Duration = Duration::from_millis(250);
