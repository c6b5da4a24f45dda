//! The source of a subscription's events: logs in memory, and history.

use std::sync::Arc;

use crate::partition::{History, LogDirectory};

/// The source of events, shared by all subscriptions of a process.
#[derive(Clone)]
pub struct LogSource {
    /// The directory of the current logs.
    pub directory: Arc<LogDirectory>,
    /// Reads records that are no longer in memory.
    pub history: Arc<dyn History>,
}
