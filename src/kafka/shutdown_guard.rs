//! How [`Cluster::shutdown`](super::Cluster::shutdown) learns that every thread and client is gone.

use std::{convert::Infallible, sync::mpsc};

/// Held by everything that [`Cluster::shutdown`](super::Cluster::shutdown) waits for: it is gone when all are dropped.
pub(super) type ShutdownGuard = mpsc::Sender<Infallible>;
