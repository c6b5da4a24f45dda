//! A riverhead process of our own.

use std::{
    fs, io,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use riverhead_brokers::eventually;
use tempfile::TempDir;

/// A running gateway. Dropping it kills the process.
#[derive(Debug)]
pub struct Gateway {
    child: Child,
    /// Where streams are.
    pub http: SocketAddr,
    /// Where metrics and health are.
    pub admin: SocketAddr,
    log: Arc<Mutex<String>>,
    /// Its configuration, for as long as it runs.
    _directory: TempDir,
}

/// What a gateway needs to start.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The binary.
    pub binary: PathBuf,
    /// Bootstrap addresses.
    pub bootstrap: Vec<String>,
    /// Streams and their topics.
    pub streams: Vec<(String, Vec<String>)>,
    /// Settings by environment.
    pub env: Vec<(String, String)>,
}

impl Plan {
    /// A gateway with one stream.
    pub fn new(binary: impl Into<PathBuf>, bootstrap: Vec<String>, stream: &str, topics: &[&str]) -> Self {
        let topics = topics.iter().map(ToString::to_string).collect();
        Self {
            binary: binary.into(),
            bootstrap,
            streams: vec![(stream.into(), topics)],
            env: Vec::new(),
        }
    }

    /// With a setting, by environment: `RIVERHEAD_HTTP__HEARTBEAT`, `1s`.
    #[must_use]
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// With limits that a test from one address does not meet.
    #[must_use]
    pub fn unlimited(self) -> Self {
        // The last eighth of the total is for addresses that have no stream.
        self.set("RIVERHEAD_LIMITS__STREAMS_PER_CLIENT", "10000")
            .set("RIVERHEAD_LIMITS__STREAMS_TOTAL", "12000")
            .set("RIVERHEAD_LIMITS__REQUESTS_PER_MINUTE", "1000000")
            .set("RIVERHEAD_LIMITS__REQUEST_BURST", "100000")
    }

    /// The configuration file.
    pub fn config(&self) -> String {
        let mut text = String::from("[http]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n");
        text += &format!(
            "[[clusters]]\nname = \"main\"\nbootstrap = {:?}\n",
            self.bootstrap
        );
        for (name, topics) in &self.streams {
            text += &format!("[[streams]]\nname = {name:?}\ntopics = {topics:?}\n");
        }
        text
    }

    /// Starts it, and waits until it accepts.
    ///
    /// # Errors
    /// When it does not say `listening on` and `admin on` within 20 seconds.
    pub fn start(&self) -> io::Result<Gateway> {
        let directory = TempDir::new()?;
        let file = directory.path().join("riverhead.toml");
        fs::write(&file, self.config())?;
        let mut child = Command::new(&self.binary)
            .args(["serve", "--config"])
            .arg(&file)
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let log = Arc::new(Mutex::new(String::new()));
        if let Some(stderr) = child.stderr.take() {
            keep(stderr, log.clone());
        }
        match addresses(&mut child) {
            Ok((http, admin)) => Ok(Gateway {
                _directory: directory,
                child,
                http,
                admin,
                log,
            }),
            Err(error) => {
                child.kill()?;
                child.wait()?;
                let log = log.lock().map(|log| log.clone()).unwrap_or_default();
                Err(io::Error::new(error.kind(), format!("{error}\n{log}")))
            }
        }
    }
}

impl Gateway {
    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        self.log.lock().map(|log| log.clone()).unwrap_or_default()
    }

    /// Resident memory in bytes.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn resident(&self) -> io::Result<u64> {
        self.status("VmRSS:")
    }

    /// The most resident memory that it ever had, in bytes.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn most_resident(&self) -> io::Result<u64> {
        self.status("VmHWM:")
    }

    fn status(&self, name: &str) -> io::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
        kilobytes
            .map(|kilobytes| kilobytes * 1024)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// The processor time that it has used, its own and the kernel's for it.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn cpu(&self) -> io::Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid()))?;
        // Behind the name, which may hold anything: the state is field 3, user and system time are 14 and 15.
        let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
        let ticks: u64 = fields
            .skip(11)
            .take(2)
            .filter_map(|ticks| ticks.parse::<u64>().ok())
            .sum();
        Ok(TICK * u32::try_from(ticks).unwrap_or(u32::MAX))
    }

    /// What its admin listener answers to `GET path`.
    ///
    /// # Errors
    /// When it does not.
    pub fn admin(&self, path: &str) -> io::Result<String> {
        let mut socket = TcpStream::connect(self.admin)?;
        socket.set_read_timeout(Some(START))?;
        write!(socket, "GET {path} HTTP/1.0\r\nHost: {}\r\n\r\n", self.admin)?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer)?;
        Ok(answer)
    }

    /// The value of a metric: the sum over its label sets.
    ///
    /// # Errors
    /// When the admin listener does not answer.
    pub fn metric(&self, name: &str) -> io::Result<f64> {
        let text = self.admin("/metrics")?;
        let values = text.lines().filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            let own = series.split('{').next() == Some(name);
            own.then(|| value.parse::<f64>().ok()).flatten()
        });
        Ok(values.sum())
    }

    /// Waits until it reads so many partitions: what is written from then on comes by its tail, and not as history.
    ///
    /// # Panics
    /// When it does not within `patience`.
    pub fn wait_for_partitions(&self, partitions: usize, patience: Duration) {
        eventually(patience, "partitions that are read", || {
            match self.metric("riverhead_partitions") {
                Ok(read) if read >= partitions as f64 => Ok(()),
                state => Err(format!("{state:?}\n{}", self.log())),
            }
        });
    }

    /// Waits until it has ended by itself; its exit code.
    ///
    /// # Errors
    /// When it has not within `patience`.
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
    fn drop(&mut self) {
        // Both fail only when it has ended already.
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

fn addresses(child: &mut Child) -> io::Result<(SocketAddr, SocketAddr)> {
    let stdout = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
    let (send, lines) = std::sync::mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if send.send(line).is_err() {
                return;
            }
        }
    });
    let (mut http, mut admin) = (None, None);
    while http.is_none() || admin.is_none() {
        let line = lines.recv_timeout(START).map_err(|_| io::ErrorKind::TimedOut)?;
        http = http.or_else(|| address(&line, "listening on http://"));
        admin = admin.or_else(|| address(&line, "admin on http://"));
    }
    http.zip(admin).ok_or_else(|| io::ErrorKind::NotFound.into())
}

fn address(line: &str, prefix: &str) -> Option<SocketAddr> {
    line.strip_prefix(prefix)?.trim().parse().ok()
}

/// How long a gateway may take until it accepts. It waits for no broker.
const START: Duration = Duration::from_secs(20);

/// The unit of times in `/proc`: `USER_HZ`, which is 100 on every Linux.
const TICK: Duration = Duration::from_millis(10);
