//! Thousands of connections send a byte of a head now and then. Other clients must not notice.

use std::{
    fmt,
    net::SocketAddr,
    path::PathBuf,
    time::{Duration, Instant},
};

use serde::Serialize;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{problems, raise_descriptors, runtime};
use crate::{
    bystander::{ReferenceClient, ReferenceLatency},
    gateway::{Gateway, GatewayPlan},
    newcomers::{NewClients, newcomer},
    progress::Progress,
};

/// The sizes of the scenario.
#[derive(Clone, Debug)]
pub struct Slowloris {
    /// The riverhead binary.
    pub binary: PathBuf,
    /// The number of connections.
    pub connections: usize,
    /// The number of client addresses. One address alone is limited to its own share.
    pub addresses: u8,
    /// The time between two bytes of one connection.
    pub pause: Duration,
    /// How long the gateway runs undisturbed first, for comparison.
    pub quiet: Duration,
    /// Reports progress.
    pub progress: Progress,
}

/// The result of the scenario.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The number of slow connections.
    pub connections: usize,
    /// The number of those that could not connect, because the backlog was full.
    pub never_connected: usize,
    /// The median duration of a connection.
    pub median: Duration,
    /// The longest duration of a connection.
    pub longest: Duration,
    /// The highest number of connections without a stream.
    pub waiting: usize,
    /// The new clients on 127.0.0.2, one per second.
    #[serde(flatten)]
    pub newcomers: NewClients,
    /// The latencies of the reference client on 127.0.0.3.
    pub bystander: ReferenceLatency,
    /// The gateway's log.
    #[serde(skip)]
    pub log: String,
}

impl Slowloris {
    /// Runs the scenario against its own gateway with the demo's brokers.
    ///
    /// # Panics
    /// If the gateway does not start or stop as requested.
    pub fn run(&self) -> Report {
        raise_descriptors();
        let gateway = GatewayPlan::demo(&self.binary, RATE)
            .set("RIVERHEAD_LOG__LEVEL", "warn")
            .start()
            .expect("the gateway starts");
        let bystander = ReferenceClient::start(gateway.http);
        self.progress.say("quiet");
        std::thread::sleep(self.quiet);
        self.progress
            .say(format_args!("{} connections send slowly", self.connections));
        bystander.set_loud(true);
        let (lives, newcomers, waiting) = runtime().block_on(self.trickle(&gateway));
        self.report(lives, newcomers, waiting, bystander.stop(), &gateway)
    }

    /// Runs the slow connections. Returns the duration of each, the results of new clients meanwhile, and the
    /// highest number of connections without a stream.
    async fn trickle(&self, gateway: &Gateway) -> (Vec<Option<Duration>>, NewClients, usize) {
        let mut crowd = JoinSet::new();
        for index in 0..self.connections {
            let source = [127, 0, 1, (index % usize::from(self.addresses)) as u8];
            crowd.spawn(trickle(source, gateway.http, self.pause));
        }
        let (mut newcomers, mut waiting) = (NewClients::default(), 0);
        let mut lives = Vec::new();
        while !crowd.is_empty() {
            newcomers.add(newcomer(gateway.http).await);
            let seen = gateway.metric("riverhead_http_connections_without_stream");
            waiting = waiting.max(seen.unwrap_or_default() as usize);
            let second = Instant::now() + Duration::from_secs(1);
            while let Ok(Some(life)) = tokio::time::timeout_at(second.into(), crowd.join_next()).await {
                lives.push(life.expect("a connection"));
            }
        }
        (lives, newcomers, waiting)
    }

    fn report(
        &self,
        lives: Vec<Option<Duration>>,
        newcomers: NewClients,
        waiting: usize,
        bystander: ReferenceLatency,
        gateway: &Gateway,
    ) -> Report {
        let mut lasted: Vec<_> = lives.iter().flatten().copied().collect();
        lasted.sort_unstable();
        Report {
            connections: self.connections,
            never_connected: lives.len() - lasted.len(),
            median: lasted.get(lasted.len() / 2).copied().unwrap_or_default(),
            longest: lasted.last().copied().unwrap_or_default(),
            waiting,
            newcomers,
            bystander,
            log: gateway.log(),
        }
    }
}

/// Sends the beginning of a head byte by byte until the other side closes. Returns how long that took, if it
/// connected.
async fn trickle(source: [u8; 4], server: SocketAddr, pause: Duration) -> Option<Duration> {
    let mut socket = connect(source, server).await?;
    let start = Instant::now();
    for byte in HEAD.bytes().chain(std::iter::repeat(b'x')) {
        if socket.write_all(&[byte]).await.is_err() {
            break;
        }
        let mut answer = [0; 512];
        if let Ok(closed) = timeout(pause, socket.read(&mut answer)).await
            && closed.unwrap_or(0) == 0
        {
            break;
        }
    }
    Some(start.elapsed())
}

/// Connects with retries, because the backlog fills up.
async fn connect(source: [u8; 4], server: SocketAddr) -> Option<TcpStream> {
    for _ in 0..ATTEMPTS {
        let socket = TcpSocket::new_v4().ok()?;
        socket.bind((source, 0).into()).ok()?;
        match timeout(Duration::from_secs(10), socket.connect(server)).await {
            Ok(Ok(socket)) => return Some(socket),
            _ => sleep(Duration::from_millis(100)).await,
        }
    }
    None
}

impl super::Report for Report {
    fn problems(&self) -> Vec<String> {
        let own = [
            (self.never_connected == 0, "some connections could not be opened"),
            (self.longest < DEADLINE, "a slow connection outlived the deadline"),
            (
                self.waiting <= LOBBY,
                "more connections without a stream than the limit",
            ),
        ];
        let others = self.newcomers.checks().into_iter().chain(self.bystander.checks());
        problems(own.into_iter().chain(others))
    }

    fn log(&self) -> &str {
        &self.log
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = Duration::as_secs_f64;
        writeln!(f, "slow connections           {}", self.connections)?;
        writeln!(
            f,
            "  closed after             {:.1} s (median), {:.1} s (last)",
            seconds(&self.median),
            seconds(&self.longest)
        )?;
        writeln!(f, "  without a stream         at most {} at a time", self.waiting)?;
        writeln!(f, "{}", self.newcomers)?;
        write!(f, "{}", self.bystander)
    }
}

const HEAD: &str = "GET /v2/stream/recentchange HTTP/1.1\r\nHost: slow\r\nX-Slow: ";

/// Events per second: enough for a percentile.
const RATE: u32 = 200;

/// The 30 s for a head, two in which its response may be read, and some for a busy machine.
const DEADLINE: Duration = Duration::from_secs(38);

/// The default of `limits.connections_without_stream`.
const LOBBY: usize = 512;

/// A SYN that finds the backlog full is repeated after 1, 3 and 7 s.
const ATTEMPTS: usize = 10;
