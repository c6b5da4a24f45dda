//! The scenarios. A scenario is a struct of sizes; its `run` returns a report.

pub mod churn;
pub mod cold;
pub mod fanout;
pub mod hog;
pub mod hostile;
pub mod hot_loop;
pub mod idle;
pub mod latency;
pub mod libraries;
pub mod look;
pub mod nemesis;
pub mod reloads;
pub mod replay;
pub mod replayer;
pub mod resume;
pub mod revoke;
pub mod scattered;
pub mod slow;
pub mod slowloris;
pub mod storm;
pub mod tail;
pub mod tenants;
pub mod times;

use std::{fmt, time::Duration};

use riverhead_brokers::{Cluster, ClusterBuilder};
use serde::Serialize;
use tokio::runtime::Runtime;

use crate::{chart::Page, numbers::Faults, pins::Pins, progress::Progress};

/// The result of a run: figures for people and for machines, and the findings.
pub trait Report: fmt::Display + Serialize {
    /// Returns the findings, one sentence each; nothing for a good run.
    fn problems(&self) -> Vec<String>;

    /// The gateway's log.
    fn log(&self) -> &str;

    /// Returns the charts, if there are figures for charts.
    fn page(&self) -> Option<Page> {
        None
    }
}

/// Returns a runtime for clients. It has at most two threads, so that a gateway on the same machine gets
/// processor time.
fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
}

/// Starts one broker, which is enough without replication, off the processors that are reserved for the
/// server.
fn one_broker(server_cpus: usize, progress: Progress) -> (Cluster, Pins) {
    progress.say("starting a broker");
    beside_a_server(server_cpus, Cluster::builder().brokers(1).combined())
}

/// Starts three brokers, off the processors that are reserved for the server.
fn three_brokers(server_cpus: usize, progress: Progress) -> (Cluster, Pins) {
    progress.say("starting three brokers");
    beside_a_server(server_cpus, Cluster::builder())
}

fn beside_a_server(server_cpus: usize, brokers: ClusterBuilder) -> (Cluster, Pins) {
    let pins = Pins::for_server(server_cpus);
    pins.keep_off();
    (brokers.start(), pins)
}

/// Raises the limit of descriptors to the maximum, of this process and of those that it starts: each client of a crowd
/// needs one, at both ends.
fn raise_descriptors() {
    let (_, hard) = rlimit::getrlimit(rlimit::Resource::NOFILE).expect("file descriptors");
    if hard < DESCRIPTORS {
        // Only root may do that. What is there suffices for the full forms, at 20,000.
        _ = rlimit::setrlimit(rlimit::Resource::NOFILE, DESCRIPTORS, DESCRIPTORS);
    }
    rlimit::increase_nofile_limit(u64::MAX).expect("file descriptors");
}

/// Enough for two ends of thirty thousand connections in a proxy.
const DESCRIPTORS: u64 = 65_536;

/// Returns the sentences of the checks that fail. Every scenario may have such findings.
fn problems<'a>(checks: impl IntoIterator<Item = (bool, &'a str)>) -> Vec<String> {
    let wrong = checks.into_iter().filter(|(good, _)| !good);
    wrong.map(|(_, sentence)| sentence.to_owned()).collect()
}

const EXACT: &str = "a client did not receive each number once and in order";

/// The longest time until health is determined after a start, on a machine with other work.
pub(crate) const DETERMINED: Duration = Duration::from_secs(30);

fn exact(faults: Faults) -> (bool, &'static str) {
    (faults.none(), EXACT)
}
