//! The placement of all groups at the start, and the start of their monitor.
//!
//! Not here: the moves (`handle`), and the decision for them (`choice`).

use std::{
    collections::BTreeSet,
    io,
    path::Path,
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use parking_lot::Mutex;

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
    groups: Vec<(StreamGroup, ActiveIndex)>,
    placements: PlacementFile,
}

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

    /// Starts the thread that monitors the groups. `clusters` are all clusters that they list.
    ///
    /// # Errors
    /// If the system has no thread to give.
    pub fn start(self, clusters: &[Cluster]) -> io::Result<Failover> {
        let handles = || clusters.iter().map(Cluster::handle);
        let groups = self.groups.into_iter().map(|(group, active)| {
            let by_name = |name| handles().find(|handle| handle.name() == name).cloned();
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
        });
        let (stop, stopped) = mpsc::channel();
        let watching = Arc::clone(&monitor);
        let handlers: Vec<_> = handles()
            .map(|handle| PanicHandler::new(&handle.shared, threads::FAILOVER))
            .collect();
        threads::spawn(threads::FAILOVER, move || {
            let (mut pause, mut restarts) = (CHECK_EVERY, RestartBackoff::default());
            while stopped.recv_timeout(pause) == Err(mpsc::RecvTimeoutError::Timeout) {
                pause = CHECK_EVERY;
                if let Err(message) = threads::catch_panic(|| watching.check()) {
                    // The monitor decides for all clusters, so its panic is reported for each.
                    handlers.iter().for_each(|handler| handler.report(&message));
                    pause = restarts.pause(Instant::now());
                }
            }
        })?;
        Ok(Failover { monitor, stop })
    }
}

/// Interval of the checks: a small part of the shortest sensible deadline, at the cost of a few locks.
const CHECK_EVERY: Duration = Duration::from_millis(250);
