//! What commands on the admin listener do.

use std::sync::Arc;

use crate::{
    catalog::StreamName,
    http::{Helm, NotSteered, Steered},
    kafka::{Failover, Moved, Refused},
};

/// Hands commands on to the clusters.
pub(super) struct Wheel(Arc<Failover>);

impl Wheel {
    pub(super) fn new(failover: Arc<Failover>) -> Self {
        Self(failover)
    }
}

impl Helm for Wheel {
    fn read_from(&self, stream: &StreamName, cluster: &str, force: bool) -> Result<Steered, NotSteered> {
        match self.0.activate(stream.as_str(), cluster, force) {
            Ok(Moved { streams, from, to }) => Ok(Steered {
                streams: streams.iter().map(ToString::to_string).collect(),
                from: from.to_string(),
                to: to.to_string(),
            }),
            Err(refused @ (Refused::NoStream | Refused::NotListed { .. })) => {
                Err(NotSteered::Unknown(refused.to_string()))
            }
            Err(refused @ (Refused::Failing(..) | Refused::Moving)) => {
                Err(NotSteered::Conflict(refused.to_string()))
            }
        }
    }
}
