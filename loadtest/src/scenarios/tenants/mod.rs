//! Tenants read one stream, each its own rows. Measures what an event costs beside fewer tenants and a public stream, and what
//! a delivery costs on a stream that asks for a scope.

mod issuer;
mod report;
mod turn;

pub use report::Report;
pub use turn::TenantsRound;

use std::{fmt, io, path::PathBuf, time::Duration};

use riverhead_brokers::Cluster;
use serde::Serialize;

use super::{one_broker, raise_descriptors};
use crate::{pins::Pins, progress::Progress};

/// The sizes of the scenario.
#[derive(Clone, Debug)]
pub struct Tenants {
    /// The riverhead binary.
    pub binary: PathBuf,
    /// Settings of riverhead, as environment variables.
    pub settings: Vec<(String, String)>,
    /// The number of tenants, each with one client.
    pub tenants: usize,
    /// The number of tenants that they are compared with.
    pub few: usize,
    /// Records per second while each event is for one client.
    pub rate: f64,
    /// The number of clients that all get each event.
    pub crowd: usize,
    /// Records per second for these.
    pub crowd_rate: f64,
    /// The number of client addresses.
    pub addresses: usize,
    /// Bytes of each record.
    pub record_bytes: usize,
    /// The number of rounds; each measures all readers in turn.
    pub rounds: usize,
    /// How long records are written before the measurement.
    pub warm_up: Duration,
    /// The duration of the measurement.
    pub duration: Duration,
    /// Processors reserved for the gateway; with 0 the kernel decides.
    pub server_cpus: usize,
    /// How long the clients may take to begin, and to have everything.
    pub patience: Duration,
    /// Reports progress.
    pub progress: Progress,
}

/// Who reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Readers {
    /// This many tenants on a stream with `only`, with one client each. Each event is for one of them.
    Tenants(usize),
    /// This many clients on a public stream.
    Public(usize),
    /// This many clients on a stream with `access`.
    Access(usize),
}

impl Tenants {
    /// Runs the scenario with one broker of its own.
    ///
    /// # Errors
    /// If the gateway does not start, or there are too few descriptors.
    pub fn run(&self) -> io::Result<Report> {
        let (broker, pins) = one_broker(self.server_cpus, self.progress);
        self.run_on(&broker, &pins)
    }

    /// Runs the scenario on a healthy cluster.
    ///
    /// # Errors
    /// If the gateway does not start, or there are too few descriptors.
    pub fn run_on(&self, cluster: &Cluster, pins: &Pins) -> io::Result<Report> {
        raise_descriptors();
        let mut turns = Vec::new();
        for round in 1..=self.rounds {
            for readers in self.readers() {
                self.progress
                    .say(format_args!("round {round} of {}: {readers}", self.rounds));
                let turn = self.turn(readers, cluster, pins)?;
                self.progress.say(format_args!("    {}", turn.summary()));
                turns.push(turn);
            }
        }
        Ok(Report::new(turns))
    }

    /// Returns the readers of one round: three that get each event once, and two that get it many times.
    fn readers(&self) -> [Readers; 5] {
        [
            Readers::Public(1),
            Readers::Tenants(self.few),
            Readers::Tenants(self.tenants),
            Readers::Public(self.crowd),
            Readers::Access(self.crowd),
        ]
    }
}

impl Readers {
    /// Returns the number of clients.
    pub fn clients(self) -> usize {
        match self {
            Self::Tenants(clients) | Self::Public(clients) | Self::Access(clients) => clients,
        }
    }
}

impl fmt::Display for Readers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tenants(tenants) => write!(f, "{tenants} tenants"),
            Self::Public(clients) => write!(f, "public stream, clients: {clients}"),
            Self::Access(clients) => write!(f, "stream with access, clients: {clients}"),
        }
    }
}
