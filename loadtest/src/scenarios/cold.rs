//! A stream of hundreds of partitions that have nothing in memory. Measures the time until a gateway reads
//! them, and until a client has the existing records.

use std::{
    fmt, io,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use riverhead_brokers::{Cluster, Ledger};
use serde::Serialize;

use super::{problems, runtime, three_brokers};
use crate::{
    ask::Ask,
    gateway::{Gateway, GatewayPlan},
    numbers::{Faults, Truth},
    progress::Progress,
    reading::Reading,
    table::figure,
};

/// The sizes of the scenario.
#[derive(Clone, Debug)]
pub struct Cold {
    /// The riverhead binary.
    pub binary: PathBuf,
    /// The number of partitions.
    pub partitions: usize,
    /// The number of records in each partition.
    pub records: usize,
    /// The longest time until the client has all records.
    pub within: Duration,
    /// The deadline.
    pub patience: Duration,
    /// Reports progress.
    pub progress: Progress,
}

/// The result of the scenario. Times are in seconds.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The number of partitions.
    pub partitions: usize,
    /// Seconds from the start of the gateway until it reads all partitions.
    pub gateway: Option<f64>,
    /// Seconds from the client's request until it has all records.
    pub all: Option<f64>,
    /// The limit for that.
    pub within: f64,
    /// The faults in its records.
    pub faults: Faults,
    /// The gateway's log.
    #[serde(skip)]
    pub log: String,
}

impl Cold {
    /// Runs the scenario on its own cluster.
    ///
    /// # Errors
    /// If the gateway does not start, or the brokers do not accept the records.
    pub fn run(&self) -> io::Result<Report> {
        let (cluster, _) = three_brokers(0, self.progress);
        self.run_on(&cluster, "cold")
    }

    /// Runs the scenario on a healthy cluster.
    ///
    /// # Errors
    /// If the gateway does not start, or the brokers do not accept the records.
    pub fn run_on(&self, cluster: &Cluster, topic: &str) -> io::Result<Report> {
        self.progress.say("creating the partitions");
        cluster.create_topic(topic, self.partitions);
        let mut producer = cluster.producer(topic).numbers_from(0).start();
        producer.send((self.partitions * self.records) as u64);
        let ledger = producer.finish();
        all_acknowledged(&ledger)?;
        let truth = Truth::of(&[ledger]);
        self.progress.say("starting the gateway");
        let began = Instant::now();
        let gateway = GatewayPlan::new(&self.binary, cluster.bootstrap_list(), "numbers", &[topic])
            .unlimited()
            .start()?;
        let started = self.until_read(&gateway, began);
        self.progress.say("a client connects");
        let began = Instant::now();
        let mut reading = Reading::new(gateway.http, Ask::new("/v2/stream/numbers?since=1"));
        let deadline = tokio::time::Instant::now() + self.patience;
        let done = runtime().block_on(reading.read(truth.len(), None, deadline));
        let all = done.then(|| began.elapsed());
        let seconds = |took: Option<Duration>| took.map(|took| took.as_secs_f64());
        Ok(Report {
            partitions: self.partitions,
            gateway: seconds(started),
            all: seconds(all),
            within: self.within.as_secs_f64(),
            faults: truth.judge(&reading.got),
            log: gateway.log(),
        })
    }

    fn until_read(&self, gateway: &Gateway, began: Instant) -> Option<Duration> {
        while began.elapsed() < self.patience {
            let read = gateway.metric("riverhead_partitions");
            if read.is_ok_and(|read| read >= self.partitions as f64) {
                return Some(began.elapsed());
            }
            thread::sleep(LOOK);
        }
        None
    }
}

/// Brokers may have stored a record that the producer reported as failed. Then it is unknown what a client
/// must receive.
fn all_acknowledged(ledger: &Ledger) -> io::Result<()> {
    let Some((_, reason)) = ledger.failed.first() else {
        return Ok(());
    };
    let failed = ledger.failed.len();
    let all = failed + ledger.len();
    Err(io::Error::other(format!(
        "the brokers did not acknowledge {failed} of {all} records ({reason}): they are too slow for so many partitions"
    )))
}

impl super::Report for Report {
    fn problems(&self) -> Vec<String> {
        problems([
            (self.gateway.is_some(), "the gateway does not read all partitions"),
            (
                self.all.is_some_and(|took| took <= self.within),
                "the client waited too long for its records",
            ),
            super::exact(self.faults),
        ])
    }

    fn log(&self) -> &str {
        &self.log
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} partitions: read by the gateway {} s after its start; the client has all records after {} s; \
             {}",
            self.partitions,
            figure(self.gateway, 2),
            figure(self.all, 2),
            self.faults
        )
    }
}

/// The time between two checks of a gateway.
const LOOK: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_that_were_given_up_are_no_fault_of_the_gateway() {
        let mut ledger = Ledger::default();
        assert!(all_acknowledged(&ledger).is_ok());
        ledger.failed.push((Some(7), "timed out".to_owned()));
        let error = all_acknowledged(&ledger).map_err(|error| error.to_string());
        assert!(error.is_err_and(|error| error.contains("1 of 1 records (timed out)")));
    }
}
