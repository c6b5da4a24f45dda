//! The signals that this process handles.
//!
//! Not here: SIGHUP (`reload`).

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The action that a signal requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SignalAction {
    /// Shut down, because of the signal with this name.
    Shutdown(&'static str),
    /// Start a successor.
    HotRestart,
}

/// The signals that a gateway listens to.
pub(super) struct Signals {
    start_successor: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Handles the signals from now on. Must be called inside a runtime.
    ///
    /// # Errors
    /// If the operating system refuses it.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            start_successor: signal(SignalKind::user_defined2())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next signal.
    pub(super) async fn next(&mut self) -> SignalAction {
        tokio::select! {
            _ = self.terminate.recv() => SignalAction::Shutdown("SIGTERM"),
            _ = self.interrupt.recv() => SignalAction::Shutdown("SIGINT"),
            _ = self.start_successor.recv() => SignalAction::HotRestart,
        }
    }

    /// Waits for a signal that requests a shutdown, and returns its name. Ignores others meanwhile.
    pub(super) async fn wait_for_shutdown(&mut self) -> &'static str {
        loop {
            if let SignalAction::Shutdown(name) = self.next().await {
                return name;
            }
        }
    }
}
