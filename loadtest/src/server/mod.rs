//! The servers that are loaded: riverhead, and those that it is compared with.

mod feed;
mod gateways;
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
    gateway::{Gateway, LISTENING, address, lines_of},
    pins::Pins,
    process::Process,
    tls::{ServerCertificate, TlsTrust},
};

/// The server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// riverhead with its defaults.
    Riverhead,
    /// riverhead with all connections kept in hyper.
    Body,
    /// riverhead over TLS 1.3.
    Tls,
    /// The same with all connections kept in hyper and rustls.
    TlsBody,
    /// riverhead over HTTP/2 and TLS 1.3, with one stream on each connection.
    TlsH2,
    /// nginx with two workers, which terminates TLS 1.3, before riverhead without TLS. Both are measured as one server.
    TlsNginx,
    /// One thread, epoll, and one `write(2)` per client of bytes that were composed once: the cost of the
    /// kernel alone.
    Raw,
    /// nginx with the Nchan module.
    Nchan,
    /// Node with one consumer per client, as in EventStreams.
    #[value(name = "kafkasse")]
    #[serde(rename = "kafkasse")]
    KafkaSse,
    /// No server: a plain librdkafka consumer of the same records.
    Plain,
}

/// The options that servers are started with.
#[derive(Clone, Debug)]
pub struct Site<'a> {
    /// The riverhead binary.
    pub binary: &'a Path,
    /// The brokers, for servers that read Kafka.
    pub cluster: &'a Cluster,
    /// The directory of the peers' files: `loadtest/peers`.
    pub peers: &'a Path,
    /// Settings of riverhead, as environment variables.
    pub settings: &'a [(String, String)],
    /// Further keys of its stream.
    pub stream_keys: &'a str,
    /// The processors of the server.
    pub pins: &'a Pins,
}

impl<'a> Site<'a> {
    /// Returns these options with further keys of the stream.
    #[must_use]
    pub fn with_stream_keys(&self, stream_keys: &'a str) -> Self {
        Self {
            stream_keys,
            ..self.clone()
        }
    }
}

/// A running server. Dropping it kills the server.
#[derive(Debug)]
pub struct Server {
    /// The address of its streams.
    pub address: SocketAddr,
    /// The request target of its clients.
    pub target: String,
    /// Its certificate, if its clients connect over TLS.
    pub certificate: Option<ServerCertificate>,
    /// Whether its clients speak HTTP/2.
    is_http2: bool,
    /// The process, for figures from the kernel.
    pub process: Process,
    guard: Guard,
}

#[derive(Debug)]
enum Guard {
    Gateway(Box<Gateway>),
    Child(Child),
    Peer(peers::Nginx),
    /// A gateway behind a proxy, which ends first.
    Behind {
        _proxy: peers::Nginx,
        gateway: Box<Gateway>,
    },
}

