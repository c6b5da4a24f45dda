//! A fault of ours is one client's, and nobody else's.

use std::{future::Future, panic::AssertUnwindSafe, thread};

use futures_util::FutureExt;

use crate::metrics::HttpMetrics;

/// Keeps a panic from leaving a task, and counts it. Not an `async fn`: that would have room for the task twice.
pub(super) fn contain(task: impl Future<Output = ()>, metrics: HttpMetrics) -> impl Future<Output = ()> {
    let caught = AssertUnwindSafe(task).catch_unwind();
    caught.map(move |end| note(end, &metrics))
}

/// Counts a panic, if this is one.
pub(super) fn note(end: thread::Result<()>, metrics: &HttpMetrics) {
    if end.is_err() {
        metrics.panic();
        tracing::error!("a connection panicked and is closed");
    }
}
