//! The search for the offset at which one partition is read.

use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;

use crate::{
    partition::PartitionLog,
    position::Offset,
    subscription::{LogReplaced, ResumePoint, ResumeResolver},
};

/// A running [`ResumeResolver`].
pub(super) struct Resuming {
    pub(super) log: Arc<PartitionLog>,
    /// See [`ResumeResolver::scanned`].
    pub(super) scanned: Offset,
    pub(super) answer: BoxFuture<'static, Result<ResumePoint, LogReplaced>>,
}

impl Resuming {
    /// Starts `resolver`, after a pause that grows with the number of failed starts in a row.
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

/// Returns the pause before the start is sought again. Otherwise brokers that contradict each other, where one proves a
/// position that the other does not have, would be asked endlessly and without a pause.
fn retry_delay(failed_starts: u32) -> Duration {
    match failed_starts {
        0 => Duration::ZERO,
        // Any log may move on while it is being read, so the first failure is no reason to wait long.
        more => FIRST_PAUSE
            .saturating_mul(1 << (more - 1).min(10))
            .min(LONGEST_PAUSE),
    }
}

const FIRST_PAUSE: Duration = Duration::from_millis(50);

const LONGEST_PAUSE: Duration = Duration::from_secs(2);
