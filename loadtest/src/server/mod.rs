//! What is loaded: riverhead, and those that it is measured beside.

mod feed;
mod peers;
mod raw;

pub use feed::Feed;
pub use raw::serve as serve_raw;

use std::{
    env, io,
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use riverhead_brokers::{Cluster, NewTopic, spawn};
use serde::Serialize;

use crate::{
    gateway::{Gateway, GatewayPlan, LISTENING, address, lines_of},
    pins::Pins,
    process::Process,
    scenarios::DETERMINED,
};

/// Who serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// riverhead as it comes.
    Riverhead,
    /// riverhead whose connections all stay with hyper.
    Body,
    /// One thread, epoll, and one `write(2)` a client of bytes composed once: what the kernel alone costs.
    Raw,
    /// nginx with the Nchan module.
    Nchan,
    /// Node, with a consumer for each client, as EventStreams has it.
    #[value(name = "kafkasse")]
    #[serde(rename = "kafkasse")]
    KafkaSse,
    /// No server: a plain librdkafka consumer of the same records.
    Plain,
}

/// What servers are started with.
#[derive(Clone, Debug)]
pub struct Site<'a> {
    /// The riverhead binary.
    pub binary: &'a Path,
    /// The brokers, for those that read Kafka.
    pub cluster: &'a Cluster,
    /// Where the peers' files are: `loadtest/peers`.
    pub peers: &'a Path,
    /// Settings of riverhead by environment.
    pub settings: &'a [(String, String)],
    /// Which processors they get.
    pub pins: &'a Pins,
}

/// A running server. Dropping it kills it.
#[derive(Debug)]
pub struct Server {
    /// Where its streams are.
    pub address: SocketAddr,
    /// What its clients ask for.
    pub target: String,
    /// What the kernel says of it.
    pub process: Process,
    guard: Guard,
}

#[derive(Debug)]
enum Guard {
    Gateway(Box<Gateway>),
    Child(Child),
    Peer(peers::Nginx),
}

impl Kind {
    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Riverhead => "riverhead",
            Self::Body => "riverhead, hyper body",
            Self::Raw => "raw write(2)",
            Self::Nchan => "Nchan",
            Self::KafkaSse => "KafkaSSE",
            Self::Plain => "plain consumer",
        }
    }

    /// Whether it reads records from Kafka.
    pub fn reads_kafka(self) -> bool {
        !matches!(self, Self::Raw | Self::Nchan)
    }

    /// Whether it is riverhead.
    pub fn is_riverhead(self) -> bool {
        matches!(self, Self::Riverhead | Self::Body)
    }

    /// Whether a stream that has begun gets whatever is written from then on. A consumer of a client's own may join later.
    pub fn begins_at_once(self) -> bool {
        self != Self::KafkaSse
    }

    /// Fails with the name of a file that it needs and that is not there.
    fn check(self, peers: &Path) -> io::Result<()> {
        let needed = match self {
            Self::Nchan => peers::needed_by_nchan(peers),
            Self::KafkaSse => vec![peers.join(KAFKA_SSE), peers.join("kafkasse/node_modules")],
            Self::Riverhead | Self::Body | Self::Raw | Self::Plain => Vec::new(),
        };
        match needed.iter().find(|path| !path.exists()) {
            None => Ok(()),
            Some(path) => Err(io::Error::new(
                io::ErrorKind::NotFound,
                format!(
                    "{} needs {}; see loadtest/peers/install and --peers",
                    self.name(),
                    path.display()
                ),
            )),
        }
    }

    /// Starts it, for the records of `topic`, which it creates. None for a plain consumer.
    ///
    /// # Errors
    /// If it does not accept within 20 seconds, or is not installed.
    pub fn start(self, site: &Site<'_>, topic: &str) -> io::Result<Option<Server>> {
        if self.reads_kafka() {
            create(site.cluster, topic);
        }
        site.pins.on_server(|| match self {
            Self::Riverhead => gateway(site, topic, &[]).map(Some),
            Self::Body => gateway(site, topic, &[ALL_BODIES]).map(Some),
            Self::Raw => raw().map(Some),
            Self::Nchan => peers::nchan(site.peers).map(Some),
            Self::KafkaSse => kafka_sse(site, topic).map(Some),
            Self::Plain => Ok(None),
        })
    }
}

