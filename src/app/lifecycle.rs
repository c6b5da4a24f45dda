//! The end of a gateway that serves: by a signal, or by handing over to a successor.

use std::{future::pending, io, time::Duration};

use sd_notify::NotifyState;
use tokio::{task::JoinHandle, time::timeout};

use super::{
    StartError,
    handover::HotRestart,
    signals::{SignalAction, Signals},
};
use crate::drain;

/// The parts of a gateway that serves.
pub(super) struct Lifecycle {
    pub(super) serving: JoinHandle<io::Result<()>>,
    pub(super) signals: Signals,
    /// `None` if this process can have no successor.
    pub(super) hot_restart: Option<HotRestart>,
}

/// Why it ends.
enum ShutdownCause {
    /// The signal of this name.
    Signal(&'static str),
    /// The successor with this process id serves.
    HandedOver(u32),
}

impl Lifecycle {
    /// Waits for the end, and then until the drain is over.
    ///
    /// # Errors
    /// If serving fails.
    pub(super) async fn run(
        mut self,
        signal: drain::DrainSignal,
        window: Duration,
    ) -> Result<(), StartError> {
        notify_systemd(NotifyState::Ready);
        let Some(end) = self.wait_for_shutdown().await? else {
            return Ok(());
        };
        // The spare sockets would keep the port open after the end of the window, with no process to answer.
        if let Some(hot_restart) = self.hot_restart.take() {
            hot_restart.abandon().await;
        }
        tokio::select! {
            done = timeout(window + DRAIN_SLACK, end.drain(signal, window)) => match done {
                Ok(()) => tracing::info!("drained"),
                Err(_) => tracing::warn!("the drain did not end in time; closing the remaining connections"),
            },
            name = self.signals.wait_for_shutdown() => {
                tracing::warn!(signal = name, "second signal: ending at once");
            }
        }
        Ok(())
    }

    /// Waits for a reason to end. Returns `None` if serving has ended by itself.
    async fn wait_for_shutdown(&mut self) -> Result<Option<ShutdownCause>, StartError> {
        loop {
            tokio::select! {
                served = &mut self.serving => {
                    served.map_err(io::Error::other)??;
                    return Ok(None);
                }
                order = self.signals.next() => match order {
                    SignalAction::Shutdown(name) => return Ok(Some(ShutdownCause::Signal(name))),
                    SignalAction::HotRestart => self.start_successor(),
                },
                pid = wait_handed_over(&mut self.hot_restart) => return Ok(Some(ShutdownCause::HandedOver(pid))),
            }
        }
    }

    fn start_successor(&mut self) {
        match &mut self.hot_restart {
            Some(hot_restart) => hot_restart.begin(),
            None => tracing::warn!("no hot restart of the demo: its brokers end with this process"),
        }
    }
}

impl ShutdownCause {
    async fn drain(self, signal: drain::DrainSignal, window: Duration) {
        match self {
            Self::Signal(name) => {
                tracing::info!(signal = name, window = ?window, "draining: streams end on event boundaries");
                notify_systemd(NotifyState::Stopping);
                signal.drain(window).await;
            }
            Self::HandedOver(pid) => {
                tracing::info!(successor = pid, window = ?window, "handed over: draining");
                notify_systemd(NotifyState::MainPid(pid));
                signal.hand_over(window).await;
            }
        }
    }
}

async fn wait_handed_over(hot_restart: &mut Option<HotRestart>) -> u32 {
    match hot_restart {
        Some(hot_restart) => hot_restart.completed().await,
        None => pending().await,
    }
}

/// Notifies systemd, if it listens.
fn notify_systemd(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "cannot notify systemd");
    }
}

/// How much longer than its window a drain may take: connections get two seconds to finish writing.
const DRAIN_SLACK: Duration = Duration::from_secs(5);
