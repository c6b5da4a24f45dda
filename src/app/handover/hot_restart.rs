//! The successors of this process.

use std::{future::pending, time::Duration};

use super::{
    super::{auth::Authentication, passed_keys::PassedKeys},
    SpareSockets, Successor,
};
use crate::metrics::LifecycleMetrics;

/// Starts successors, one at a time.
pub(in crate::app) struct HotRestart {
    spare: SpareSockets,
    keys: PassedKeys,
    auth: Authentication,
    takeover: Duration,
    counts: LifecycleMetrics,
    successor: Option<Successor>,
}

impl HotRestart {
    /// Creates it without a successor. A successor gets the `spare` sockets and the `keys` of tickets, and Kafka must
    /// answer it within `takeover`. Once it has taken over, this process applies what `auth` revokes there.
    pub(in crate::app) fn new(
        spare: SpareSockets,
        keys: PassedKeys,
        auth: Authentication,
        takeover: Duration,
        counts: LifecycleMetrics,
    ) -> Self {
        Self {
            spare,
            keys,
            auth,
            takeover,
            counts,
            successor: None,
        }
    }

    /// Starts a successor, unless one is starting already. Must be called inside a runtime.
    pub(in crate::app) fn begin(&mut self) {
        if let Some(successor) = &self.successor {
            return tracing::warn!(successor = successor.pid(), "a successor is starting already");
        }
        match Successor::start(&self.spare, &self.keys.pass_on(), self.takeover) {
            Ok(successor) => {
                let pid = successor.pid();
                tracing::info!(
                    successor = pid,
                    "started a successor; waiting until Kafka answers it"
                );
                self.counts.successors_started.inc();
                self.successor = Some(successor);
            }
            Err(error) => {
                tracing::error!(%error, "cannot start a successor; this process continues to serve");
                self.counts.successors_unfit.inc();
            }
        }
    }

    /// Waits until a successor has taken over, and returns its process id. A successor that cannot take over is ended and logged,
    /// and the wait goes on. Cancel safe.
    pub(in crate::app) async fn completed(&mut self) -> u32 {
        while let Some(successor) = &mut self.successor {
            let pid = successor.pid();
            let ready = successor.ready().await;
            if let Err(error) = &ready {
                successor.end().await;
                tracing::error!(
                    successor = pid,
                    %error,
                    "the successor did not take over; this process continues to serve"
                );
                self.counts.successors_unfit.inc();
            }
            self.successor = None;
            if ready.is_ok() {
                // The successor is told from now on whose streams have to end, and those that still drain are here.
                self.auth.follow_revocations(Duration::MAX);
                return pid;
            }
        }
        pending().await
    }

    /// Ends a successor that is starting, and closes the spare sockets.
    pub(in crate::app) async fn abandon(self) {
        if let Some(mut successor) = self.successor {
            successor.end().await;
        }
    }
}
