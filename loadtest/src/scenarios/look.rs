//! Clients that want a few events of an old place each: what that costs the brokers.

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
    /// Partitions of the stream.
    pub partitions: usize,
    /// Places that are looked at, one after the other.
    pub looks: usize,
    /// Events that each wants.
    pub events: usize,
    /// Bytes of the log.
    pub log_bytes: u64,
    /// Bytes of a record.
    pub record_bytes: usize,
    /// How long a look may take.
    pub patience: Duration,
    /// Reports progress.
    pub progress: Progress,
}

/// The result of the scenario.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Bytes that the brokers sent for each look.
    pub fetched: Vec<u64>,
    /// Bytes that they send without one in as long as each took.
    pub idle: u64,
    /// Partitions of the stream.
    pub partitions: usize,
    /// Looks that got all events they wanted, from where they wanted them.
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

    /// Runs it on a healthy cluster; nothing else may read from its brokers meanwhile.
    ///
    /// # Errors
    /// If the gateway does not start.
    pub fn run_on(&self, cluster: &Cluster, topic: &str) -> io::Result<Report> {
        self.progress.say("writing the log");
        let records = write(cluster, topic, self.partitions, self.log_bytes, self.record_bytes);
        let mut plan =
            GatewayPlan::new(&self.binary, cluster.bootstrap_list(), "numbers", &[topic]).unlimited();
        for (name, value) in &self.settings {
            plan = plan.set(name, value);
        }
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
            // Some way into a page and into a batch.
            let row = step * look + step / 3;
            let (fetched, served) = self.measure(cluster, || self.look(&gateway, topic, row));
            report.fetched.push(fetched);
            report.served += usize::from(served);
        }
        report.log = gateway.log();
        Ok(report)
    }

    /// Bytes that the brokers send during `look` and until nothing more comes of it, and what it says.
    fn measure(&self, cluster: &Cluster, look: impl FnOnce() -> bool) -> (u64, bool) {
        let mut meter = Meter::start(cluster);
        let served = look();
        meter.look();
        let (deadline, mut still) = (Instant::now() + self.patience, 0);
        let mut before = meter.bytes();
        // What is fetched ahead comes within milliseconds; the tail's fetches are some hundred bytes at a time.
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
        // What its socket holds, and it never looks at, it has been sent all the same.
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
    /// Bytes fetched of a partition, by the look that cost most.
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

/// Bytes that a look may cost of a partition.
pub const MOST: u64 = 256 * 1024;

const RECEIVE_BUFFER: u32 = 16 * 1024;

/// Between two looks at the counts.
const MOMENT: Duration = Duration::from_millis(50);

/// So many moments in a row without more than noise are the end of it.
const STILL: usize = 8;

/// Bytes of a moment that are none of a look's.
const NOISE: u64 = 8 * 1024;