impl Kind {
    /// Returns the name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Riverhead => "riverhead",
            Self::Body => "riverhead, hyper body",
            Self::Tls => "riverhead, TLS",
            Self::TlsBody => "riverhead, TLS, hyper body",
            Self::TlsH2 => "riverhead, TLS, HTTP/2",
            Self::TlsNginx => "nginx with TLS, riverhead",
            Self::Raw => "raw write(2)",
            Self::Nchan => "Nchan",
            Self::KafkaSse => "KafkaSSE",
            Self::Plain => "plain consumer",
        }
    }

    /// Returns whether the server reads records from Kafka.
    pub fn reads_kafka(self) -> bool {
        !matches!(self, Self::Raw | Self::Nchan)
    }

    /// Returns whether the server is riverhead, also behind a proxy.
    pub fn is_riverhead(self) -> bool {
        !matches!(self, Self::Raw | Self::Nchan | Self::KafkaSse | Self::Plain)
    }

    /// Returns whether a stream that has begun gets everything that is written after that. The consumer of
    /// one client may join later.
    pub fn begins_at_once(self) -> bool {
        self != Self::KafkaSse
    }

    /// Fails with the name of a missing file that the server needs.
    fn check(self, peers: &Path) -> io::Result<()> {
        let needed = match self {
            Self::Nchan => peers::needed_by_nchan(peers),
            Self::KafkaSse => vec![peers.join(KAFKA_SSE), peers.join("kafkasse/node_modules")],
            Self::TlsNginx => peers::needed_by_proxy(peers),
            _ => Vec::new(),
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

    /// Starts the server for the records of `topic`, which it creates. Returns `None` for a plain consumer.
    ///
    /// # Errors
    /// If it does not accept connections within 20 seconds, or is not installed.
    pub fn start(self, site: &Site<'_>, topic: &str) -> io::Result<Option<Server>> {
        if self.reads_kafka() {
            create(site.cluster, topic);
        }
        site.pins.on_server(|| match self {
            Self::Riverhead => gateways::plain(site, topic, &[]).map(Some),
            Self::Body => gateways::plain(site, topic, &[gateways::ALL_BODIES]).map(Some),
            Self::Tls => gateways::with_tls(site, topic, &[]).map(Some),
            Self::TlsBody => gateways::with_tls(site, topic, &[gateways::ALL_BODIES]).map(Some),
            Self::TlsH2 => gateways::with_http2(site, topic).map(Some),
            Self::TlsNginx => gateways::behind_nginx(site, topic).map(Some),
            Self::Raw => raw().map(Some),
            Self::Nchan => peers::nchan(site.peers).map(Some),
            Self::KafkaSse => kafka_sse(site, topic).map(Some),
            Self::Plain => Ok(None),
        })
    }
}

/// Checks that all servers are installed, before a run. Otherwise a missing one would end the run and lose
/// its figures.
///
/// # Errors
/// If a server needs a file that is missing.
pub fn check(servers: &[Kind], peers: &Path) -> io::Result<()> {
    servers.iter().try_for_each(|kind| kind.check(peers))
}

impl Server {
    /// Returns the feed of the server: through Kafka or directly.
    ///
    /// # Errors
    /// If the server does not accept events.
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

    /// Returns what its clients trust, if they connect over TLS.
    pub fn trust(&self) -> Option<TlsTrust> {
        let trust = self.certificate.as_ref().map(ServerCertificate::trust);
        match self.is_http2 {
            true => trust.map(|trust| trust.over_http2()),
            false => trust,
        }
    }

    /// Returns the value of a metric of riverhead; `None` if there is none.
    pub fn metric(&self, name: &str) -> Option<f64> {
        self.gateway()?.metric_if_any(name).ok().flatten()
    }

    /// Returns riverhead's log. Logs of other servers are not kept.
    pub fn log(&self) -> String {
        self.gateway().map(Gateway::log).unwrap_or_default()
    }

    fn gateway(&self) -> Option<&Gateway> {
        match &self.guard {
            Guard::Gateway(gateway) | Guard::Behind { gateway, .. } => Some(gateway),
            Guard::Child(_) | Guard::Peer(_) => None,
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Self::Child(child) = self {
            // Both fail only if the process has ended already.
            _ = child.kill();
            _ = child.wait();
        }
    }
}

/// Creates a topic of three partitions with one replica: replication is not measured.
pub(crate) fn create(cluster: &Cluster, topic: &str) {
    let brokers = cluster.broker_ids();
    let replicas: Vec<[i32; 1]> = (0..PARTITIONS)
        .map(|index| [brokers[index % brokers.len()]])
        .collect();
    let replicas: Vec<&[i32]> = replicas.iter().map(<[i32; 1]>::as_slice).collect();
    cluster.create(&NewTopic::with_replicas(topic, &replicas));
}

/// The server of `kafkasse`, among the peers' files.
const KAFKA_SSE: &str = "kafkasse/server.mjs";

/// Starts this program as the raw writer.
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

/// Waits until the process has printed its address.
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
                certificate: None,
                is_http2: false,
                process,
                guard,
            });
        }
    }
}

/// The number of partitions of every topic here.
pub const PARTITIONS: usize = 3;

/// The longest time until a server accepts connections.
const START: Duration = Duration::from_secs(20);
