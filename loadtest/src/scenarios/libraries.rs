//! Client libraries of npm, PyPI and crates.io, which reconnect by themselves while the gateway is restarted and its configuration is
//! read again, and brokers are killed.

use std::{
    fmt,
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use riverhead_brokers::{Cluster, Running, eventually, spawn};
use serde::Serialize;

use super::{EXACT, problems};
use crate::{
    gateway::{Gateway, GatewayPlan},
    handover::Successor,
    numbers::{Faults, Got, Truth, number},
    progress::Progress,
    table::Table,
};

/// The sizes of the scenario.
#[derive(Clone, Debug)]
pub struct Libraries {
    /// The riverhead binary.
    pub binary: PathBuf,
    /// The directory with the programs that use the libraries, and what they need.
    pub clients: PathBuf,
    /// Records per second.
    pub rate: f64,
    /// How long a gateway that is replaced drains its streams.
    pub drain: Duration,
    /// How long the libraries may take until all have what was written.
    pub patience: Duration,
    /// Reports progress.
    pub progress: Progress,
}

/// The result of the scenario.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The number of records that the brokers acknowledged.
    pub written: usize,
    /// What each library received.
    pub libraries: Vec<LibraryReport>,
    /// The number of requests that were refused.
    pub refused: u64,
    /// The gateway's log.
    #[serde(skip)]
    pub log: String,
}

/// What one library received.
#[derive(Clone, Debug, Serialize)]
pub struct LibraryReport {
    /// Where it comes from, and its name.
    pub name: String,
    /// The number of its events.
    pub events: usize,
    /// The faults in them.
    pub faults: Faults,
    /// What it gave out and is no record, the first lines.
    pub strange: Vec<String>,
}

impl Libraries {
    /// Returns whether everything is where `loadtest/clients/libraries/install` puts it.
    pub fn are_installed(clients: &Path) -> bool {
        let program = |registry: &Registry| registry.program(clients);
        REGISTRIES.iter().map(program).all(|program| program.is_file())
    }

    /// Runs the scenario on a healthy cluster.
    ///
    /// # Errors
    /// If a program or a gateway does not start.
    ///
    /// # Panics
    /// If a library does not receive what was written in time.
    pub fn run(&self, cluster: &Cluster, topic: &str) -> io::Result<Report> {
        cluster.create_topic(topic, 3);
        let plan = self.plan(cluster, topic);
        let mut gateway = plan.start()?;
        gateway.wait_for_partitions(3, self.patience);
        let readers = self.start_readers(&gateway)?;
        let producer = cluster.producer(topic).fields(|_| META.into());
        let writer = producer.rate(self.rate).start().run();
        self.wait_for(&readers, &writer);

        self.progress.say("a hot restart");
        let mut refused = refusals(&gateway)?;
        let first = gateway.hand_over(self.patience)?;
        gateway.wait(self.patience)?;
        self.wait_for(&readers, &writer);
        self.reload(&gateway, &plan, &first)?;
        self.wait_for(&readers, &writer);
        for broker in cluster.broker_ids() {
            self.progress.say(format_args!("broker {broker} is killed"));
            cluster.kill(broker);
            self.wait_for(&readers, &writer);
            cluster.start_broker(broker);
        }
        self.progress.say("another hot restart");
        refused += refusals(&gateway)?;
        let second = gateway.hand_over_by(first.pid, self.patience)?;
        self.wait_for(&readers, &writer);

        let truth = Truth::of(&[writer.finish()]);
        self.wait_until(&readers, truth.len());
        refused += refusals(&gateway)?;
        drop((first, second));
        Ok(Report {
            written: truth.len(),
            libraries: readers.into_iter().map(|reader| reader.report(&truth)).collect(),
            refused,
            log: gateway.log(),
        })
    }

    fn plan(&self, cluster: &Cluster, topic: &str) -> GatewayPlan {
        let mut plan = GatewayPlan::new(&self.binary, cluster.bootstrap_list(), STREAM, &[topic]);
        plan.further = ALIASES.into();
        plan.unlimited()
            .set("RIVERHEAD_HTTP__DRAIN", &format!("{}ms", self.drain.as_millis()))
            // Some libraries leave a stream that says nothing for a few seconds.
            .set("RIVERHEAD_HTTP__HEARTBEAT", "1s")
    }

    /// Starts the programs, and waits until each has a stream.
    fn start_readers(&self, gateway: &Gateway) -> io::Result<Vec<LibraryReader>> {
        let url = format!("http://{}/v2/stream/{STREAM}", gateway.http);
        let mut readers = Vec::new();
        for registry in &REGISTRIES {
            for library in registry.libraries {
                self.progress.say(format_args!("{} {library}", registry.name));
                readers.push(LibraryReader::start(registry, library, &self.clients, &url)?);
                eventually(self.patience, "its stream", || {
                    match gateway.metric("riverhead_streams_open") {
                        Ok(open) if open >= readers.len() as f64 => Ok(()),
                        state => Err(format!("{state:?}\n{}", gateway.log())),
                    }
                });
            }
        }
        Ok(readers)
    }

    /// Leaves out a field of the records, so that nothing that is in memory is served any more.
    fn reload(&self, gateway: &Gateway, plan: &GatewayPlan, serving: &Successor) -> io::Result<()> {
        self.progress.say("a reload");
        let mut redacted = plan.clone();
        redacted.further += "redact = [{ remove = [\"pad\"] }]\n";
        gateway.reconfigure(&redacted)?;
        serving.signal("HUP")
    }

