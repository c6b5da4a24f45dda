//! The deadline of a check.

use std::{future::Future, time::Duration};

use tokio::time::{Instant, timeout_at};

use super::StreamError;

/// The time until which a check waits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    end: Instant,
    length: Duration,
}

impl Deadline {
    /// Returns the deadline `length` from now.
    pub(crate) fn after(length: Duration) -> Self {
        Self {
            end: Instant::now() + length,
            length,
        }
    }

    /// Returns the output of `work`, or a timeout error that names `what`.
    pub(crate) async fn on<T>(
        self,
        what: &'static str,
        work: impl Future<Output = T>,
    ) -> Result<T, StreamError> {
        timeout_at(self.end, work)
            .await
            .map_err(|_| StreamError::Timeout {
                what,
                after: self.length,
            })
    }

    /// Returns an equal share of the remaining time.
    pub(crate) fn shared_by(self, count: usize) -> Duration {
        self.end.saturating_duration_since(Instant::now()) / u32::try_from(count.max(1)).unwrap_or(u32::MAX)
    }
}
