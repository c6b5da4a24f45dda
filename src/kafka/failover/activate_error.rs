//! Errors of the command that moves a group.

use std::sync::Arc;

use crate::kafka::status::UnavailableReason;

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
