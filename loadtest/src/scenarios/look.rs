//! Clients read a few events each at old positions. Measures the load on the brokers.

use std::{
    fmt, io,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use riverhead_brokers::Cluster;
use serde::Serialize;

use super::{
    DETERMINED, problems, runtime,
    scattered::{ask_from_row, write},
    three_brokers,
};
use crate::{
    client::Client,
    gateway::{Gateway, GatewayPlan},
    meter::Meter,
    numbers::number,
    progress::Progress,
};

/// The sizes of the scenario.
#[derive(Clone, Debug)]
pub struct Look {
    /// The riverhead binary.
    pub binary: PathBuf,
    /// Settings of riverhead, as environment variables.
    pub settings: Vec<(String, String)>,
    /// The number of partitions of the stream.
    pub partitions: usize,
    /// The number of positions that are read at, one after the other.
    pub looks: usize,
    /// The number of events of each read.
    pub events: usize,
    /// The size of the log in bytes.
    pub log_bytes: u64,
    /// Bytes of a record.
    pub record_bytes: usize,
    /// How long a read may take.
    pub patience: Duration,
    /// Reports progress.
    pub progress: Progress,
}

/// The result of the scenario.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Bytes that the brokers sent for each read.
    pub fetched: Vec<u64>,
    /// Bytes that the brokers send without a read in the same time.
    pub idle: u64,
    /// The number of partitions of the stream.
    pub partitions: usize,
    /// The number of reads that got all their events, from the right position on.
    pub served: usize,
    /// The gateway's log.
    #[serde(skip)]
    pub log: String,
}

impl Look {
    /// Runs the scenario on its own cluster.
    ///
    /// # Errors
    /// If the gateway does not start.
    pub fn run(&self) -> io::Result<Report> {
        let (cluster, _) = three_brokers(0, self.progress);
        self.run_on(&cluster, "look")
    }

    /// Runs the scenario on a healthy cluster. Nothing else may read from its brokers meanwhile.
    ///
    /// # Errors
    /// If the gateway does not start.
    pub fn run_on(&self, cluster: &Cluster, topic: &str) -> io::Result<Report> {
        self.progress.say("writing the log");
        let records = write(cluster, topic, self.partitions, self.log_bytes, self.record_bytes);
        let mut plan =
            GatewayPlan::new(&self.binary, cluster.bootstrap_list(), "numbers", &[topic]).unlimited();
        plan = plan.set_all(&self.settings);
        let gateway = plan.start()?;
        gateway.wait_for_partitions(self.partitions, DETERMINED);
        let rows = records / self.partitions as u64;
        let step = rows / (self.looks as u64 + 1);
        let idle = self.measure(cluster, || true).0;
        let mut report = Report {
            fetched: Vec::new(),
            idle,
            partitions: self.partitions,
            served: 0,
            log: String::new(),
        };
        for look in 0..self.looks as u64 {
            self.progress.say(format_args!("read {}", look + 1));
            // In the middle of a page and of a batch.
            let row = step * look + step / 3;
            let (fetched, served) = self.measure(cluster, || self.look(&gateway, topic, row));
            report.fetched.push(fetched);
            report.served += usize::from(served);
        }
        report.log = gateway.log();
        Ok(report)
    }

    /// Returns the bytes that the brokers send during `look` and until no more follow from it, with its
    /// result.
    fn measure(&self, cluster: &Cluster, look: impl FnOnce() -> bool) -> (u64, bool) {
        let mut meter = Meter::start(cluster);
        let served = look();
        meter.look();
        let (deadline, mut still) = (Instant::now() + self.patience, 0);
        let mut before = meter.bytes();
        // What is fetched ahead arrives within milliseconds. The tail's fetches are some hundred bytes each.
        while still < STILL && Instant::now() < deadline {
            thread::sleep(MOMENT);
            meter.look();
            still = if meter.bytes() - before < NOISE {
                still + 1
            } else {
                0
            };
            before = meter.bytes();
        }
        (meter.bytes(), served)
    }

    fn look(&self, gateway: &Gateway, topic: &str, row: u64) -> bool {
        let mut ask = ask_from_row(topic, self.partitions, row);
        // What the client's socket buffers and the client never reads has been sent as well.
        ask.receive_buffer = Some(RECEIVE_BUFFER);
        runtime().block_on(async {
            let Ok(mut client) = Client::connect(gateway.http, &ask).await else {
                return false;
            };
            let first = row * self.partitions as u64;
            for _ in 0..self.events {
                let next = client.next(self.patience).await;
                let number = next.and_then(|event| number(&event.data));
                if number.is_none_or(|number| number < first) {
                    return false;
                }
            }
            true
        })
    }
}

impl Report {
    /// Returns the bytes fetched per partition by the most expensive read.
    pub fn most_of_a_partition(&self) -> u64 {
        let most = self.fetched.iter().max().copied().unwrap_or_default();
        most.saturating_sub(self.idle) / self.partitions as u64
    }
}

impl super::Report for Report {
    fn problems(&self) -> Vec<String> {
        problems([
            (
                self.served == self.fetched.len(),
                "a read did not receive the expected events",
            ),
            (
                self.most_of_a_partition() <= MOST,
                "a read fetched more than 256 KiB per partition",
            ),
        ])
    }

    fn log(&self) -> &str {
        &self.log
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kib = |bytes: u64| bytes as f64 / 1024.0;
        let mut fetched = self.fetched.clone();
        fetched.sort_unstable();
        let median = fetched.get(fetched.len() / 2).copied().unwrap_or_default();
        let of_partition = |bytes: u64| kib(bytes.saturating_sub(self.idle)) / self.partitions as f64;
        writeln!(f, "reads served {} of {}", self.served, self.fetched.len())?;
        write!(
            f,
            "fetched for a read of {} partitions: median {:.0} KiB per partition, at most {:.0} KiB",
            self.partitions,
            of_partition(median),
            kib(self.most_of_a_partition()),
        )
    }
}

/// The limit of bytes that a read may fetch per partition.
pub const MOST: u64 = 256 * 1024;

const RECEIVE_BUFFER: u32 = 16 * 1024;

/// The time between two checks of the counts.
const MOMENT: Duration = Duration::from_millis(50);

/// After this many checks without more than noise, a read is over.
const STILL: usize = 8;

/// Bytes between two checks that do not belong to a read.
const NOISE: u64 = 8 * 1024;
