//! The running failover: commands and reports.
//!
//! Not here: the moves themselves (`monitor`).

use std::sync::{Arc, mpsc};

use super::{
    group::{FailoverGroup, GroupStatus},
    monitor::GroupMonitor,
};
use crate::kafka::status::UnavailableReason;

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

impl Failover {
    /// Moves the group of `stream` to `cluster`. Without `force`, only if that cluster serves the group.
    ///
    /// # Errors
    /// If the group was not moved.
    pub fn activate(&self, stream: &str, cluster: &str, force: bool) -> Result<GroupMove, ActivateError> {
        let mut groups = self.monitor.groups.iter();
        let found = groups
            .find(|found| found.group.streams.iter().any(|name| **name == *stream))
            .ok_or(ActivateError::NoStream)?;
        let FailoverGroup { group, clusters, .. } = found;
        let to = found.index_of(cluster).ok_or_else(|| ActivateError::NotListed {
            cluster: cluster.to_owned(),
            clusters: group.clusters.clone(),
        })?;
        let target = &clusters[to].0;
        let moved = GroupMove {
            streams: group.streams.clone(),
            from: Arc::clone(clusters[found.active.get()].0.name()),
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
        self.monitor.groups.iter().map(FailoverGroup::status).collect()
    }

    /// Ends all further moves.
    pub fn stop(&self) {
        let _ = self.stop.send(());
    }
}
