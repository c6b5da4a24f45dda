//! Readiness: whether the start of this replica is complete.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// Whether this replica has started: its configuration is complete, and its ports accept connections.
///
/// This says nothing about Kafka. A replica without Kafka still holds its clients, which is better than refusing them. Whether
/// a drain has begun is known from its [`DrainWatch`](crate::drain::DrainWatch).
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<AtomicBool>);

impl Readiness {
    /// Returns a state that is not ready.
    pub fn new() -> Self {
        Self::default()
    }

    /// Records that the start is complete.
    pub fn set(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Returns whether the start is complete.
    pub fn is_ready(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