    /// Waits until every library has about as much as was written when it began, and a second of records more.
    fn wait_for(&self, readers: &[LibraryReader], writer: &Running) {
        self.wait_until(readers, writer.acknowledged() + self.rate as usize);
    }

    fn wait_until(&self, readers: &[LibraryReader], events: usize) {
        eventually(self.patience, "events of every library", || {
            let late = readers.iter().filter(|reader| reader.received() < events);
            let late: Vec<_> = late
                .map(|reader| format!("{} {}", reader.name, reader.received()))
                .collect();
            match late.is_empty() {
                true => Ok(()),
                false => Err(format!("of {events}: {}", late.join(", "))),
            }
        });
    }
}

/// Returns how many requests the process that serves now has refused.
fn refusals(gateway: &Gateway) -> io::Result<u64> {
    Ok(gateway.metric("riverhead_refusals_total")? as u64)
}

/// A program that reads with one library. Dropping it kills the program.
#[derive(Debug)]
struct LibraryReader {
    name: String,
    child: Child,
    got: Arc<Mutex<Got>>,
}

impl LibraryReader {
    fn start(registry: &Registry, library: &str, clients: &Path, url: &str) -> io::Result<Self> {
        let mut command = (registry.command)(clients);
        command
            .args([library, url])
            .current_dir(clients)
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let mut child = spawn(command)?;
        let stdout = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let got = Arc::new(Mutex::new(Got::default()));
        let kept = Arc::clone(&got);
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let mut got = kept.lock().unwrap_or_else(PoisonError::into_inner);
                match number(&line) {
                    Some(number) => got.numbers.push(number),
                    None => got.strange.push(line),
                }
            }
        });
        Ok(Self {
            name: format!("{} {library}", registry.name),
            child,
            got,
        })
    }

    fn received(&self) -> usize {
        self.got
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .numbers
            .len()
    }

    fn report(self, truth: &Truth) -> LibraryReport {
        let got = self.got.lock().unwrap_or_else(PoisonError::into_inner);
        LibraryReport {
            name: self.name.clone(),
            events: got.numbers.len(),
            faults: truth.judge(&got),
            strange: got.strange.iter().take(SHOWN).cloned().collect(),
        }
    }
}

impl Drop for LibraryReader {
    fn drop(&mut self) {
        // Both fail only if the process has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where libraries come from, and how the program that uses them is started.
struct Registry {
    name: &'static str,
    libraries: &'static [&'static str],
    /// What has to be there, in the directory of the clients.
    installed: &'static str,
    command: fn(&Path) -> Command,
}

impl Registry {
    fn program(&self, clients: &Path) -> PathBuf {
        clients.join(self.installed)
    }
}

/// All of them reconnect by themselves, with the id of the last event. The `EventSource` of undici 7.16 does not, where a stream ends
/// in order.
const REGISTRIES: [Registry; 3] = [
    Registry {
        name: "npm",
        libraries: &[
            "eventsource",
            "eventsource-client",
            "launchdarkly-eventsource",
            "wikimedia-streams",
        ],
        installed: "node_modules/wikimedia-streams/package.json",
        command: |_| {
            let mut command = Command::new("node");
            command.arg("read.mjs");
            command
        },
    },
    Registry {
        name: "PyPI",
        libraries: &[
            "aiohttp-sse-client",
            "launchdarkly-eventsource",
            "pywikibot",
            "requests-sse",
            "sseclient",
        ],
        installed: PYTHON,
        command: |clients| {
            let mut command = Command::new(clients.join(PYTHON));
            command.arg("read.py");
            command
        },
    },
    Registry {
        name: "crates.io",
        libraries: &["eventsource-client", "reqwest-eventsource"],
        installed: RUST,
        command: |clients| Command::new(clients.join(RUST)),
    },
];

const PYTHON: &str = "venv/bin/python";

const RUST: &str = "target/release/riverhead-client-libraries";

const STREAM: &str = "recentchange";

/// The name by which `wikimedia-streams` asks for the stream.
const ALIASES: &str = "aliases = [\"mediawiki.recentchange\"]\n";

/// The field by which `wikimedia-streams` finds out whom an event is for.
const META: &str = r#""meta":{"stream":"mediawiki.recentchange"},"#;

/// How many lines are shown of what is no record.
const SHOWN: usize = 3;

impl super::Report for Report {
    fn problems(&self) -> Vec<String> {
        let is_exact = |library: &LibraryReport| library.faults.none() && library.strange.is_empty();
        let own = [
            (self.libraries.iter().all(is_exact), EXACT),
            (self.refused == 0, "a library was refused"),
        ];
        problems(own)
    }

    fn log(&self) -> &str {
        &self.log
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} records, {} requests refused", self.written, self.refused)?;
        let mut table = Table::new([
            "library",
            "events",
            "lost",
            "repeated",
            "out of order",
            "invented",
        ]);
        for library in &self.libraries {
            let faults = library.faults;
            let [lost, repeated, out_of_order, invented] =
                [faults.lost, faults.repeated, faults.out_of_order, faults.invented];
            table.row([
                library.name.clone(),
                library.events.to_string(),
                lost.to_string(),
                repeated.to_string(),
                out_of_order.to_string(),
                invented.to_string(),
            ]);
        }
        write!(f, "{table}")?;
        for library in &self.libraries {
            for line in &library.strange {
                write!(f, "\n{}: {line}", library.name)?;
            }
        }
        Ok(())
    }
}
