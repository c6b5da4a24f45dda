//! The command lines of the scenarios with thousands of clients.

use std::path::PathBuf;

use clap::Args;
use riverhead_loadtest::{scenarios::storm::Handshakes, server::Kind};

use super::{Span, rate};

/// The options that these scenarios share.
#[derive(Args, Clone, Debug)]
pub(crate) struct Common {
    /// A setting of riverhead as an environment variable, such as `RIVERHEAD_MEMORY__LANES=16MiB`; may be repeated
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = setting)]
    pub(crate) settings: Vec<(String, String)>,
    /// Client addresses, from 127.0.1.1 on
    #[arg(long, default_value_t = 250)]
    pub(crate) addresses: usize,
    /// Processors reserved for the server; with 0 the kernel decides
    #[arg(long, default_value_t = 1)]
    pub(crate) server_cpus: usize,
}

#[derive(Args, Debug)]
pub(crate) struct FanoutArgs {
    /// Servers to measure, in turn
    #[arg(long, value_delimiter = ',', default_values = ["raw", "riverhead"])]
    pub(crate) servers: Vec<Kind>,
    /// Measure TLS 1.3: the servers `riverhead,tls,tls-body,tls-h2,tls-nginx`, and the numbers of every hundredth client
    #[arg(long, conflicts_with = "servers")]
    pub(crate) tls: bool,
    /// Clients; one load for each number
    #[arg(long, value_delimiter = ',', default_values_t = [10_000])]
    pub(crate) clients: Vec<usize>,
    /// Records per second; one load for each number
    #[arg(long, value_delimiter = ',', default_values_t = [10.0], value_parser = rate)]
    pub(crate) rates: Vec<f64>,
    /// Number of different filters, all of which pass every event; one load for each number, for riverhead only
    #[arg(long, value_delimiter = ',', default_values_t = [0])]
    pub(crate) filters: Vec<usize>,
    /// Query parameters of the clients, such as `encoding=gzip`, or empty; one load for each, for riverhead only
    #[arg(long, value_delimiter = ',', default_values = [""])]
    pub(crate) queries: Vec<String>,
    /// Further keys of the stream in the configuration, such as `annotate = true`, or empty; may be repeated, one load for each, for
    /// riverhead only
    #[arg(long, value_name = "KEYS", default_values = [""])]
    pub(crate) stream_keys: Vec<String>,
    /// Most clients of a server that has one Kafka consumer per client
    #[arg(long, default_value_t = 100)]
    pub(crate) kafkasse_clients: usize,
    /// Rounds; in each, every server gets every load
    #[arg(long, default_value_t = 3)]
    pub(crate) rounds: usize,
    /// How long records are written before the measurement
    #[arg(long, default_value = "5s", value_name = "DURATION")]
    pub(crate) warm_up: Span,
    /// Duration of the measurement
    #[arg(long, default_value = "20s", value_name = "DURATION")]
    pub(crate) duration: Span,
    /// Bytes of a record without its id
    #[arg(long, default_value_t = 350)]
    pub(crate) record_bytes: usize,
    /// Check the numbers of every N-th client, and count the bytes of the others; 1 checks all [default: 1, and 100 with
    /// `--tls`]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) judge_every: Option<u16>,
    /// How long the last event may take to arrive
    #[arg(long, default_value = "60s", value_name = "DURATION")]
    pub(crate) patience: Span,
    /// Directory of the peers' files
    #[arg(long, default_value = "loadtest/peers", value_name = "DIRECTORY")]
    pub(crate) peers: PathBuf,
    #[command(flatten)]
    pub(crate) common: Common,
}

impl FanoutArgs {
    /// Returns the servers to measure.
    pub(crate) fn servers(&self) -> Vec<Kind> {
        match self.tls {
            true => vec![
                Kind::Riverhead,
                Kind::Tls,
                Kind::TlsBody,
                Kind::TlsH2,
                Kind::TlsNginx,
            ],
            false => self.servers.clone(),
        }
    }

    /// Returns the distance of the clients whose numbers are checked.
    pub(crate) fn judge_every(&self) -> usize {
        let default = if self.tls { 100 } else { 1 };
        self.judge_every.map_or(default, usize::from)
    }
}

