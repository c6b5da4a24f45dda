//! Hot restart, as an operator requests it.

use std::{
    io,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use crate::gateway::Gateway;

/// A process that has taken over from a gateway. Dropping it kills the process.
#[derive(Debug)]
pub struct Successor {
    /// The process id.
    pub pid: u32,
}

impl Gateway {
    /// Makes the gateway start a successor, and waits until that serves. The successor continues the same
    /// log.
    ///
    /// # Errors
    /// If no successor serves within `patience`.
    pub fn hand_over(&self, patience: Duration) -> io::Result<Successor> {
        self.hand_over_by(self.pid(), patience)
    }

    /// Makes a process that has taken over from this gateway, directly or through others, start a successor
    /// of its own.
    ///
    /// # Errors
    /// If no successor serves within `patience`.
    pub fn hand_over_by(&self, pid: u32, patience: Duration) -> io::Result<Successor> {
        let before = successors(&self.log()).count();
        signal(pid, "USR2")?;
        let pid = self.wait_for_log(patience, |log| successors(log).nth(before))?;
        Ok(Successor { pid })
    }

    /// Waits until this many processes that were followed by a successor have drained, so that only the last one serves. One that
    /// still drains may have accepted a connection just before, and closes it unanswered at the end of its window.
    ///
    /// # Errors
    /// If they have not drained within `patience`.
    pub fn wait_drained(&self, processes: usize, patience: Duration) -> io::Result<()> {
        self.wait_for_log(patience, |log| {
            (log.matches(DRAINED).count() >= processes).then_some(())
        })
    }

    /// Waits until something is found in the log.
    fn wait_for_log<T>(&self, patience: Duration, find: impl Fn(&str) -> Option<T>) -> io::Result<T> {
        let deadline = Instant::now() + patience;
        loop {
            let log = self.log();
            if let Some(found) = find(&log) {
                return Ok(found);
            }
            if Instant::now() > deadline {
                return Err(io::Error::new(io::ErrorKind::TimedOut, log));
            }
            thread::sleep(LOOK);
        }
    }

    /// Sends a signal to the process: `TERM`, `HUP`, `USR2`.
    ///
    /// # Errors
    /// If the process has ended.
    pub fn signal(&self, name: &str) -> io::Result<()> {
        signal(self.pid(), name)
    }
}

impl Successor {
    /// Sends a signal to the process.
    ///
    /// # Errors
    /// If the process has ended.
    pub fn signal(&self, name: &str) -> io::Result<()> {
        signal(self.pid, name)
    }
}

impl Drop for Successor {
    fn drop(&mut self) {
        // This fails if the process has ended already.
        let _ = signal(self.pid, "KILL");
    }
}

/// Returns the processes that have taken over from one another, as the log says.
fn successors(log: &str) -> impl Iterator<Item = u32> {
    let lines = log.lines().filter(|line| line.contains("handed over: draining"));
    lines.filter_map(|line| line.split("successor=").nth(1)?.split(' ').next()?.parse().ok())
}

/// Sends a signal to a process: `TERM`, `HUP`, `USR2`.
pub(crate) fn signal(pid: u32, name: &str) -> io::Result<()> {
    let sent = Command::new("kill")
        .args([&format!("-{name}"), &pid.to_string()])
        .output()?;
    match sent.status.success() {
        true => Ok(()),
        false => Err(io::Error::other(
            String::from_utf8_lossy(&sent.stderr).into_owned(),
        )),
    }
}

/// What a process logs when all its connections are closed.
const DRAINED: &str = " drained\n";

/// The time between two checks of the log.
const LOOK: Duration = Duration::from_millis(5);
