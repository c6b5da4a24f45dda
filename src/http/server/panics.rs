//! A fault of ours is one client's, and nobody else's.

use std::{future::Future, panic::AssertUnwindSafe, thread};

use futures_util::FutureExt;
use prometheus_client::metrics::counter::Counter;

/// Keeps a panic from leaving a task, and counts it. Not an `async fn`: that would have room for the task twice.
pub(in crate::http) fn catch_panic(
    task: impl Future<Output = ()>,
    panics: Counter,
) -> impl Future<Output = ()> {
    let caught = AssertUnwindSafe(task).catch_unwind();
    caught.map(move |end| record_panic(end, &panics))
}

/// Counts a panic, if this is one.
pub(in crate::http) fn record_panic(end: thread::Result<()>, panics: &Counter) {
    if end.is_err() {
        panics.inc();
        tracing::error!("a connection panicked and is closed");
    }
}
