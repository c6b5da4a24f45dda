//! Hot restart, as whoever runs a gateway asks for it.

use std::{
    io,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use crate::gateway::Gateway;

/// The process that has taken over from a gateway. Dropping it kills the process.
#[derive(Debug)]
pub struct Successor {
    /// Its process id.
    pub pid: u32,
}

impl Gateway {
    /// Has it start a successor, and waits until that serves. Its log is this one's from here on.
    ///
    /// # Errors
    /// If none serves within `patience`.
    pub fn hand_over(&self, patience: Duration) -> io::Result<Successor> {
        self.hand_over_by(self.pid(), patience)
    }

    /// Has the process that has taken over from this one, or from one that had, start a successor of its own.
    ///
    /// # Errors
    /// If none serves within `patience`.
    pub fn hand_over_by(&self, pid: u32, patience: Duration) -> io::Result<Successor> {
        let before = successors(&self.log()).count();
        signal(pid, "USR2")?;
        let deadline = Instant::now() + patience;
        loop {
            if let Some(pid) = successors(&self.log()).nth(before) {
                return Ok(Successor { pid });
            }
            if Instant::now() > deadline {
                return Err(io::Error::new(io::ErrorKind::TimedOut, self.log()));
            }
            thread::sleep(LOOK);
        }
    }

    /// Sends it a signal: `TERM`, `HUP`, `USR2`.
    ///
    /// # Errors
    /// If it is gone.
    pub fn signal(&self, name: &str) -> io::Result<()> {
        signal(self.pid(), name)
    }
}

impl Successor {
    /// Sends it a signal.
    ///
    /// # Errors
    /// If it is gone.
    pub fn signal(&self, name: &str) -> io::Result<()> {
        signal(self.pid, name)
    }
}

impl Drop for Successor {
    fn drop(&mut self) {
        // Fails when it has ended already.
        let _ = signal(self.pid, "KILL");
    }
}

/// The processes that a log says have taken over, one from the other.
fn successors(log: &str) -> impl Iterator<Item = u32> {
    let lines = log.lines().filter(|line| line.contains("handed over: draining"));
    lines.filter_map(|line| line.split("successor=").nth(1)?.split(' ').next()?.parse().ok())
}

fn signal(pid: u32, name: &str) -> io::Result<()> {
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

/// How often the log is looked at.
const LOOK: Duration = Duration::from_millis(5);