#[derive(Args, Debug)]
pub(crate) struct IdleArgs {
    /// Servers to measure, in turn
    #[arg(long, value_delimiter = ',', default_values = ["raw", "riverhead", "body"])]
    pub(crate) servers: Vec<Kind>,
    /// Clients
    #[arg(long, default_value_t = 10_000)]
    pub(crate) clients: usize,
    /// Rounds
    #[arg(long, default_value_t = 3)]
    pub(crate) rounds: usize,
    /// How long the clients stay: longer than two heartbeats
    #[arg(long, default_value = "35s", value_name = "DURATION")]
    pub(crate) duration: Span,
    /// Directory of the peers' files
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
    /// Age of the position that the clients resume from
    #[arg(
        long,
        default_value = "10m",
        value_name = "DURATION",
        conflicts_with = "restart"
    )]
    pub(crate) back: Span,
    /// Kill and restart the gateway while the clients are live
    #[arg(long)]
    pub(crate) restart: bool,
    /// Make the gateway hand over to a successor instead, and drain its streams over `--within`
    #[arg(long, requires = "restart")]
    pub(crate) hot: bool,
    /// Connect over TLS 1.3, and come back with tickets of sessions (`resumed`) or without (`full`)
    #[arg(long, requires = "restart", value_name = "HANDSHAKES")]
    pub(crate) tls: Option<Handshakes>,
    /// Time over which the clients were cut, or reconnect after a restart
    #[arg(long, default_value = "10s", value_name = "DURATION")]
    pub(crate) within: Span,
    /// Records per second
    #[arg(long, default_value_t = 10.0, value_parser = rate)]
    pub(crate) rate: f64,
    /// Bytes of each record
    #[arg(long, default_value_t = 350)]
    pub(crate) record_bytes: usize,
    /// How long the gateway runs undisturbed first
    #[arg(long, default_value = "20s", value_name = "DURATION")]
    pub(crate) quiet: Span,
    /// How long the clients may take until all are live
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
    /// Bytes of each record
    #[arg(long, default_value_t = 700)]
    pub(crate) record_bytes: usize,
    /// Rounds; each runs a plain consumer, then a client of a new gateway
    #[arg(long, default_value_t = 3)]
    pub(crate) rounds: usize,
    /// Processors reserved for the gateway or the plain consumer; with 0 the kernel decides
    #[arg(long, default_value_t = 1)]
    pub(crate) server_cpus: usize,
    /// Deadline of a round
    #[arg(long, default_value = "5m", value_name = "DURATION")]
    pub(crate) patience: Span,
    /// A setting of riverhead as an environment variable; may be repeated
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = setting)]
    pub(crate) settings: Vec<(String, String)>,
}

#[derive(Args, Debug)]
pub(crate) struct ChurnArgs {
    /// Connections started per second
    #[arg(long, default_value_t = 200.0, value_parser = rate)]
    pub(crate) connects: f64,
    /// Duration of the run
    #[arg(long, default_value = "1h", value_name = "DURATION")]
    pub(crate) duration: Span,
    /// Records per second
    #[arg(long, default_value_t = 50.0, value_parser = rate)]
    pub(crate) rate: f64,
    /// Bytes of each record
    #[arg(long, default_value_t = 350)]
    pub(crate) record_bytes: usize,
    /// Client addresses
    #[arg(long, default_value_t = 250)]
    pub(crate) addresses: usize,
    /// A setting of riverhead as an environment variable; may be repeated
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = setting)]
    pub(crate) settings: Vec<(String, String)>,
}

#[derive(Args, Debug)]
pub(crate) struct ReloadsArgs {
    /// Clients
    #[arg(long, default_value_t = 1_000, value_parser = count)]
    pub(crate) clients: usize,
    /// Records per second
    #[arg(long, default_value_t = 20.0, value_parser = rate)]
    pub(crate) rate: f64,
    /// Bytes of each record
    #[arg(long, default_value_t = 350)]
    pub(crate) record_bytes: usize,
    /// Streams that come and go at a time
    #[arg(long, default_value_t = 100, value_parser = count)]
    pub(crate) streams: usize,
    /// How often they come and go
    #[arg(long, default_value_t = 100, value_parser = count)]
    pub(crate) rounds: usize,
    /// How long all clients are live before
    #[arg(long, default_value = "20s", value_name = "DURATION")]
    pub(crate) quiet: Span,
    /// How long the clients may take to begin, and a reload may take
    #[arg(long, default_value = "1m", value_name = "DURATION")]
    pub(crate) patience: Span,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Args, Debug)]
pub(crate) struct RevokeArgs {
    /// Clients
    #[arg(long, default_value_t = 15_000)]
    pub(crate) clients: usize,
    /// Clients that come with the key that is revoked; the others have another one [default: two thirds]
    #[arg(long, value_name = "CLIENTS")]
    pub(crate) revoked: Option<usize>,
    /// Records per second
    #[arg(long, default_value_t = 5.0, value_parser = rate)]
    pub(crate) rate: f64,
    /// Bytes of each record
    #[arg(long, default_value_t = 350)]
    pub(crate) record_bytes: usize,
    /// How long all clients are live before the revocation
    #[arg(long, default_value = "20s", value_name = "DURATION")]
    pub(crate) quiet: Span,
    /// How long the clients may take to begin, and to end
    #[arg(long, default_value = "2m", value_name = "DURATION")]
    pub(crate) patience: Span,
    #[command(flatten)]
    pub(crate) common: Common,
}

