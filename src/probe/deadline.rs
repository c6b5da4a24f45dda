//! Until when a check waits.

use std::{future::Future, time::Duration};

use tokio::time::{Instant, timeout_at};

use super::failure::ProbeError;

/// Until when a check waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    end: Instant,
    length: Duration,
}

impl Deadline {
    /// So long from now.
    pub(super) fn after(length: Duration) -> Self {
        Self {
            end: Instant::now() + length,
            length,
        }
    }

    /// What `work` makes, unless it is too late.
    pub(super) async fn on<T>(
        self,
        what: &'static str,
        work: impl Future<Output = T>,
    ) -> Result<T, ProbeError> {
        timeout_at(self.end, work).await.map_err(|_| ProbeError::Timeout {
            what,
            after: self.length,
        })
    }

    /// An equal share of what is left.
    pub(super) fn shared_by(self, count: usize) -> Duration {
        self.end.saturating_duration_since(Instant::now()) / u32::try_from(count.max(1)).unwrap_or(u32::MAX)
    }
}
