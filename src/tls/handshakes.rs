//! The bound on handshakes that take processor time at once.

use std::{num::NonZeroUsize, sync::Arc, thread};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Grants turns to handshakes, in the order in which they ask.
///
/// A handshake takes a third of a millisecond of processor time with an ECDSA key, and two with RSA. When all clients of a host
/// connect at once, streams must not wait for all of them. So half of the processors, and at least one, work on handshakes.
#[derive(Clone, Debug)]
pub(super) struct HandshakeTurns(Arc<Semaphore>);

impl HandshakeTurns {
    pub(super) fn new() -> Self {
        let processors = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self(Arc::new(Semaphore::new((processors / 2).max(1))))
    }

    /// Waits for a turn, which lasts until the permit is dropped.
    pub(super) async fn next(&self) -> Option<OwnedSemaphorePermit> {
        // Fails only for a semaphore that was closed, and this one never is.
        Arc::clone(&self.0).acquire_owned().await.ok()
    }
}
