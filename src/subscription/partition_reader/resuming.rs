//! The search for the place that one partition is read from.

use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;

use crate::{
    partition::PartitionLog,
    position::Offset,
    subscription::resume::{LogReplaced, ResumePoint, ResumeResolver},
};

/// A [`ResumeResolver`] at work.
pub(super) struct Resuming {
    pub(super) log: Arc<PartitionLog>,
    /// See [`ResumeResolver::scanned`].
    pub(super) scanned: Offset,
    pub(super) answer: BoxFuture<'static, Result<ResumePoint, LogReplaced>>,
}

impl Resuming {
    /// Starts `resolver`, after a pause that grows with each of the `failed_starts` in a row.
    pub(super) fn start(resolver: ResumeResolver, failed_starts: u32) -> Self {
        let pause = retry_delay(failed_starts);
        Self {
            log: Arc::clone(&resolver.log),
            scanned: resolver.scanned,
            answer: Box::pin(async move {
                if !pause.is_zero() {
                    tokio::time::sleep(pause).await;
                }
                resolver.resolve().await
            }),
        }
    }
}

/// How long to wait before the place is looked for once more. Brokers that contradict each other, one of which proves a place
/// that the other does not have, would otherwise be asked without an end and without a pause.
fn retry_delay(failed_starts: u32) -> Duration {
    match failed_starts {
        0 => Duration::ZERO,
        // Anybody's log may move on while it is read, so the first time is no reason to wait long.
        more => FIRST_PAUSE
            .saturating_mul(1 << (more - 1).min(10))
            .min(LONGEST_PAUSE),
    }
}

const FIRST_PAUSE: Duration = Duration::from_millis(50);

const LONGEST_PAUSE: Duration = Duration::from_secs(2);
