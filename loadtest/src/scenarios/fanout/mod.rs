//! Many live clients read one stream. Measures the cost of a delivery, for riverhead and other servers.

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

/// The sizes of the scenario.
#[derive(Clone, Debug)]
pub struct Fanout<'a> {
    /// The riverhead binary.
    pub binary: &'a Path,
    /// The directory of the peers' files.
    pub peers: PathBuf,
    /// Settings of riverhead, as environment variables.
    pub settings: Vec<(String, String)>,
    /// The servers, one after the other.
    pub servers: Vec<Kind>,
    /// The loads of each server.
    pub loads: Vec<Load>,
    /// The most clients of a server that has one Kafka consumer per client.
    pub kafka_sse_clients: usize,
    /// How often each server gets each load.
    pub rounds: usize,
    /// How long records are written before the measurement.
    pub warm_up: Duration,
    /// The duration of the measurement.
    pub duration: Duration,
    /// Bytes of a record.
    pub record_bytes: usize,
    /// The number of client addresses.
    pub addresses: usize,
    /// The numbers of every client with this distance are checked. For the others, bytes are counted. 1
    /// checks all.
    pub judge_every: usize,
    /// Processors reserved for the server; with 0 the kernel decides.
    pub server_cpus: usize,
    /// How long the last event may take to arrive.
    pub patience: Duration,
    /// Reports progress.
    pub progress: Progress,
}

impl Fanout<'_> {
    /// Runs the scenario with one broker of its own.
    ///
    /// # Errors
    /// If a server is not installed or does not start, or there are too few descriptors.
    pub fn run(&self) -> io::Result<Report> {
        server::check(&self.servers, &self.peers)?;
        let (broker, pins) = one_broker(self.server_cpus, self.progress);
        self.run_on(&broker, &pins)
    }

    /// Runs the scenario on a healthy cluster. Nothing else may read from its brokers meanwhile.
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
            stream_keys: "",
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
                let turn = self.turn(kind, &load, round, &site.with_stream_keys(&load.stream_keys))?;
                self.progress.say(format_args!("    {}", turn.summary()));
                turns.push(turn);
            }
        }
        Ok(Report::new(turns))
    }

    /// Returns the turns of one round, by load, so that different servers under the same load run one after
    /// the other.
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
