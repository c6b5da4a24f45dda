//! Containment of panics: a fault of ours ends one connection and no other.

use std::{future::Future, panic::AssertUnwindSafe, thread};

use futures_util::FutureExt;
use prometheus_client::metrics::counter::Counter;

/// Runs `task`, and catches and counts its panic. It is no `async fn`, because the future of one would hold the task twice.
pub(in crate::http) fn catch_panic(
    task: impl Future<Output = ()>,
    panics: Counter,
) -> impl Future<Output = ()> {
    let caught = AssertUnwindSafe(task).catch_unwind();
    caught.map(move |end| record_panic(end, &panics))
}

/// Counts and logs a panic. Does nothing if `end` is none.
pub(in crate::http) fn record_panic(end: thread::Result<()>, panics: &Counter) {
    if end.is_err() {
        panics.inc();
        tracing::error!("a panic closed one connection; please report this as a bug");
    }
}
