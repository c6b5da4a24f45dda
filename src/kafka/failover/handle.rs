//! The running failover: commands and reports.
//!
//! Not here: the moves themselves (`monitor`).

use std::sync::{Arc, mpsc};

use super::{
    activate_error::ActivateError,
    group::{FailoverGroup, GroupStatus},
    monitor::GroupMonitor,
};

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

impl Failover {
    /// Moves the group of `stream` to `cluster`. Without `force`, only if that cluster serves the group.
    ///
    /// # Errors
    /// If the group was not moved.
    pub fn activate(&self, stream: &str, cluster: &str, force: bool) -> Result<GroupMove, ActivateError> {
        let mut groups = self.monitor.groups.iter();
        let failover_group = groups
            .find(|failover_group| failover_group.group.streams.iter().any(|name| **name == *stream))
            .ok_or(ActivateError::NoStream)?;
        let to = failover_group
            .index_of(cluster)
            .ok_or_else(|| ActivateError::NotListed {
                cluster: cluster.to_owned(),
                clusters: failover_group.group.clusters.clone(),
            })?;
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
