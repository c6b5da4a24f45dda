//! Everybody resumes from the beginning at once: what the brokers feel of it.

use std::{
    fmt,
    path::PathBuf,
    time::{Duration, Instant},
};

use riverhead_brokers::{Cluster, Ledger, eventually};

use crate::{
    client::Ask,
    gateway::{Gateway, Plan},
    numbers::{Faults, Truth},
    reading::Reading,
    yardstick,
};

/// How much of it.
#[derive(Clone, Debug)]
pub struct Replay {
    /// The riverhead binary.
    pub binary: PathBuf,
    /// Records in the log, over two topics of three partitions each.
    pub records: u64,
    /// Bytes of each.
    pub record_bytes: usize,
    /// Clients that resume from the beginning.
    pub clients: usize,
    /// When to give up.
    pub patience: Duration,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Report {
    /// Bytes that a plain consumer takes off the brokers to read each record once.
    pub unique: u64,
    /// Bytes that the gateway took off the brokers for all clients.
    pub fetched: u64,
    /// What the gateway says of it: pages read, and wants that the cache or a read under way answered.
    pub pages: [f64; 3],
    /// The most connections to brokers at any time.
    pub connections: u64,
    /// Clients that got everything.
    pub finished: usize,
    /// All clients' faults together.
    pub faults: Faults,
    /// Gap events.
    pub gaps: usize,
    /// From the first request to the last client's end.
    pub took: Duration,
    /// The gateway's log.
    pub log: String,
}

impl Replay {
    /// Runs it on a healthy cluster; nothing else may read from its brokers meanwhile.
    ///
    /// # Panics
    /// When the cluster or the gateway does not do as it is told.
    pub fn run(&self, cluster: &Cluster, name: &str) -> Report {
        let topics = [format!("{name}-a"), format!("{name}-b")];
        let ledgers: Vec<_> = topics.iter().map(|topic| self.write(cluster, topic)).collect();
        let unique = yardstick::bytes_to_read_once(cluster, &topics, self.records as usize);
        let gateway = self.gateway(cluster, &topics);
        let before = cluster.client_counts();
        let began = Instant::now();
        let (readings, connections) = self.read(cluster, &gateway);
        let took = began.elapsed();
        let fetched = cluster.client_counts().to_client - before.to_client;
        let truth = Truth::of(&ledgers);
        Report {
            unique,
            fetched,
            pages: PAGES.map(|name| gateway.metric(name).unwrap_or_default()),
            connections,
            finished: readings
                .iter()
                .filter(|reading| reading.got.numbers.len() == truth.len())
                .count(),
            faults: readings
                .iter()
                .fold(Faults::default(), |sum, r| sum.plus(truth.judge(&r.got))),
            gaps: readings.iter().map(|reading| reading.got.gaps.len()).sum(),
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
        let plan = Plan::new(&self.binary, cluster.bootstrap_list(), "numbers", &topics);
        let gateway = plan.unlimited().start().expect("the gateway starts");
        eventually(Duration::from_secs(20), "every partition determined", || {
            gateway
                .metric("riverhead_partitions")
                .is_ok_and(|partitions| partitions >= 6.0)
        });
        gateway
    }

    fn read(&self, cluster: &Cluster, gateway: &Gateway) -> (Vec<Reading>, u64) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let deadline = tokio::time::Instant::now() + self.patience;
        let count = self.records as usize;
        let server = gateway.http;
        runtime.block_on(async {
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
    /// How often each byte was fetched.
    pub fn ratio(&self) -> f64 {
        self.fetched as f64 / self.unique as f64
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Faults {
            lost,
            repeated,
            out_of_order,
            invented,
        } = self.faults;
        writeln!(f, "clients finished {}", self.finished)?;
        writeln!(
            f,
            "fetched {} bytes, unique {} bytes: {:.3} x",
            self.fetched,
            self.unique,
            self.ratio()
        )?;
        let [read, hits, joins] = self.pages;
        writeln!(
            f,
            "pages read {read}, from the cache {hits}, read together {joins}"
        )?;
        writeln!(f, "connections to brokers at most {}", self.connections)?;
        writeln!(
            f,
            "lost {lost}, repeated {repeated}, out of order {out_of_order}, invented {invented}"
        )?;
        write!(f, "took {:.1} s", self.took.as_secs_f64())
    }
}

const PAGES: [&str; 3] = [
    "riverhead_kafka_history_pages_total",
    "riverhead_kafka_history_page_hits_total",
    "riverhead_kafka_history_page_joins_total",
];
