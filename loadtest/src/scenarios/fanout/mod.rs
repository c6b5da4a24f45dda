//! Many clients live on one stream: what a delivery costs, beside what it costs others.

mod load;
mod report;
mod turn;

pub use load::Load;
pub use report::{Report, Row};
pub use turn::FanoutRound;

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use riverhead_brokers::Cluster;

use super::{one_broker, raise_descriptors};
use crate::{
    pins::Pins,
    progress::Progress,
    server::{self, Kind, Site},
};

/// How much of it.
#[derive(Clone, Debug)]
pub struct Fanout<'a> {
    /// The riverhead binary.
    pub binary: &'a Path,
    /// Where the peers' files are.
    pub peers: PathBuf,
    /// Settings of riverhead by environment.
    pub settings: Vec<(String, String)>,
    /// Who serves, one after the other.
    pub servers: Vec<Kind>,
    /// What each serves.
    pub loads: Vec<Load>,
    /// The most clients that one who has a consumer for each gets.
    pub kafka_sse_clients: usize,
    /// How often all of that.
    pub rounds: usize,
    /// How long records are written before anything is measured.
    pub warm_up: Duration,
    /// How long it is measured.
    pub duration: Duration,
    /// Bytes of a record.
    pub record_bytes: usize,
    /// Addresses that the clients come from.
    pub addresses: usize,
    /// Each that many client's numbers are looked at; of others bytes are counted. 1 is all of them.
    pub judge_every: usize,
    /// Processors for the server alone; 0 leaves it to the kernel.
    pub server_cpus: usize,
    /// How long the last event may take.
    pub patience: Duration,
    /// Says what it does.
    pub progress: Progress,
}

impl Fanout<'_> {
    /// Runs it with one broker of its own.
    ///
    /// # Errors
    /// If a server is not installed or does not start, or there are too few descriptors.
    pub fn run(&self) -> io::Result<Report> {
        server::check(&self.servers, &self.peers)?;
        let (broker, pins) = one_broker(self.server_cpus, self.progress);
        self.run_on(&broker, &pins)
    }

    /// Runs it on a healthy cluster; nothing else may read from its brokers meanwhile.
    ///
    /// # Errors
    /// If a server does not start, or there are too few descriptors.
    pub fn run_on(&self, cluster: &Cluster, pins: &Pins) -> io::Result<Report> {
        raise_descriptors();
        let site = Site {
            binary: self.binary,
            cluster,
            peers: &self.peers,
            settings: &self.settings,
            pins,
        };
        let mut turns = Vec::new();
        for round in 1..=self.rounds {
            for (kind, load) in self.turns() {
                self.progress.say(format_args!(
                    "round {round} of {}: {}, {load}",
                    self.rounds,
                    kind.name()
                ));
                let turn = self.turn(kind, &load, round, &site)?;
                self.progress.say(format_args!("    {}", turn.summary()));
                turns.push(turn);
            }
        }
        Ok(Report::new(turns))
    }

    /// One round: by load, so that servers under the same load are neighbours in time.
    fn turns(&self) -> impl Iterator<Item = (Kind, Load)> {
        self.loads.iter().flat_map(|load| {
            let servers = self.servers.iter().filter(|kind| load.is_for(**kind));
            servers.map(|kind| (*kind, self.bounded(*kind, load)))
        })
    }

    fn bounded(&self, kind: Kind, load: &Load) -> Load {
        let most = if kind == Kind::KafkaSse {
            self.kafka_sse_clients
        } else {
            usize::MAX
        };
        Load {
            clients: load.clients.min(most),
            ..load.clone()
        }
    }
}
