//! All clients resume from the beginning at once. Measures the load on the brokers.

use std::{
    fmt,
    path::PathBuf,
    time::{Duration, Instant},
};

use riverhead_brokers::{Cluster, Ledger};
use serde::Serialize;

use super::{DETERMINED, exact, problems, runtime};
use crate::{
    client::Ask,
    gateway::{Gateway, GatewayPlan},
    numbers::{Faults, Truth},
    progress::Progress,
    reading::Reading,
    yardstick,
};

/// The sizes of the scenario.
#[derive(Clone, Debug)]
pub struct Replay {
    /// The riverhead binary.
    pub binary: PathBuf,
    /// The number of records in the log, over two topics of three partitions each.
    pub records: u64,
    /// Bytes of each record.
    pub record_bytes: usize,
    /// The number of clients that resume from the beginning.
    pub clients: usize,
    /// The deadline.
    pub patience: Duration,
    /// Reports progress.
    pub progress: Progress,
}

/// The result of the scenario.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Bytes that the brokers send to a plain consumer that reads each record once.
    pub unique: u64,
    /// Bytes that the brokers sent to the gateway for all clients.
    pub fetched: u64,
    /// The gateway's counts: pages read, and requests answered from the cache or by a read in progress.
    pub pages: [f64; 3],
    /// The highest number of connections to brokers.
    pub connections: u64,
    /// The number of clients that resumed.
    pub clients: usize,
    /// The number of clients that received everything.
    pub finished: usize,
    /// The faults of all clients together.
    pub faults: Faults,
    /// The number of gap events.
    pub gaps: usize,
    /// Time from the first request until the last client has everything.
    pub took: Duration,
    /// The gateway's log.
    #[serde(skip)]
    pub log: String,
}

impl Replay {
    /// Runs the scenario on a healthy cluster. Nothing else may read from its brokers meanwhile.
    ///
    /// # Panics
    /// If the cluster or the gateway does not start.
    pub fn run(&self, cluster: &Cluster, name: &str) -> Report {
        let topics = [format!("{name}-a"), format!("{name}-b")];
        self.progress.say("writing the log");
        let ledgers: Vec<_> = topics.iter().map(|topic| self.write(cluster, topic)).collect();
        self.progress.say("reading the log once with a plain consumer");
        let unique = yardstick::bytes_to_read_once(cluster, &topics, self.records as usize);
        let gateway = self.gateway(cluster, &topics);
        self.progress.say("all clients resume");
        let before = cluster.client_counts();
        let began = Instant::now();
        let (readings, connections) = self.read(cluster, &gateway);
        let took = began.elapsed();
        let fetched = cluster.client_counts().to_client - before.to_client;
        let truth = Truth::of(&ledgers);
        let all = || readings.iter().map(|reading| &reading.got);
        Report {
            unique,
            fetched,
            pages: PAGES.map(|name| gateway.metric(name).unwrap_or_default()),
            connections,
            clients: self.clients,
            finished: all().filter(|got| got.numbers.len() == truth.len()).count(),
            faults: truth.judge_all(all()),
            gaps: all().map(|got| got.gaps.len()).sum(),
            took,
            log: gateway.log(),
        }
    }

    fn write(&self, cluster: &Cluster, topic: &str) -> Ledger {
        cluster.create_topic(topic, 3);
        let mut producer = cluster.producer(topic).record_bytes(self.record_bytes).start();
        producer.send(self.records / 2);
        producer.finish()
    }

    fn gateway(&self, cluster: &Cluster, topics: &[String]) -> Gateway {
        let topics: Vec<_> = topics.iter().map(String::as_str).collect();
        let plan = GatewayPlan::new(&self.binary, cluster.bootstrap_list(), "numbers", &topics);
        let gateway = plan.unlimited().start().expect("the gateway starts");
        gateway.wait_for_partitions(6, DETERMINED);
        gateway
    }

    fn read(&self, cluster: &Cluster, gateway: &Gateway) -> (Vec<Reading>, u64) {
        let deadline = tokio::time::Instant::now() + self.patience;
        let count = self.records as usize;
        let server = gateway.http;
        runtime().block_on(async {
            let tasks: Vec<_> = (0..self.clients)
                .map(|_| {
                    let mut reading = Reading::new(server, Ask::new("/v2/stream/numbers?since=1"));
                    tokio::spawn(async move {
                        reading.read(count, None, deadline).await;
                        reading
                    })
                })
                .collect();
            let mut connections = 0;
            while !tasks.iter().all(tokio::task::JoinHandle::is_finished) {
                connections = connections.max(cluster.client_counts().open);
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            let mut readings = Vec::new();
            for task in tasks {
                readings.push(task.await.expect("a reader"));
            }
            (readings, connections)
        })
    }
}

impl Report {
    /// Returns how often each byte was fetched on average.
    pub fn ratio(&self) -> f64 {
        self.fetched as f64 / self.unique as f64
    }
}

impl super::Report for Report {
    fn problems(&self) -> Vec<String> {
        problems([
            (self.finished == self.clients, "a client did not finish in time"),
            exact(self.faults),
            (self.gaps == 0, "a client received a gap"),
            (
                self.ratio() <= MOST_RATIO,
                "too many bytes were fetched from the brokers",
            ),
        ])
    }

    fn log(&self) -> &str {
        &self.log
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { fetched, unique, .. } = self;
        let [read, hits, joins] = self.pages;
        writeln!(f, "clients finished {} of {}", self.finished, self.clients)?;
        writeln!(
            f,
            "fetched {fetched} bytes, unique {unique} bytes: {:.3} x",
            self.ratio()
        )?;
        writeln!(
            f,
            "pages read {read}, from the cache {hits}, from a read in progress {joins}"
        )?;
        writeln!(f, "connections to brokers at most {}", self.connections)?;
        writeln!(f, "{}, gap events {}", self.faults, self.gaps)?;
        write!(f, "took {:.1} s", self.took.as_secs_f64())
    }
}

/// The limit of the ratio of fetched to unique bytes.
const MOST_RATIO: f64 = 1.2;

const PAGES: [&str; 3] = [
    "riverhead_kafka_history_pages_total",
    "riverhead_kafka_history_page_hits_total",
    "riverhead_kafka_history_page_joins_total",
];
