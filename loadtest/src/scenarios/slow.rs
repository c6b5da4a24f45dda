//! One client reads a byte per second, and another one keeps up. Measures the gateway's memory.

use std::{
    fmt,
    path::PathBuf,
    time::{Duration, Instant},
};

use riverhead_brokers::{Cluster, Running};
use serde::Serialize;
use tokio::{
    join,
    time::{Instant as Deadline, sleep},
};

use super::{DETERMINED, exact, problems, runtime};
use crate::{
    client::Ask,
    gateway::{Gateway, GatewayPlan},
    numbers::{Faults, Got, Truth},
    progress::Progress,
    reading::{Connection, Reading},
};

/// The sizes of the scenario.
#[derive(Clone, Debug)]
pub struct Slow {
    /// The riverhead binary.
    pub binary: PathBuf,
    /// Records per second, over two topics of three partitions each.
    pub rate: f64,
    /// The time to fill the rings and the history cache, and some more.
    pub warm_up: Duration,
    /// How long the client is slow. The same time without it is measured first, for comparison.
    pub slowly: Duration,
    /// The budget of the tail rings and of the history cache, in MiB.
    pub memory: u32,
    /// How long the clients may take to finish after the slow client speeds up.
    pub patience: Duration,
    /// Reports progress.
    pub progress: Progress,
}

/// The result of the scenario.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Memory without the slow client.
    pub without: Resident,
    /// Memory with the slow client.
    pub with: Resident,
    /// How far behind the slow client was when it sped up, in events.
    pub behind: usize,
    /// Whether its one connection lasted, and it received everything in time.
    pub finished: bool,
    /// The faults of both clients.
    pub faults: Faults,
    /// The number of gap events.
    pub gaps: usize,
    /// Time from speeding up until it had everything.
    pub took: Duration,
    /// The gateway's log.
    #[serde(skip)]
    pub log: String,
}

/// The gateway's resident memory over a time, in bytes.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Resident {
    /// At the start.
    pub first: u64,
    /// At the end.
    pub last: u64,
    /// The minimum.
    pub least: u64,
    /// The maximum.
    pub most: u64,
}

/// The clients at the moment when the slow one speeds up.
struct Clients {
    fast: Reading,
    slow: Reading,
    connection: Option<Connection>,
}

impl Slow {
    /// Runs the scenario on a healthy cluster.
    ///
    /// # Panics
    /// If the cluster or the gateway does not start.
    pub fn run(&self, cluster: &Cluster, name: &str) -> Report {
        let topics = [format!("{name}-a"), format!("{name}-b")];
        topics.iter().for_each(|topic| cluster.create_topic(topic, 3));
        let gateway = self.gateway(cluster, &topics);
        let writers: Vec<Running> = topics
            .iter()
            .map(|topic| cluster.producer(topic).rate(self.rate / 2.0).start().run())
            .collect();
        let runtime = runtime();
        let (mut clients, without, with) = runtime.block_on(self.load(&gateway));
        let ledgers: Vec<_> = writers.into_iter().map(Running::finish).collect();
        let truth = Truth::of(&ledgers);
        let behind = truth.len() - clients.slow.got.numbers.len();
        self.progress
            .say(format_args!("the slow client speeds up, {behind} events behind"));
        let began = Instant::now();
        let finished = runtime.block_on(clients.finish(truth.len(), Deadline::now() + self.patience));
        let both = [&clients.fast.got, &clients.slow.got];
        Report {
            without,
            with,
            behind,
            finished,
            faults: truth.judge_all(both),
            gaps: both.iter().map(|got: &&Got| got.gaps.len()).sum(),
            took: began.elapsed(),
            log: gateway.log(),
        }
    }

    fn gateway(&self, cluster: &Cluster, topics: &[String]) -> Gateway {
        let topics: Vec<_> = topics.iter().map(String::as_str).collect();
        let memory = format!("{}MiB", self.memory);
        let gateway = GatewayPlan::new(&self.binary, cluster.bootstrap_list(), "numbers", &topics)
            .unlimited()
            .set("RIVERHEAD_HTTP__STALL_TIMEOUT", "5m")
            .set("RIVERHEAD_MEMORY__TAIL", &memory)
            .set("RIVERHEAD_MEMORY__HISTORY", &memory)
            // This ring begins to fill when a second client connects, slow or not. So it is small.
            .set("RIVERHEAD_MEMORY__LANES", "1MiB")
            .start()
            .expect("the gateway starts");
        gateway.wait_for_partitions(6, DETERMINED);
        gateway
    }

