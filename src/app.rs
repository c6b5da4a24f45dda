//! The composition root: builds the leaves, the logs, Kafka and HTTP, and stops them in order.

use std::num::NonZeroU32;

use crate::config::{Config, Sections};

/// Why riverhead did not come up.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Built without the part that was asked for.
    #[error("this build has no {0}")]
    NotBuiltIn(&'static str),
}

/// What `riverhead demo` was told, over the sections of the environment.
#[derive(Clone, Debug)]
pub struct DemoOptions {
    /// All but clusters and streams, which the demo brings itself.
    pub sections: Sections,
    /// Events a second, all partitions together.
    pub rate: NonZeroU32,
}

/// Serves `config` until it is told to stop.
///
/// # Errors
/// When it does not come up.
pub fn serve(_config: Config) -> Result<(), StartError> {
    Err(StartError::NotBuiltIn("server"))
}

/// Serves invented events from brokers in this process until it is told to stop.
///
/// # Errors
/// When it does not come up.
pub fn demo(_options: DemoOptions) -> Result<(), StartError> {
    Err(StartError::NotBuiltIn("demo"))
}
