//! What can be run. A scenario is a struct of sizes; its `run` returns a report.

pub mod churn;
pub mod cold;
pub mod fanout;
pub mod hog;
pub mod hostile;
pub mod hot_loop;
pub mod idle;
pub mod latency;
pub mod look;
pub mod nemesis;
pub mod replay;
pub mod replayer;
pub mod resume;
pub mod scattered;
pub mod slow;
pub mod slowloris;
pub mod storm;
pub mod times;

use std::{fmt, time::Duration};

use riverhead_brokers::{Cluster, ClusterBuilder};
use serde::Serialize;
use tokio::runtime::Runtime;

use crate::{chart::Page, numbers::Faults, pins::Pins, progress::Progress};

/// What a run found: figures for people, for machines, and what is wrong with them.
pub trait Report: fmt::Display + Serialize {
    /// What is not as it must be, one sentence each; of a good run, nothing.
    fn problems(&self) -> Vec<String>;

    /// The gateway's log.
    fn log(&self) -> &str;

    /// As charts, where there is something to draw.
    fn page(&self) -> Option<Page> {
        None
    }
}

/// For clients: two threads at most, so that a gateway on the same machine gets its share.
fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
}

/// One broker, which is enough for one copy of everything, and processors for the server that it keeps off.
fn one_broker(server_cpus: usize, progress: Progress) -> (Cluster, Pins) {
    progress.say("starting a broker");
    beside_a_server(server_cpus, Cluster::builder().brokers(1).combined())
}

/// Three brokers, and processors for the server that they keep off.
fn three_brokers(server_cpus: usize, progress: Progress) -> (Cluster, Pins) {
    progress.say("starting three brokers");
    beside_a_server(server_cpus, Cluster::builder())
}

fn beside_a_server(server_cpus: usize, brokers: ClusterBuilder) -> (Cluster, Pins) {
    let pins = Pins::for_server(server_cpus);
    pins.keep_off();
    (brokers.start(), pins)
}

/// Takes as many descriptors as there are: a crowd of clients needs one each.
fn raise_descriptors() {
    rlimit::increase_nofile_limit(u64::MAX).expect("file descriptors");
}

/// The problems that any scenario can have, each with its sentence.
fn problems<'a>(checks: impl IntoIterator<Item = (bool, &'a str)>) -> Vec<String> {
    let wrong = checks.into_iter().filter(|(good, _)| !good);
    wrong.map(|(_, sentence)| sentence.to_owned()).collect()
}

const EXACT: &str = "a client did not receive each number once and in order";

/// After a start, on a machine that does much else.
pub(crate) const DETERMINED: Duration = Duration::from_secs(30);

fn exact(faults: Faults) -> (bool, &'static str) {
    (faults.none(), EXACT)
}
