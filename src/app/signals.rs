//! What the operating system, or a person, tells a process.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SignalAction {
    /// To end: the signal's name.
    Shutdown(&'static str),
    /// To make room for a successor.
    HotRestart,
}

/// The signals that a gateway listens to.
pub(super) struct Signals {
    start_successor: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Takes them from now on; inside a runtime.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            start_successor: signal(SignalKind::user_defined2())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next one.
    pub(super) async fn next(&mut self) -> SignalAction {
        tokio::select! {
            _ = self.terminate.recv() => SignalAction::Shutdown("SIGTERM"),
            _ = self.interrupt.recv() => SignalAction::Shutdown("SIGINT"),
            _ = self.start_successor.recv() => SignalAction::HotRestart,
        }
    }

    /// Waits for one that ends; its name. Others go unheard meanwhile.
    pub(super) async fn wait_for_shutdown(&mut self) -> &'static str {
        loop {
            if let SignalAction::Shutdown(name) = self.next().await {
                return name;
            }
        }
    }
}