impl RevokeArgs {
    /// Returns how many clients come with the key that is revoked.
    pub(crate) fn revoked(&self) -> usize {
        self.revoked.unwrap_or(self.clients * 2 / 3).min(self.clients)
    }
}

#[derive(Args, Debug)]
pub(crate) struct TenantsArgs {
    /// Tenants, with one client each
    #[arg(long, default_value_t = 10_000, value_parser = count)]
    pub(crate) tenants: usize,
    /// Tenants that they are compared with
    #[arg(long, default_value_t = 10, value_parser = count)]
    pub(crate) few: usize,
    /// Records per second while each event is for one client
    #[arg(long, default_value_t = 1_000.0, value_parser = rate)]
    pub(crate) rate: f64,
    /// Clients that all get each event, of a stream with `access` and of a public one
    #[arg(long, default_value_t = 5_000, value_parser = count)]
    pub(crate) crowd: usize,
    /// Records per second for these
    #[arg(long, default_value_t = 10.0, value_parser = rate)]
    pub(crate) crowd_rate: f64,
    /// Bytes of each record
    #[arg(long, default_value_t = 350)]
    pub(crate) record_bytes: usize,
    /// Rounds; each measures all readers in turn
    #[arg(long, default_value_t = 3)]
    pub(crate) rounds: usize,
    /// How long records are written before the measurement
    #[arg(long, default_value = "5s", value_name = "DURATION")]
    pub(crate) warm_up: Span,
    /// Duration of the measurement
    #[arg(long, default_value = "20s", value_name = "DURATION")]
    pub(crate) duration: Span,
    /// How long the clients may take to begin, and to have everything
    #[arg(long, default_value = "2m", value_name = "DURATION")]
    pub(crate) patience: Span,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Args, Debug)]
pub(crate) struct ScatteredArgs {
    /// Clients, each at a different position
    #[arg(long, default_value_t = 8)]
    pub(crate) clients: usize,
    /// Partitions of the stream
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) partitions: u16,
    /// Size of the history cache, in MiB
    #[arg(long, default_value_t = 128, value_name = "MIB")]
    pub(crate) cache: u64,
    /// Size of the log, in MiB [default: ten times the cache, at least 640]
    #[arg(long, value_name = "MIB")]
    pub(crate) log: Option<u64>,
    /// Bytes of a record
    #[arg(long, default_value_t = 700)]
    pub(crate) record_bytes: usize,
    /// KiB that each client reads per second [default: no limit]
    #[arg(long, value_name = "KIB")]
    pub(crate) pace: Option<u64>,
    /// `history_rate` of the gateway, in MiB per second [default: no limit]
    #[arg(long, value_name = "MIB")]
    pub(crate) history_rate: Option<u64>,
    /// Maximum duration of each turn
    #[arg(long, default_value = "20s", value_name = "DURATION")]
    pub(crate) duration: Span,
    /// Processors reserved for the gateway; with 0 the kernel decides
    #[arg(long, default_value_t = 0)]
    pub(crate) server_cpus: usize,
    /// Leave out the turn of one client alone
    #[arg(long)]
    pub(crate) together: bool,
    /// A setting of riverhead as an environment variable; may be repeated
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = setting)]
    pub(crate) settings: Vec<(String, String)>,
}

#[derive(Args, Debug)]
pub(crate) struct LookArgs {
    /// Partitions of the stream
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) partitions: u16,
    /// Positions to read at
    #[arg(long, default_value_t = 20)]
    pub(crate) looks: usize,
    /// Events of each read
    #[arg(long, default_value_t = 12)]
    pub(crate) events: usize,
    /// Size of the log, in MiB
    #[arg(long, default_value_t = 256, value_name = "MIB")]
    pub(crate) log: u64,
    /// Bytes of a record
    #[arg(long, default_value_t = 700)]
    pub(crate) record_bytes: usize,
    /// How long a read may take
    #[arg(long, default_value = "10s", value_name = "DURATION")]
    pub(crate) patience: Span,
    /// A setting of riverhead as an environment variable; may be repeated
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = setting)]
    pub(crate) settings: Vec<(String, String)>,
}

fn count(text: &str) -> Result<usize, String> {
    let count = text.parse().ok().filter(|count| *count > 0);
    count.ok_or_else(|| "expected a number above zero".into())
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}
