//! The command lines of the scenarios with thousands of clients.

use std::path::PathBuf;

use clap::Args;
use riverhead_loadtest::server::Kind;

use super::{Span, rate};

/// What all of them have.
#[derive(Args, Clone, Debug)]
pub(crate) struct Common {
    /// A setting of riverhead by environment, such as `RIVERHEAD_MEMORY__LANES=16MiB`; as many as wanted
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = setting)]
    pub(crate) settings: Vec<(String, String)>,
    /// Addresses that clients come from, 127.0.1.1 and up
    #[arg(long, default_value_t = 250)]
    pub(crate) addresses: usize,
    /// Processors for the server alone, everybody else keeping off them; 0 leaves it to the kernel
    #[arg(long, default_value_t = 1)]
    pub(crate) server_cpus: usize,
}

#[derive(Args, Debug)]
pub(crate) struct FanoutArgs {
    /// Who serves, in turn
    #[arg(long, value_delimiter = ',', default_values = ["raw", "riverhead"])]
    pub(crate) servers: Vec<Kind>,
    /// Clients; with several numbers, one load for each
    #[arg(long, value_delimiter = ',', default_values_t = [10_000])]
    pub(crate) clients: Vec<usize>,
    /// Records a second; one load for each
    #[arg(long, value_delimiter = ',', default_values_t = [10.0], value_parser = rate)]
    pub(crate) rates: Vec<f64>,
    /// Distinct filters that clients have, each of which passes everything; one load for each, of riverhead only
    #[arg(long, value_delimiter = ',', default_values_t = [0])]
    pub(crate) filters: Vec<usize>,
    /// What clients ask besides, such as `encoding=gzip`, empty for nothing; one load for each, of riverhead only
    #[arg(long, value_delimiter = ',', default_values = [""])]
    pub(crate) queries: Vec<String>,
    /// The most clients of one that has a Kafka consumer for each
    #[arg(long, default_value_t = 100)]
    pub(crate) kafkasse_clients: usize,
    /// Rounds, in each of which every server has every load
    #[arg(long, default_value_t = 3)]
    pub(crate) rounds: usize,
    /// How long records are written before anything is measured
    #[arg(long, default_value = "5s", value_name = "DURATION")]
    pub(crate) warm_up: Span,
    /// How long is measured
    #[arg(long, default_value = "20s", value_name = "DURATION")]
    pub(crate) duration: Span,
    /// Bytes of a record; its id comes on top
    #[arg(long, default_value_t = 350)]
    pub(crate) record_bytes: usize,
    /// Look at the numbers of each that many client, and count bytes of the others; 1 is all
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) judge_every: u16,
    /// How long the last event may take
    #[arg(long, default_value = "60s", value_name = "DURATION")]
    pub(crate) patience: Span,
    /// Where the peers' files are
    #[arg(long, default_value = "loadtest/peers", value_name = "DIRECTORY")]
    pub(crate) peers: PathBuf,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Args, Debug)]
pub(crate) struct IdleArgs {
    /// Who serves, in turn
    #[arg(long, value_delimiter = ',', default_values = ["raw", "riverhead", "body"])]
    pub(crate) servers: Vec<Kind>,
    /// Clients
    #[arg(long, default_value_t = 10_000)]
    pub(crate) clients: usize,
    /// Rounds
    #[arg(long, default_value_t = 3)]
    pub(crate) rounds: usize,
    /// How long they stay: longer than two heartbeats
    #[arg(long, default_value = "35s", value_name = "DURATION")]
    pub(crate) duration: Span,
    /// Where the peers' files are
    #[arg(long, default_value = "loadtest/peers", value_name = "DIRECTORY")]
    pub(crate) peers: PathBuf,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Args, Debug)]
pub(crate) struct StormArgs {
    /// Clients
    #[arg(long, default_value_t = 10_000)]
    pub(crate) clients: usize,
    /// From how long ago they resume
    #[arg(
        long,
        default_value = "10m",
        value_name = "DURATION",
        conflicts_with = "restart"
    )]
    pub(crate) back: Span,
    /// They are live, and the gateway is killed and started again
    #[arg(long)]
    pub(crate) restart: bool,
    /// Within how long they were cut, or come back after a restart
    #[arg(long, default_value = "10s", value_name = "DURATION")]
    pub(crate) within: Span,
    /// Records a second
    #[arg(long, default_value_t = 10.0, value_parser = rate)]
    pub(crate) rate: f64,
    /// Bytes of each
    #[arg(long, default_value_t = 350)]
    pub(crate) record_bytes: usize,
    /// How long nothing happens before
    #[arg(long, default_value = "20s", value_name = "DURATION")]
    pub(crate) quiet: Span,
    /// How long they may take until all are live
    #[arg(long, default_value = "10m", value_name = "DURATION")]
    pub(crate) patience: Span,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Args, Debug)]
