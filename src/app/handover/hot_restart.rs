//! Who may come after this process.

use std::{future::pending, time::Duration};

use super::{SpareSockets, Successor};
use crate::metrics::LifecycleMetrics;

/// Starts successors, of which at most one at a time is on its way.
pub(in crate::app) struct HotRestart {
    spare: SpareSockets,
    takeover: Duration,
    counts: LifecycleMetrics,
    coming: Option<Successor>,
}

impl HotRestart {
    /// Nobody comes yet. Whoever does gets the `spare` sockets, and has `takeover` to be answered by Kafka.
    pub(in crate::app) fn new(spare: SpareSockets, takeover: Duration, counts: LifecycleMetrics) -> Self {
        Self {
            spare,
            takeover,
            counts,
            coming: None,
        }
    }

    /// Starts a successor, unless one is on its way. Inside a runtime.
    pub(in crate::app) fn begin(&mut self) {
        if let Some(successor) = &self.coming {
            return tracing::warn!(successor = successor.pid(), "a successor is on its way already");
        }
        match Successor::start(&self.spare, self.takeover) {
            Ok(successor) => {
                let pid = successor.pid();
                tracing::info!(
                    successor = pid,
                    "started a successor; waiting until Kafka answers it"
                );
                self.counts.successor_started();
                self.coming = Some(successor);
            }
            Err(error) => {
                tracing::error!(%error, "cannot start a successor; staying");
                self.counts.successor_unfit();
            }
        }
    }

    /// Waits until a successor has taken over; its process id. One that is not fit to is ended, told in the log, and no
    /// reason to return. Cancelling this loses nothing.
    pub(in crate::app) async fn completed(&mut self) -> u32 {
        while let Some(successor) = &mut self.coming {
            let pid = successor.pid();
            let ready = successor.ready().await;
            if let Err(error) = &ready {
                successor.end().await;
                tracing::error!(successor = pid, %error, "the successor is not fit to serve; staying");
                self.counts.successor_unfit();
            }
            self.coming = None;
            if ready.is_ok() {
                return pid;
            }
        }
        pending().await
    }

    /// Ends whoever is on its way, and closes the spare sockets.
    pub(in crate::app) async fn abandon(self) {
        if let Some(mut successor) = self.coming {
            successor.end().await;
        }
    }
}
