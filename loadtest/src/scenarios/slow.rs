//! A client that reads a byte a second beside one that keeps up: what the gateway's memory feels of it.

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
    /// Records a second, over two topics of three partitions each.
    pub rate: f64,
    /// Until the rings and the cache of history have been filled, and some more.
    pub warm_up: Duration,
    /// How long the client is slow; as long before, without it, is the comparison.
    pub slowly: Duration,
    /// What the tail rings may use, and the cache of history, in MiB.
    pub memory: u32,
    /// How long everybody may take to the end once the client speeds up.
    pub patience: Duration,
    /// Reports progress.
    pub progress: Progress,
}

/// The result of the scenario.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Memory while there was no slow client.
    pub without: Resident,
    /// Memory while there was one.
    pub with: Resident,
    /// How far behind the slow client was when it sped up, in events.
    pub behind: usize,
    /// Whether its one connection lasted, and it got everything in time.
    pub finished: bool,
    /// Faults of both clients.
    pub faults: Faults,
    /// The number of gap events.
    pub gaps: usize,
    /// From when it sped up until it had everything.
    pub took: Duration,
    /// The gateway's log.
    #[serde(skip)]
    pub log: String,
}

/// The gateway's resident memory over a while, in bytes.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Resident {
    /// When it began.
    pub first: u64,
    /// When it ended.
    pub last: u64,
    /// The least.
    pub least: u64,
    /// The most.
    pub most: u64,
}

/// The clients where the slow one speeds up.
struct Clients {
    fast: Reading,
    slow: Reading,
    connection: Option<Connection>,
}

impl Slow {
    /// Runs the scenario on a healthy cluster.
    ///
    /// # Panics
    /// If the cluster or the gateway does not do as it is told.
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
            // A ring that begins to fill when a second client comes, whether that is slow or not.
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

    /// Fills the rings, and towards the end the cache of history by a replay.
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
    /// Reads to the end; whether both got there, the slow one on the connection that it had.
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

    /// How far it went from where it began, at most, in bytes.
    pub fn moved(&self) -> u64 {
        (self.most - self.first).max(self.first - self.least)
    }

    /// How far it grew, at most, in bytes. That an allocator gives back what a warm-up took is no fault.
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

/// As little as Linux has; the kernel doubles it.
const RECEIVE_BUFFER: u32 = 4096;

/// Between two looks at the memory.
const LOOK: Duration = Duration::from_millis(200);

/// What a slow client may cost, in bytes.
const MOST_GROWTH: u64 = 5_000_000;