/// Whether all of them are installed: who finds out in the middle of a run has lost what was measured before.
///
/// # Errors
/// If one needs a file that is not there.
pub fn check(servers: &[Kind], peers: &Path) -> io::Result<()> {
    servers.iter().try_for_each(|kind| kind.check(peers))
}

impl Server {
    /// How to give it events: through Kafka, or by hand.
    ///
    /// # Errors
    /// If it does not take them.
    pub fn feed(&mut self, cluster: &Cluster, topic: &str, bytes: usize) -> io::Result<Feed> {
        match &mut self.guard {
            Guard::Child(child) if child.stdin.is_some() => {
                let pipe = child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
                Ok(Feed::pipe(pipe, topic, bytes))
            }
            Guard::Peer(nginx) => nginx.feed(bytes),
            _ => Ok(Feed::to_kafka(cluster, topic, bytes)),
        }
    }

    /// The value of a metric of riverhead's; none if it has no such.
    pub fn metric(&self, name: &str) -> Option<f64> {
        match &self.guard {
            Guard::Gateway(gateway) => gateway.metric_if_any(name).ok().flatten(),
            _ => None,
        }
    }

    /// riverhead's log; of others none is kept.
    pub fn log(&self) -> String {
        match &self.guard {
            Guard::Gateway(gateway) => gateway.log(),
            _ => String::new(),
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Self::Child(child) = self {
            // Both fail only when it has ended already.
            _ = child.kill();
            _ = child.wait();
        }
    }
}

/// Three partitions, one replica: what is measured is not how brokers copy.
fn create(cluster: &Cluster, topic: &str) {
    let brokers = cluster.broker_ids();
    let replicas: Vec<[i32; 1]> = (0..PARTITIONS)
        .map(|index| [brokers[index % brokers.len()]])
        .collect();
    let replicas: Vec<&[i32]> = replicas.iter().map(<[i32; 1]>::as_slice).collect();
    cluster.create(&NewTopic::with_replicas(topic, &replicas));
}

fn gateway(site: &Site<'_>, topic: &str, more: &[(&str, &str)]) -> io::Result<Server> {
    let mut plan =
        GatewayPlan::new(site.binary, site.cluster.bootstrap_list(), "numbers", &[topic]).unlimited();
    plan = plan.set("RIVERHEAD_LOG__LEVEL", "warn");
    for (name, value) in site.settings {
        plan = plan.set(name, value);
    }
    for (name, value) in more {
        plan = plan.set(name, value);
    }
    let gateway = plan.start()?;
    gateway.wait_for_partitions(PARTITIONS, DETERMINED);
    Ok(Server {
        address: gateway.http,
        target: "/v2/stream/numbers".into(),
        process: gateway.process(),
        guard: Guard::Gateway(Box::new(gateway)),
    })
}

/// The server of `kafkasse`, among the peers' files.
const KAFKA_SSE: &str = "kafkasse/server.mjs";

/// This program, in another of its roles.
fn raw() -> io::Result<Server> {
    let mut command = Command::new(env::current_exe()?);
    command.arg("raw").stdin(Stdio::piped()).stdout(Stdio::piped());
    announced(spawn(command)?, "/".into())
}

fn kafka_sse(site: &Site<'_>, topic: &str) -> io::Result<Server> {
    let mut command = Command::new("node");
    command
        .arg(site.peers.join(KAFKA_SSE))
        .args([&site.cluster.bootstrap(), topic])
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    announced(spawn(command)?, "/".into())
}

/// Once it has said where it listens.
fn announced(mut child: Child, target: String) -> io::Result<Server> {
    let lines = lines_of(&mut child)?;
    let process = Process::new(child.id());
    let guard = Guard::Child(child);
    loop {
        let line = lines.recv_timeout(START).map_err(|_| io::ErrorKind::TimedOut)?;
        if let Some(address) = address(&line, LISTENING) {
            return Ok(Server {
                address,
                target,
                process,
                guard,
            });
        }
    }
}

/// Of every topic here.
pub const PARTITIONS: usize = 3;

/// How long a server may take until it accepts.
const START: Duration = Duration::from_secs(20);

/// Keeps every connection with hyper.
const ALL_BODIES: (&str, &str) = ("RIVERHEAD_HTTP__SINK", "body");
