//! Whether this replica can serve, as far as its own start is concerned.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// Whether this replica has started: its configuration is whole and its ports accept.
///
/// It says nothing of Kafka: a replica without Kafka still holds its clients, which is better than refusing them. A drain
/// is known from its [`DrainWatch`](crate::drain::DrainWatch).
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<AtomicBool>);

impl Readiness {
    /// Not ready yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Says that the start is complete.
    pub fn set(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether the start is complete.
    pub fn is_ready(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