    async fn load(&self, gateway: &Gateway) -> (Clients, Resident, Resident) {
        let mut fast = Reading::new(gateway.http, Ask::new("/v2/stream/numbers?since=1"));
        self.progress.say("warming up: rings and caches fill");
        self.warm_up(gateway, &mut fast).await;
        self.progress.say("measuring without a slow client");
        let until = Deadline::now() + self.slowly;
        let (_, without) = join!(fast.read(usize::MAX, None, until), watch(gateway, until));
        self.progress
            .say(format_args!("{without}; measuring with a slow client"));
        let mut slow = fast.fork(RECEIVE_BUFFER);
        let until = Deadline::now() + self.slowly;
        let (_, connection, with) = join!(
            fast.read(usize::MAX, None, until),
            slow.trickle(self.slowly),
            watch(gateway, until),
        );
        self.progress.say(with);
        let clients = Clients {
            fast,
            slow,
            connection,
        };
        (clients, without, with)
    }

    /// Fills the rings, and towards the end the history cache with a replay.
    async fn warm_up(&self, gateway: &Gateway, fast: &mut Reading) {
        let half = Deadline::now() + self.warm_up / 2;
        fast.read(usize::MAX, None, half).await;
        let mut replay = Reading::new(gateway.http, Ask::new("/v2/stream/numbers?since=1"));
        let until = Deadline::now() + self.warm_up / 2;
        join!(
            fast.read(usize::MAX, None, until),
            replay.read(usize::MAX, None, until)
        );
    }
}

impl Clients {
    /// Reads to the end. Returns whether both clients got there, the slow one on its old connection.
    async fn finish(&mut self, count: usize, deadline: Deadline) -> bool {
        let Some(connection) = &mut self.connection else {
            return false;
        };
        let (fast, slow) = join!(
            self.fast.read(count, None, deadline),
            self.slow.read_from(connection, count, deadline)
        );
        fast && slow
    }
}

async fn watch(gateway: &Gateway, until: Deadline) -> Resident {
    let mut resident = Resident::of(gateway.resident().expect("the gateway runs"));
    while Deadline::now() < until {
        sleep(LOOK).await;
        resident.note(gateway.resident().expect("the gateway runs"));
    }
    resident
}

impl Resident {
    fn of(bytes: u64) -> Self {
        Self {
            first: bytes,
            last: bytes,
            least: bytes,
            most: bytes,
        }
    }

    fn note(&mut self, bytes: u64) {
        self.last = bytes;
        self.least = self.least.min(bytes);
        self.most = self.most.max(bytes);
    }

    /// Returns the largest distance from the start, in bytes.
    pub fn moved(&self) -> u64 {
        (self.most - self.first).max(self.first - self.least)
    }

    /// Returns the largest growth from the start, in bytes. It is no fault if an allocator returns memory of
    /// the warm-up.
    pub fn grew(&self) -> u64 {
        self.most - self.first
    }
}

impl super::Report for Report {
    fn problems(&self) -> Vec<String> {
        problems([
            (self.finished, "a client did not finish or lost its connection"),
            exact(self.faults),
            (self.gaps == 0, "a client received a gap"),
            (self.with.grew() < MOST_GROWTH, "memory grew by 5 MB or more"),
        ])
    }

    fn log(&self) -> &str {
        &self.log
    }
}

impl fmt::Display for Resident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let megabytes = |bytes: u64| bytes as f64 / 1e6;
        let [first, last, least, most] = [self.first, self.last, self.least, self.most].map(megabytes);
        write!(
            f,
            "resident {first:.1} MB to {last:.1} MB, least {least:.1}, most {most:.1}: range {:.2} MB",
            megabytes(self.moved())
        )
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "without a slow client: {}", self.without)?;
        writeln!(f, "with a slow client:    {}", self.with)?;
        writeln!(
            f,
            "it sped up {} events behind and took {:.1} s",
            self.behind,
            self.took.as_secs_f64()
        )?;
        writeln!(f, "finished {}, gap events {}", self.finished, self.gaps)?;
        write!(f, "{}", self.faults)
    }
}

/// The minimum of Linux; the kernel doubles it.
const RECEIVE_BUFFER: u32 = 4096;

/// The time between two samples of the memory.
const LOOK: Duration = Duration::from_millis(200);

/// The limit of the memory of a slow client, in bytes.
const MOST_GROWTH: u64 = 5_000_000;
