//! How a gateway that serves comes to its end.

use std::{io, time::Duration};

use sd_notify::NotifyState;
use tokio::{task::JoinHandle, time::timeout};

use super::{
    StartError,
    handover::{Spare, Successor, Unfit},
    signals::{Order, Signals},
};
use crate::drain;

/// What goes on while a gateway serves.
pub(super) struct Life {
    pub(super) serving: JoinHandle<io::Result<()>>,
    pub(super) signals: Signals,
    /// For a successor; none where there can be none.
    pub(super) spare: Option<Spare>,
    /// Who is to come, but has not taken over yet.
    pub(super) successor: Option<Successor>,
}

/// Why it ends.
enum End {
    /// By a signal.
    Told(&'static str),
    /// A successor serves.
    Relieved(u32),
}

impl Life {
    pub(super) fn new(serving: JoinHandle<io::Result<()>>, signals: Signals, spare: Option<Spare>) -> Self {
        Self {
            serving,
            signals,
            spare,
            successor: None,
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
        // While they exist the port is open, and from the window's end on nobody would answer there.
        self.spare = None;
        let draining = async {
            match end {
                End::Told(name) => {
                    tracing::info!(signal = name, window = ?window, "draining: streams end on event boundaries");
                    tell(NotifyState::Stopping);
                    signal.drain(window).await;
                }
                End::Relieved(pid) => {
                    tracing::info!(successor = pid, window = ?window, "handed over: draining");
                    tell(NotifyState::MainPid(pid));
                    signal.hand_over(window).await;
                }
            }
        };
        tokio::select! {
            done = timeout(window + DRAIN_SLACK, draining) => match done {
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
                    Order::End(name) => {
                        if let Some(successor) = self.successor.take() {
                            successor.end().await;
                        }
                        return Ok(Some(End::Told(name)));
                    }
                    Order::Renew => self.renew(),
                },
                ready = ready(&mut self.successor) => {
                    let successor = self.successor.take();
                    match (ready, successor) {
                        (Ok(()), Some(successor)) => return Ok(Some(End::Relieved(successor.pid()))),
                        (Err(error), _) => tracing::error!(%error, "the successor is not fit to serve; staying"),
                        (Ok(()), None) => {}
                    }
                }
            }
        }
    }

    fn renew(&mut self) {
        let Some(spare) = &self.spare else {
            return tracing::warn!("this cannot be handed over: what it serves ends with it");
        };
        if let Some(successor) = &self.successor {
            return tracing::warn!(successor = successor.pid(), "a successor is on its way already");
        }
        match Successor::start(spare) {
            Ok(successor) => {
                tracing::info!(
                    successor = successor.pid(),
                    "started a successor; waiting until Kafka answers it"
                );
                self.successor = Some(successor);
            }
            Err(error) => tracing::error!(%error, "cannot start a successor; staying"),
        }
    }
}

async fn ready(successor: &mut Option<Successor>) -> Result<(), Unfit> {
    match successor {
        Some(successor) => successor.ready().await,
        None => std::future::pending().await,
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