pub(crate) struct ReplayerArgs {
    /// Records in the log
    #[arg(long, default_value_t = 2_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) records: u64,
    /// Bytes of each
    #[arg(long, default_value_t = 700)]
    pub(crate) record_bytes: usize,
    /// Rounds, each a plain consumer and then a client of a fresh gateway
    #[arg(long, default_value_t = 3)]
    pub(crate) rounds: usize,
    /// Processors for the gateway or the plain consumer alone, everybody else keeping off them; 0 leaves it to the kernel
    #[arg(long, default_value_t = 1)]
    pub(crate) server_cpus: usize,
    /// When to give up a round
    #[arg(long, default_value = "5m", value_name = "DURATION")]
    pub(crate) patience: Span,
    /// A setting of riverhead by environment
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = setting)]
    pub(crate) settings: Vec<(String, String)>,
}

#[derive(Args, Debug)]
pub(crate) struct ChurnArgs {
    /// Connections begun in a second
    #[arg(long, default_value_t = 200.0, value_parser = rate)]
    pub(crate) connects: f64,
    /// How long
    #[arg(long, default_value = "1h", value_name = "DURATION")]
    pub(crate) duration: Span,
    /// Records a second
    #[arg(long, default_value_t = 50.0, value_parser = rate)]
    pub(crate) rate: f64,
    /// Bytes of each
    #[arg(long, default_value_t = 350)]
    pub(crate) record_bytes: usize,
    /// Addresses that clients come from
    #[arg(long, default_value_t = 250)]
    pub(crate) addresses: usize,
    /// A setting of riverhead by environment
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = setting)]
    pub(crate) settings: Vec<(String, String)>,
}

#[derive(Args, Debug)]
pub(crate) struct ScatteredArgs {
    /// Clients, each at a place of its own
    #[arg(long, default_value_t = 8)]
    pub(crate) clients: usize,
    /// Partitions of their stream
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) partitions: u16,
    /// The cache of history, in MiB
    #[arg(long, default_value_t = 128, value_name = "MIB")]
    pub(crate) cache: u64,
    /// The log, in MiB [default: ten times the cache, and 640 at least]
    #[arg(long, value_name = "MIB")]
    pub(crate) log: Option<u64>,
    /// Bytes of a record
    #[arg(long, default_value_t = 700)]
    pub(crate) record_bytes: usize,
    /// KiB that each client reads in a second [default: as many as come]
    #[arg(long, value_name = "KIB")]
    pub(crate) pace: Option<u64>,
    /// `history_rate` of the gateway, in MiB a second [default: no limit]
    #[arg(long, value_name = "MIB")]
    pub(crate) history_rate: Option<u64>,
    /// How long each turn lasts at most
    #[arg(long, default_value = "20s", value_name = "DURATION")]
    pub(crate) duration: Span,
    /// Processors for the gateway alone, everybody else keeping off them; 0 leaves it to the kernel
    #[arg(long, default_value_t = 0)]
    pub(crate) server_cpus: usize,
    /// Leaves out the turn of one client alone
    #[arg(long)]
    pub(crate) together: bool,
    /// A setting of riverhead by environment
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = setting)]
    pub(crate) settings: Vec<(String, String)>,
}

#[derive(Args, Debug)]
pub(crate) struct LookArgs {
    /// Partitions of the stream
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) partitions: u16,
    /// Places that are looked at
    #[arg(long, default_value_t = 20)]
    pub(crate) looks: usize,
    /// Events that each look wants
    #[arg(long, default_value_t = 12)]
    pub(crate) events: usize,
    /// The log, in MiB
    #[arg(long, default_value_t = 256, value_name = "MIB")]
    pub(crate) log: u64,
    /// Bytes of a record
    #[arg(long, default_value_t = 700)]
    pub(crate) record_bytes: usize,
    /// How long a look may take
    #[arg(long, default_value = "10s", value_name = "DURATION")]
    pub(crate) patience: Span,
    /// A setting of riverhead by environment
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = setting)]
    pub(crate) settings: Vec<(String, String)>,
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}
