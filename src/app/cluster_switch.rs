//! The commands of the admin listener that move streams between clusters.
//!
//! Not here: how a command is sent and authorized (`http`).

use std::sync::Arc;

use crate::{
    catalog::StreamName,
    http::{ClusterSwitch, SwitchError, Switched},
    kafka::{ActivateError, Failover, GroupMove},
};

/// Passes commands on to the failover of the clusters.
pub(super) struct FailoverSwitch(Arc<Failover>);

impl FailoverSwitch {
    pub(super) fn new(failover: Arc<Failover>) -> Self {
        Self(failover)
    }
}

impl ClusterSwitch for FailoverSwitch {
    fn activate_cluster(
        &self,
        stream: &StreamName,
        cluster: &str,
        force: bool,
    ) -> Result<Switched, SwitchError> {
        match self.0.activate(stream.as_str(), cluster, force) {
            Ok(GroupMove { streams, from, to }) => Ok(Switched {
                streams: streams.iter().map(ToString::to_string).collect(),
                from: from.to_string(),
                to: to.to_string(),
            }),
            Err(refused @ (ActivateError::NoStream | ActivateError::NotListed { .. })) => {
                Err(SwitchError::Unknown(refused.to_string()))
            }
            Err(refused @ (ActivateError::Failing(..) | ActivateError::Moving)) => {
                Err(SwitchError::Conflict(refused.to_string()))
            }
        }
    }
}
