//! What the operating system, or a person, tells a process.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// To end: the signal's name.
    End(&'static str),
    /// To make room for a successor.
    Renew,
}

/// The signals that a gateway listens to.
pub(super) struct Signals {
    renew: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Takes them from now on; inside a runtime.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            renew: signal(SignalKind::user_defined2())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next one.
    pub(super) async fn next(&mut self) -> Order {
        tokio::select! {
            _ = self.terminate.recv() => Order::End("SIGTERM"),
            _ = self.interrupt.recv() => Order::End("SIGINT"),
            _ = self.renew.recv() => Order::Renew,
        }
    }

    /// Waits for one that ends; its name. Others go unheard meanwhile.
    pub(super) async fn end(&mut self) -> &'static str {
        loop {
            if let Order::End(name) = self.next().await {
                return name;
            }
        }
    }
}
