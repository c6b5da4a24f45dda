//! A fault of ours is one client's, and nobody else's.

use std::{future::Future, panic::AssertUnwindSafe};

use futures_util::FutureExt;

use crate::metrics::HttpMetrics;

/// Keeps a panic from leaving a task, and counts it.
pub(super) async fn contain(task: impl Future<Output = ()>, metrics: HttpMetrics) {
    if AssertUnwindSafe(task).catch_unwind().await.is_err() {
        metrics.panic();
        tracing::error!("a connection panicked and is closed");
    }
}
