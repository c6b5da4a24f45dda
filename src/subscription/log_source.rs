//! The source of a subscription's events.

use std::sync::Arc;

use crate::partition::{History, LogDirectory};

/// What every subscription of a process shares.
#[derive(Clone)]
pub struct LogSource {
    /// Which logs are current.
    pub directory: Arc<LogDirectory>,
    /// Reads of what is no longer in memory.
    pub history: Arc<dyn History>,
}
