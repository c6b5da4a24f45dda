//! The guard by which [`Cluster::shutdown`](super::Cluster::shutdown) learns that every thread and client is gone.

use std::{convert::Infallible, sync::mpsc};

/// Held by every thread and client that [`Cluster::shutdown`](super::Cluster::shutdown) waits for. The receiving end
/// disconnects when all guards are dropped.
pub(super) type ShutdownGuard = mpsc::Sender<Infallible>;
