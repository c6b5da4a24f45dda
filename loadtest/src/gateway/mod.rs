//! A riverhead process under test.

mod plan;

pub use plan::GatewayPlan;

use std::{
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    process::Child,
    sync::{
        Arc, Mutex,
        mpsc::{self, Receiver},
    },
    thread,
    time::Duration,
};

use riverhead_brokers::eventually;
use tempfile::TempDir;

use crate::process::Process;

/// A running gateway. Dropping it kills the process.
#[derive(Debug)]
pub struct Gateway {
    child: Child,
    /// The address of the public listener.
    pub http: SocketAddr,
    /// The address of the public listener with TLS, if there is one.
    pub https: Option<SocketAddr>,
    /// The address of the admin listener.
    pub admin: SocketAddr,
    log: Arc<Mutex<String>>,
    /// The directory of its configuration, kept for as long as the process runs.
    directory: TempDir,
}

impl Gateway {
    /// Returns the process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns the log so far.
    pub fn log(&self) -> String {
        self.log.lock().map(|log| log.clone()).unwrap_or_default()
    }

    /// Returns the process, for figures from the kernel.
    pub fn process(&self) -> Process {
        Process::new(self.pid())
    }

    /// Returns the log so far, without the lines of each stream.
    fn log_of_itself(&self) -> String {
        let log = self.log();
        let of_streams = ["stream started", "stream ended"];
        let own = log
            .lines()
            .filter(|line| !of_streams.iter().any(|stream| line.contains(stream)));
        own.collect::<Vec<_>>().join("\n")
    }

    /// Returns the resident memory in bytes.
    ///
    /// # Errors
    /// If the process has ended.
    pub fn resident(&self) -> io::Result<u64> {
        self.process().resident()
    }

    /// Returns the peak of the resident memory in bytes.
    ///
    /// # Errors
    /// If the process has ended.
    pub fn most_resident(&self) -> io::Result<u64> {
        self.process().most_resident()
    }

    /// Returns the processor time used, in user mode and in the kernel.
    ///
    /// # Errors
    /// If the process has ended.
    pub fn cpu(&self) -> io::Result<Duration> {
        self.process().cpu()
    }

    /// Returns the response of the admin listener to `GET path`.
    ///
    /// # Errors
    /// If it does not answer.
    pub fn admin(&self, path: &str) -> io::Result<String> {
        self.ask_admin(&format!("GET {path}"), "", "")
    }

    /// Returns the response of the admin listener to the command `POST path` with this token and JSON.
    ///
    /// # Errors
    /// If it does not answer.
    pub fn command(&self, path: &str, token: &str, json: &str) -> io::Result<String> {
        let headers = format!(
            "Authorization: Bearer {token}\r\nContent-Length: {}\r\n",
            json.len()
        );
        self.ask_admin(&format!("POST {path}"), &headers, json)
    }

    fn ask_admin(&self, what: &str, headers: &str, body: &str) -> io::Result<String> {
        let mut socket = TcpStream::connect(self.admin)?;
        socket.set_read_timeout(Some(START))?;
        write!(
            socket,
            "{what} HTTP/1.0\r\nHost: {}\r\n{headers}\r\n{body}",
            self.admin
        )?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer)?;
        Ok(answer)
    }

    /// Writes another configuration file. The gateway reads it on SIGHUP, or at its next start.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn reconfigure(&self, plan: &GatewayPlan) -> io::Result<()> {
        self.rewrite(&plan.config())
    }

    /// Writes this text as the configuration file.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn rewrite(&self, text: &str) -> io::Result<()> {
        fs::write(self.directory.path().join(FILE), text)
    }

    /// Returns the value of a metric: the sum over its label sets, 0 if there is none.
    ///
    /// # Errors
    /// If the admin listener does not answer.
    pub fn metric(&self, name: &str) -> io::Result<f64> {
        Ok(self.metric_if_any(name)?.unwrap_or_default())
    }

    /// Returns the value of a metric; `None` if there is none.
    ///
    /// # Errors
    /// If the admin listener does not answer.
    pub fn metric_if_any(&self, name: &str) -> io::Result<Option<f64>> {
        let text = self.admin("/metrics")?;
        let values = text.lines().filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            let own = series.split('{').next() == Some(name);
            own.then(|| value.parse::<f64>().ok()).flatten()
        });
        Ok(values.reduce(|sum, value| sum + value))
    }

    /// Waits until the gateway reads this many partitions. Records that are written after that arrive through
    /// the tail, and not as history.
    ///
    /// # Panics
    /// If that takes longer than `patience`.
    pub fn wait_for_partitions(&self, partitions: usize, patience: Duration) {
        eventually(patience, "partitions that are read", || {
            match self.metric("riverhead_partitions") {
                Ok(read) if read >= partitions as f64 => Ok(()),
                state => Err(format!("{state:?}\n{}", self.log())),
            }
        });
    }

    /// Waits until the process has ended by itself, and returns its exit code.
    ///
    /// # Errors
    /// If that takes longer than `patience`.
    pub fn wait(&mut self, patience: Duration) -> io::Result<Option<i32>> {
        let deadline = std::time::Instant::now() + patience;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status.code());
            }
            if std::time::Instant::now() > deadline {
                return Err(io::ErrorKind::TimedOut.into());
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Gateway {
    #[allow(clippy::print_stderr, reason = "the test harness shows it with the failure")]
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("log of the gateway:\n{}", self.log_of_itself());
        }
        // Both fail only if the process has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn keep(stderr: impl Read + Send + 'static, log: Arc<Mutex<String>>) {
    thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if let Ok(mut log) = log.lock() {
                log.push_str(&line);
                log.push('\n');
            }
        }
    });
}

/// Returns the lines that a started process writes to stdout.
pub(crate) fn lines_of(child: &mut Child) -> io::Result<Receiver<String>> {
    let stdout = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
    let (send, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if send.send(line).is_err() {
                return;
            }
        }
    });
    Ok(lines)
}

/// Waits for the addresses of the public listener, of that with TLS if there is one, and of the admin listener, which is
/// printed last.
fn addresses(child: &mut Child) -> io::Result<(SocketAddr, Option<SocketAddr>, SocketAddr)> {
    let lines = lines_of(child)?;
    let (mut http, mut https) = (None, None);
    loop {
        let line = lines.recv_timeout(START).map_err(|_| io::ErrorKind::TimedOut)?;
        http = http.or_else(|| address(&line, LISTENING));
        https = https.or_else(|| address(&line, "tls on https://"));
        if let (Some(http), Some(admin)) = (http, address(&line, "admin on http://")) {
            return Ok((http, https, admin));
        }
    }
}

pub(crate) fn address(line: &str, prefix: &str) -> Option<SocketAddr> {
    line.strip_prefix(prefix)?.trim().parse().ok()
}

/// The text that a server prints before its address, once it accepts connections.
pub(crate) const LISTENING: &str = "listening on http://";

/// The name of the configuration file, in the gateway's own directory.
const FILE: &str = "riverhead.toml";

/// The longest time until a gateway accepts connections. It does not wait for brokers.
const START: Duration = Duration::from_secs(20);
