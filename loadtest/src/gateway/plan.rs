//! The settings of a gateway, and its start.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, Mutex},
};

use riverhead_brokers::spawn;
use tempfile::TempDir;

use super::{FILE, Gateway, addresses, keep};

/// The settings of a gateway to start.
#[derive(Clone, Debug)]
pub struct GatewayPlan {
    /// The riverhead binary.
    pub binary: PathBuf,
    /// The bootstrap addresses.
    pub bootstrap: Vec<String>,
    /// The id that the cluster must have, if it is configured.
    pub cluster_id: Option<String>,
    /// The streams and their topics.
    pub streams: Vec<(String, Vec<String>)>,
    /// The end of the configuration file: keys of the last stream, then sections.
    pub further: String,
    /// Settings by environment.
    pub env: Vec<(String, String)>,
    /// The `history_rate` in bytes per second, if it is not the default.
    pub history_rate: Option<u64>,
    /// Events per second of the demo. With it, the gateway uses the demo's own brokers and stream.
    pub demo: Option<u32>,
    /// The limit of file descriptors, if it is not that of this process.
    pub descriptors: Option<u32>,
}

impl GatewayPlan {
    /// Creates a plan of a gateway with one stream.
    pub fn new(binary: impl Into<PathBuf>, bootstrap: Vec<String>, stream: &str, topics: &[&str]) -> Self {
        let topics = topics.iter().map(ToString::to_string).collect();
        Self {
            binary: binary.into(),
            bootstrap,
            cluster_id: None,
            streams: vec![(stream.into(), topics)],
            further: String::new(),
            env: Vec::new(),
            history_rate: None,
            demo: None,
            descriptors: None,
        }
    }

    /// Creates a plan of the demo with this many events per second. It needs nothing else.
    pub fn demo(binary: impl Into<PathBuf>, rate: u32) -> Self {
        Self {
            demo: Some(rate),
            ..Self::new(binary, Vec::new(), "", &[])
        }
    }

    /// Limits the number of file descriptors.
    #[must_use]
    pub fn descriptors(mut self, limit: u32) -> Self {
        self.descriptors = Some(limit);
        self
    }

    /// Adds a setting as an environment variable: `RIVERHEAD_HTTP__HEARTBEAT`, `1s`.
    #[must_use]
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Adds these settings, as [`set`](Self::set) does.
    #[must_use]
    pub fn set_all<'a>(self, settings: impl IntoIterator<Item = &'a (String, String)>) -> Self {
        let settings = settings.into_iter();
        settings.fold(self, |plan, (name, value)| plan.set(name, value))
    }

    /// Sets limits that a test from one address does not reach.
    #[must_use]
    pub fn unlimited(self) -> Self {
        // The last eighth of the total is reserved for addresses that have no stream.
        self.set("RIVERHEAD_LIMITS__STREAMS_PER_CLIENT", "10000")
            .set("RIVERHEAD_LIMITS__STREAMS_TOTAL", "12000")
            .set("RIVERHEAD_LIMITS__CONNECTIONS_WITHOUT_STREAM", "4000")
            .set("RIVERHEAD_LIMITS__CONNECTIONS_WITHOUT_STREAM_PER_CLIENT", "4000")
            .set("RIVERHEAD_LIMITS__REQUESTS_PER_MINUTE", "1000000")
            .set("RIVERHEAD_LIMITS__REQUEST_BURST", "100000")
    }

    /// Sets limits for this many streams, which is more than [`unlimited`](Self::unlimited) admits.
    #[must_use]
    pub fn room_for(self, streams: usize) -> Self {
        // Not many more than with the eighth that is reserved, because each takes a descriptor.
        let total = (streams * 8 / 7 + 50).to_string();
        self.unlimited()
            .set("RIVERHEAD_LIMITS__STREAMS_PER_CLIENT", &total)
            .set("RIVERHEAD_LIMITS__STREAMS_TOTAL", &total)
            .set("RIVERHEAD_LIMITS__CONNECTIONS_WITHOUT_STREAM", "2000")
            .set("RIVERHEAD_LIMITS__CONNECTIONS_WITHOUT_STREAM_PER_CLIENT", "2000")
    }

    /// Returns the text of the configuration file.
    pub fn config(&self) -> String {
        let mut text = String::from("[http]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n");
        text += &format!(
            "[[clusters]]\nname = \"main\"\nbootstrap = {:?}\n",
            self.bootstrap
        );
        if let Some(rate) = self.history_rate {
            text += &format!("history_rate = {rate}\n");
        }
        if self.bootstrap.len() == 1 {
            text += "allow_single_bootstrap = true\n";
        }
        if let Some(id) = &self.cluster_id {
            text += &format!("cluster_id = {id:?}\n");
        }
        for (name, topics) in &self.streams {
            text += &format!("[[streams]]\nname = {name:?}\ntopics = {topics:?}\n");
        }
        text + &self.further
    }

    /// Starts the gateway, and waits until it accepts connections.
    ///
    /// # Errors
    /// If it does not print `listening on` and `admin on` within 20 seconds.
    pub fn start(&self) -> io::Result<Gateway> {
        let directory = TempDir::new()?;
        let file = directory.path().join(FILE);
        fs::write(&file, self.config())?;
        let mut command = self.command(&file);
        command
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = spawn(command)?;
        let log = Arc::new(Mutex::new(String::new()));
        if let Some(stderr) = child.stderr.take() {
            keep(stderr, log.clone());
        }
        match addresses(&mut child) {
            Ok((http, https, admin)) => Ok(Gateway {
                directory,
                child,
                http,
                https,
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

impl GatewayPlan {
    /// Returns the process to start, with its arguments.
    fn command(&self, config: &Path) -> Command {
        let mut command = match self.descriptors {
            None => Command::new(&self.binary),
            Some(limit) => {
                let mut shell = Command::new("sh");
                let limited = format!("ulimit -n {limit} && exec \"$@\"");
                shell.args(["-c", &limited, "sh"]).arg(&self.binary);
                shell
            }
        };
        match self.demo {
            None => command.args(["serve", "--config"]).arg(config),
            Some(rate) => {
                let free = "127.0.0.1:0";
                let rate = rate.to_string();
                command.args(["demo", "--listen", free, "--admin", free, "--rate", &rate])
            }
        };
        command
    }
}
