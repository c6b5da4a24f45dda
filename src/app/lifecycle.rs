//! How a gateway that serves comes to its end.

use std::{future::pending, io, time::Duration};

use sd_notify::NotifyState;
use tokio::{task::JoinHandle, time::timeout};

use super::{
    StartError,
    handover::HotRestart,
    signals::{SignalAction, Signals},
};
use crate::drain;

/// What goes on while a gateway serves.
pub(super) struct Lifecycle {
    serving: JoinHandle<io::Result<()>>,
    signals: Signals,
    /// None where nobody can come after it.
    hot_restart: Option<HotRestart>,
}

/// Why it ends.
enum ShutdownCause {
    /// By a signal.
    Signal(&'static str),
    /// A successor serves.
    HandedOver(u32),
}

impl Lifecycle {
    pub(super) fn new(
        serving: JoinHandle<io::Result<()>>,
        signals: Signals,
        hot_restart: Option<HotRestart>,
    ) -> Self {
        Self {
            serving,
            signals,
            hot_restart,
        }
    }

    /// Waits for the end, and then until the drain is over.
    ///
    /// # Errors
    /// When serving fails.
    pub(super) async fn run(
        mut self,
        signal: drain::DrainSignal,
        window: Duration,
    ) -> Result<(), StartError> {
        notify_systemd(NotifyState::Ready);
        let Some(end) = self.wait_for_shutdown().await? else {
            return Ok(());
        };
        // Its sockets would keep the port open behind the window's end, and nobody would answer there.
        if let Some(hot_restart) = self.hot_restart.take() {
            hot_restart.abandon().await;
        }
        tokio::select! {
            done = timeout(window + DRAIN_SLACK, end.drain(signal, window)) => match done {
                Ok(()) => tracing::info!("drained"),
                Err(_) => tracing::warn!("the drain did not end in time; what is left is cut"),
            },
            name = self.signals.wait_for_shutdown() => tracing::warn!(signal = name, "told twice: ending at once"),
        }
        Ok(())
    }

    /// Waits for a reason to end; `None` when serving has ended by itself.
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
            None => tracing::warn!("this cannot be handed over: what it serves ends with it"),
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

/// To systemd, where it listens.
fn notify_systemd(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "cannot notify systemd");
    }
}

/// What a drain may take beyond its window: connections get two seconds to write what they have begun.
const DRAIN_SLACK: Duration = Duration::from_secs(5);
