//! How a gateway that serves comes to its end.

use std::{future::pending, io, time::Duration};

use sd_notify::NotifyState;
use tokio::{task::JoinHandle, time::timeout};

use super::{
    StartError,
    handover::Succession,
    signals::{Order, Signals},
};
use crate::drain;

/// What goes on while a gateway serves.
pub(super) struct Life {
    serving: JoinHandle<io::Result<()>>,
    signals: Signals,
    /// None where nobody can come after it.
    succession: Option<Succession>,
}

/// Why it ends.
enum End {
    /// By a signal.
    Told(&'static str),
    /// A successor serves.
    Relieved(u32),
}

impl Life {
    pub(super) fn new(
        serving: JoinHandle<io::Result<()>>,
        signals: Signals,
        succession: Option<Succession>,
    ) -> Self {
        Self {
            serving,
            signals,
            succession,
        }
    }

    /// Waits for the end, and then until the drain is over.
    ///
    /// # Errors
    /// When serving fails.
    pub(super) async fn live(mut self, signal: drain::Signal, window: Duration) -> Result<(), StartError> {
        tell(NotifyState::Ready);
        let Some(end) = self.end().await? else {
            return Ok(());
        };
        // Its sockets would keep the port open behind the window's end, and nobody would answer there.
        if let Some(succession) = self.succession.take() {
            succession.abandon().await;
        }
        tokio::select! {
            done = timeout(window + DRAIN_SLACK, end.drain(signal, window)) => match done {
                Ok(()) => tracing::info!("drained"),
                Err(_) => tracing::warn!("the drain did not end in time; what is left is cut"),
            },
            name = self.signals.end() => tracing::warn!(signal = name, "told twice: ending at once"),
        }
        Ok(())
    }

    /// Waits for a reason to end; `None` when serving has ended by itself.
    async fn end(&mut self) -> Result<Option<End>, StartError> {
        loop {
            tokio::select! {
                served = &mut self.serving => {
                    served.map_err(io::Error::other)??;
                    return Ok(None);
                }
                order = self.signals.next() => match order {
                    Order::End(name) => return Ok(Some(End::Told(name))),
                    Order::Renew => self.renew(),
                },
                pid = relieved(&mut self.succession) => return Ok(Some(End::Relieved(pid))),
            }
        }
    }

    fn renew(&mut self) {
        match &mut self.succession {
            Some(succession) => succession.begin(),
            None => tracing::warn!("this cannot be handed over: what it serves ends with it"),
        }
    }
}

impl End {
    async fn drain(self, signal: drain::Signal, window: Duration) {
        match self {
            Self::Told(name) => {
                tracing::info!(signal = name, window = ?window, "draining: streams end on event boundaries");
                tell(NotifyState::Stopping);
                signal.drain(window).await;
            }
            Self::Relieved(pid) => {
                tracing::info!(successor = pid, window = ?window, "handed over: draining");
                tell(NotifyState::MainPid(pid));
                signal.hand_over(window).await;
            }
        }
    }
}

async fn relieved(succession: &mut Option<Succession>) -> u32 {
    match succession {
        Some(succession) => succession.completed().await,
        None => pending().await,
    }
}

/// To systemd, where it listens.
fn tell(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "cannot notify systemd");
    }
}

/// What a drain may take beyond its window: connections get two seconds to write what they have begun.
const DRAIN_SLACK: Duration = Duration::from_secs(5);
