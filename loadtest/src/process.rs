//! The kernel's figures of a process and its descendants.

use std::{collections::HashSet, fs, io, time::Duration};

/// A running process with its descendants: a server that forks workers is measured as a whole.
#[derive(Clone, Copy, Debug)]
pub struct Process {
    pid: u32,
    /// Another process without which it does not serve.
    beside: Option<u32>,
}

impl Process {
    /// Creates it for this process id.
    pub fn new(pid: u32) -> Self {
        Self { pid, beside: None }
    }

    /// Adds the process in front of it: both serve together, and are measured as one.
    #[must_use]
    pub fn behind(self, proxy: u32) -> Self {
        Self {
            beside: Some(proxy),
            ..self
        }
    }

    /// Returns the resident memory in bytes. Shared memory counts for each process.
    ///
    /// # Errors
    /// If the process has ended.
    pub fn resident(self) -> io::Result<u64> {
        self.sum(|process| process.status("VmRSS:"))
    }

    /// Returns the peak of the resident memory in bytes, of the process alone.
    ///
    /// # Errors
    /// If the process has ended.
    pub fn most_resident(self) -> io::Result<u64> {
        self.status("VmHWM:")
    }

    /// Returns the processor time used, in user mode and in the kernel.
    ///
    /// # Errors
    /// If the process has ended.
    pub fn cpu(self) -> io::Result<Duration> {
        let ticks = self.sum(Self::ticks)?;
        Ok(TICK * u32::try_from(ticks).unwrap_or(u32::MAX))
    }

    /// Returns the number of open file descriptors.
    ///
    /// # Errors
    /// If the process has ended.
    pub fn descriptors(self) -> io::Result<u64> {
        self.sum(|process| Ok(fs::read_dir(process.path("fd"))?.count() as u64))
    }

    /// Returns the number of open connections that were accepted on this port, of the process alone.
    ///
    /// # Errors
    /// If the process has ended.
    pub fn accepted_on(self, port: u16) -> io::Result<u64> {
        let accepted = ["net/tcp", "net/tcp6"].map(|table| fs::read_to_string(self.path(table)));
        let mut sockets = HashSet::new();
        for table in accepted {
            sockets.extend(accepted_in(&table?, port));
        }
        let mut open = 0;
        for descriptor in fs::read_dir(self.path("fd"))? {
            // One that is closed meanwhile is not open.
            let link = fs::read_link(descriptor?.path()).unwrap_or_default();
            let socket = link.to_str().and_then(|link| link.strip_prefix("socket:["));
            let inode = socket.and_then(|socket| socket.strip_suffix(']')?.parse().ok());
            open += u64::from(inode.is_some_and(|inode| sockets.contains(&inode)));
        }
        Ok(open)
    }

    fn ticks(self) -> io::Result<u64> {
        let stat = fs::read_to_string(self.path("stat"))?;
        // The fields after the name, which may contain anything: the state is field 3, user and system time
        // are 14 and 15.
        let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
        let times = fields.skip(11).take(2);
        Ok(times.filter_map(|ticks| ticks.parse::<u64>().ok()).sum())
    }

    fn status(self, name: &str) -> io::Result<u64> {
        let status = fs::read_to_string(self.path("status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
        kilobytes
            .map(|kilobytes| kilobytes * 1024)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Sums over the process, its descendants and what is beside it. Of these, one that ends meanwhile counts as zero.
    fn sum(self, of: impl Fn(Self) -> io::Result<u64> + Copy) -> io::Result<u64> {
        let own = of(self)?;
        let others = self.children().chain(self.beside.map(Self::new));
        Ok(own + others.map(|other| other.sum(of).unwrap_or_default()).sum::<u64>())
    }

    fn children(self) -> impl Iterator<Item = Self> {
        let list = format!("task/{}/children", self.pid);
        let text = fs::read_to_string(self.path(&list)).unwrap_or_default();
        let pids: Vec<u32> = text
            .split(' ')
            .filter_map(|pid| pid.trim().parse().ok())
            .collect();
        pids.into_iter().map(Self::new)
    }

    fn path(self, file: &str) -> String {
        format!("/proc/{}/{file}", self.pid)
    }
}

/// Returns the inodes of the sockets in this table of the kernel that have the port at their own end and do not listen.
fn accepted_in(table: &str, port: u16) -> impl Iterator<Item = u64> {
    let suffix = format!(":{port:04X}");
    let lines = table.lines().skip(1);
    lines.filter_map(move |line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let is_accepted = fields.get(1)?.ends_with(&suffix) && *fields.get(3)? != LISTEN;
        is_accepted.then(|| fields.get(9)?.parse().ok()).flatten()
    })
}

/// The state of a socket that listens.
const LISTEN: &str = "0A";

/// Returns the bytes in the buffers of all TCP sockets of this network namespace.
pub fn socket_memory() -> u64 {
    let text = fs::read_to_string("/proc/net/sockstat").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("TCP: "));
    let pages = line.and_then(|line| line.rsplit_once("mem ")?.1.trim().parse::<u64>().ok());
    pages.unwrap_or_default() * PAGE
}

/// The unit of times in `/proc`: `USER_HZ`, which is 100 on every Linux.
const TICK: Duration = Duration::from_millis(10);

/// The unit of `mem` in sockstat. It is right where pages have this size, as on the machines that run load
/// tests.
const PAGE: u64 = 4096;

#[cfg(test)]
mod tests {
    use std::{
        net::{TcpListener, TcpStream},
        process::{Command, Stdio},
    };

    use super::*;

    #[test]
    fn accepted_connections_count_until_they_are_closed() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let own = Process::new(std::process::id());
        let client = TcpStream::connect(address).unwrap();
        let (server, _) = listener.accept().unwrap();
        assert_eq!(own.accepted_on(address.port()).unwrap(), 1);
        drop(client);
        assert_eq!(own.accepted_on(address.port()).unwrap(), 1, "this end is open");
        drop(server);
        assert_eq!(own.accepted_on(address.port()).unwrap(), 0);
    }

    #[test]
    fn children_count_with_their_parent() {
        let mut shell = Command::new("sh")
            .args(["-c", "sleep 60 & read line; kill $!"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let process = Process::new(shell.id());
        let until = std::time::Instant::now() + Duration::from_secs(10);
        while process.children().count() == 0 && std::time::Instant::now() < until {
            std::thread::yield_now();
        }
        let alone = process.status("VmRSS:").unwrap();
        assert!(process.resident().unwrap() > alone);
        assert!(process.descriptors().unwrap() >= 6);
        drop(shell.stdin.take());
        shell.wait().unwrap();
        assert!(process.resident().is_err());
    }
}
