//! A fault of ours is one client's, and nobody else's.

use std::{future::Future, panic::AssertUnwindSafe, thread};

use futures_util::FutureExt;
use prometheus_client::metrics::counter::Counter;

/// Keeps a panic from leaving a task, and counts it. Not an `async fn`: that would have room for the task twice.
pub(super) fn contain(task: impl Future<Output = ()>, panics: Counter) -> impl Future<Output = ()> {
    let caught = AssertUnwindSafe(task).catch_unwind();
    caught.map(move |end| note(end, &panics))
}

/// Counts a panic, if this is one.
pub(super) fn note(end: thread::Result<()>, panics: &Counter) {
    if end.is_err() {
        panics.inc();
        tracing::error!("a connection panicked and is closed");
    }
}
