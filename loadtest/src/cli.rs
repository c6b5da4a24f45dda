//! The command line. The defaults are the full forms; the test suite runs shorter ones.

pub(crate) mod crowds;

use std::{env, ffi::OsString, path::PathBuf, process::ExitCode, str::FromStr, time::Duration};

use clap::{Args, Parser, Subcommand};

use self::crowds::{
    ChurnArgs, FanoutArgs, IdleArgs, LookArgs, ReloadsArgs, ReplayerArgs, RevokeArgs, ScatteredArgs,
    StormArgs, TenantsArgs,
};

/// Loads a riverhead gateway and checks every number that it delivers.
///
/// Starts a gateway of its own. Most scenarios also start three brokers, which need Java 17 and, once, Maven; the others
/// use the brokers of the demo.
/// Progress goes to stderr, the report to stdout. The exit code is 1 if any check of the report fails.
#[derive(Debug, Parser)]
#[command(name = "riverhead-loadtest", version)]
pub(crate) struct Cli {
    /// The riverhead binary [default: the one beside this program]
    #[arg(long, global = true, value_name = "PATH")]
    binary: Option<PathBuf>,
    /// Print the report as one line of JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Also write the report with charts into this HTML file, for scenarios that have charts
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Cut clients resume while brokers are killed: each client must get each number once
    Resume(ResumeArgs),
    /// All clients resume from the beginning at once: measures the load on the brokers
    Replay(ReplayArgs),
    /// A client reads one byte per second: measures the gateway's memory
    Slow(SlowArgs),
    /// Measures the time from producer to client, compared with a plain consumer
    Latency(LatencyArgs),
    /// One address asks for all streams: it must get its limit, and no other client may notice (needs no Java)
    Hog(HogArgs),
    /// Thousands of connections send a byte now and then: no other client may notice (needs no Java)
    Slowloris(SlowlorisArgs),
    /// Many addresses send hostile requests of all kinds: no honest client may notice
    Hostile(HostileArgs),
    /// Brokers, logs and gateways fail in random ways: no client may lose an event without a gap
    Nemesis(NemesisArgs),
    /// The npm client wikimedia-streams runs at its limit: measures the cost (needs node, no Java)
    HotLoop(HotLoopArgs),
    /// Libraries of npm, PyPI and crates.io read through restarts, a reload and kills of brokers (needs node, Python, cargo)
    Libraries(LibrariesArgs),
    /// Thousands of live clients read one stream: measures the cost of a delivery, compared with other servers
    Fanout(FanoutArgs),
    /// Thousands of clients are idle: measures the memory and processor time of each
    Idle(IdleArgs),
    /// Thousands of clients resume at once, from minutes ago or after a restart
    Storm(StormArgs),
    /// Streams come and go by reload, a hundred at a time: no client of another stream may notice
    Reloads(ReloadsArgs),
    /// An API key is revoked: its thousands of streams must end at once, and no other client may notice
    Revoke(RevokeArgs),
    /// Thousands of tenants read one stream, each its own rows: measures the cost of an event
    Tenants(TenantsArgs),
    /// One client reads a log from its beginning, compared with a plain consumer
    Replayer(ReplayerArgs),
    /// Clients read from different positions of a log far larger than the cache, compared with one client alone
    Scattered(ScatteredArgs),
    /// Clients read a few events each at old positions: measures the load on the brokers
    Look(LookArgs),
    /// Clients connect, read, lag, are cut and leave: nothing may grow or be lost
    Churn(ChurnArgs),
    /// Clients connect at once, each with a different `since`, while the brokers are a round trip away
    Times(TimesArgs),
    /// A client reads a stream of hundreds of partitions that have nothing in memory
    Cold(ColdArgs),
    /// `riverhead tail` prints a fast stream to a pipe: measures its processor time (needs no Java)
    Tail(TailArgs),
    /// The raw writer that `fanout` compares with: writes stdin to all clients
    #[command(hide = true)]
    Raw,
}

#[derive(Args, Debug)]
pub(crate) struct HogArgs {
    /// Attempts to get a stream, all from 127.0.0.1
    #[arg(long, default_value_t = 10_000)]
    pub(crate) attempts: usize,
    /// Attempts in progress at a time
    #[arg(long, default_value_t = 1_000)]
    pub(crate) at_once: usize,
    /// Streams that one address may have
    #[arg(long, default_value_t = 10)]
    pub(crate) limit: usize,
    /// Rounds; each runs first without the attempts, then with them
    #[arg(long, default_value_t = 5)]
    pub(crate) rounds: usize,
    /// Minimum duration of each half of a round
    #[arg(long, default_value = "10s", value_name = "DURATION")]
    pub(crate) half: Span,
}

#[derive(Args, Debug)]
pub(crate) struct SlowlorisArgs {
    /// Connections
    #[arg(long, default_value_t = 5_000)]
    pub(crate) connections: usize,
    /// Client addresses
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u8).range(1..))]
    pub(crate) addresses: u8,
    /// Time between two bytes of a connection
    #[arg(long, default_value = "1s", value_name = "DURATION")]
    pub(crate) pause: Span,
    /// How long the gateway runs undisturbed first
    #[arg(long, default_value = "30s", value_name = "DURATION")]
    pub(crate) quiet: Span,
}

#[derive(Args, Debug)]
pub(crate) struct HostileArgs {
    /// Honest clients, each with its own address
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u8).range(1..=250))]
    pub(crate) clients: u8,
    /// How often each honest client is cut and resumes
    #[arg(long, default_value_t = 20)]
    pub(crate) cuts: usize,
    /// Hostile addresses
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u8).range(1..=250))]
    pub(crate) addresses: u8,
    /// Attacks of one address in progress at a time
    #[arg(long, default_value_t = 6)]
    pub(crate) at_once: usize,
    /// Records per second
    #[arg(long, default_value_t = 50.0, value_parser = rate)]
    pub(crate) rate: f64,
    /// How long the gateway runs undisturbed first
    #[arg(long, default_value = "5m", value_name = "DURATION")]
    pub(crate) quiet: Span,
    /// How long the attacks last
    #[arg(long, default_value = "1h", value_name = "DURATION")]
    pub(crate) loud: Span,
    /// How many times as late an event may be at the 99th percentile during the attacks
    #[arg(long, default_value_t = 2.0)]
    pub(crate) ratio: f64,
    /// Each of the three budgets of `[memory]`, in MiB
    #[arg(long, default_value_t = 32, value_name = "MIB")]
    pub(crate) memory: u32,
    /// How long the honest clients may take to finish after the last record is written
    #[arg(long, default_value = "2m", value_name = "DURATION")]
    pub(crate) patience: Span,
    /// Seed of the order of the attacks [default: random]
    #[arg(long)]
    pub(crate) seed: Option<u64>,
}

#[derive(Args, Debug)]
pub(crate) struct NemesisArgs {
    /// Duration of the run
    #[arg(long, default_value = "1h", value_name = "DURATION")]
    pub(crate) duration: Span,
    /// Seed of the order of the acts [default: random]
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// Time after which all faults are undone and all readers are checked
    #[arg(long, default_value = "1m", value_name = "DURATION")]
    pub(crate) round: Span,
    /// Records per second, over all topics
    #[arg(long, default_value_t = 100.0, value_parser = rate)]
    pub(crate) rate: f64,
    /// Readers
    #[arg(long, default_value_t = 24)]
    pub(crate) readers: usize,
    /// How long a reader may take to get everything after all faults are undone
    #[arg(long, default_value = "2m", value_name = "DURATION")]
    pub(crate) patience: Span,
}

#[derive(Args, Debug)]
pub(crate) struct HotLoopArgs {
    /// Directory of the client's script and its packages
    #[arg(
        long,
        default_value = "loadtest/clients/wikimedia-streams",
        value_name = "DIRECTORY"
    )]
    pub(crate) script: PathBuf,
    /// Duration of the run
    #[arg(long, default_value = "10s", value_name = "DURATION")]
    pub(crate) duration: Span,
}

#[derive(Args, Debug)]
pub(crate) struct LibrariesArgs {
    /// Directory of the programs that use the libraries
    #[arg(long, default_value = "loadtest/clients/libraries", value_name = "DIRECTORY")]
    pub(crate) clients: PathBuf,
    /// Records per second
    #[arg(long, default_value_t = 100.0, value_parser = rate)]
    pub(crate) rate: f64,
    /// How long a gateway that is replaced drains its streams
    #[arg(long, default_value = "3s", value_name = "DURATION")]
    pub(crate) drain: Span,
    /// How long the libraries may take until all have what was written
    #[arg(long, default_value = "2m", value_name = "DURATION")]
    pub(crate) patience: Span,
}

#[derive(Args, Debug)]
pub(crate) struct ResumeArgs {
    /// Records, over two topics of three partitions each
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) records: u64,
    /// Records per second
    #[arg(long, default_value_t = 2_000.0, value_parser = rate)]
    pub(crate) rate: f64,
    /// Clients
    #[arg(long, default_value_t = 50)]
    pub(crate) clients: usize,
    /// How often each client is cut at least
    #[arg(long, default_value_t = 20)]
    pub(crate) cuts: usize,
    /// Time between two kills of a broker, which stays down for a third of it
    #[arg(long, default_value = "10s", value_name = "DURATION")]
    pub(crate) kill_every: Span,
    /// Deadline of the run
    #[arg(long, default_value = "30m", value_name = "DURATION")]
    pub(crate) patience: Span,
}

#[derive(Args, Debug)]
pub(crate) struct ReplayArgs {
    /// Records in the log
    #[arg(long, default_value_t = 60_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) records: u64,
    /// Bytes of each record
    #[arg(long, default_value_t = 500)]
    pub(crate) record_bytes: usize,
    /// Clients
    #[arg(long, default_value_t = 200)]
    pub(crate) clients: usize,
    /// Deadline of the run
    #[arg(long, default_value = "5m", value_name = "DURATION")]
    pub(crate) patience: Span,
}

#[derive(Args, Debug)]
pub(crate) struct SlowArgs {
    /// Records per second
    #[arg(long, default_value_t = 10_000.0, value_parser = rate)]
    pub(crate) rate: f64,
    /// Time before the measurement starts: long enough to fill rings and caches
    #[arg(long, default_value = "60s", value_name = "DURATION")]
    pub(crate) warm_up: Span,
    /// How long the client is slow; the same time without it is measured first, for comparison
    #[arg(long, default_value = "60s", value_name = "DURATION")]
    pub(crate) slowly: Span,
    /// Budget of the tail rings and of the history cache, in MiB
    #[arg(long, default_value_t = 32, value_name = "MIB")]
    pub(crate) memory: u32,
    /// How long the clients may take to finish after the slow client speeds up
    #[arg(long, default_value = "2m", value_name = "DURATION")]
    pub(crate) patience: Span,
}

#[derive(Args, Debug)]
pub(crate) struct LatencyArgs {
    /// Clients of the gateway
    #[arg(long, default_value_t = 100)]
    pub(crate) clients: usize,
    /// Records per second; one run for each value
    #[arg(long, default_values_t = [1_000.0, 100.0], value_delimiter = ',', value_parser = rate)]
    pub(crate) rates: Vec<f64>,
    /// Duration of the measurement of each run
    #[arg(long, default_value = "60s", value_name = "DURATION")]
    pub(crate) duration: Span,
    /// Time before the measurement of each run
    #[arg(long, default_value = "5s", value_name = "DURATION")]
    pub(crate) warm_up: Span,
    /// How long the last record may take to arrive
    #[arg(long, default_value = "60s", value_name = "DURATION")]
    pub(crate) patience: Span,
}

#[derive(Args, Debug)]
pub(crate) struct TimesArgs {
    /// Clients
    #[arg(long, default_value_t = 1_000)]
    pub(crate) clients: usize,
    /// Client addresses
    #[arg(long, default_value_t = 250)]
    pub(crate) addresses: usize,
    /// Partitions of the stream
    #[arg(long, default_value_t = 6)]
    pub(crate) partitions: usize,
    /// Duration of a round trip to a broker
    #[arg(long, default_value = "10ms", value_name = "DURATION")]
    pub(crate) round_trip: Span,
    /// Time within which every client must have an event
    #[arg(long, default_value = "5s", value_name = "DURATION")]
    pub(crate) within: Span,
    /// Time within which a client that starts at the earliest event must have its first event
    #[arg(long, default_value = "1s", value_name = "DURATION")]
    pub(crate) bystander_within: Span,
    /// Deadline of the run
    #[arg(long, default_value = "60s", value_name = "DURATION")]
    pub(crate) patience: Span,
}

#[derive(Args, Debug)]
pub(crate) struct ColdArgs {
    /// Partitions
    #[arg(long, default_value_t = 300)]
    pub(crate) partitions: usize,
    /// Records in each partition
    #[arg(long, default_value_t = 3)]
    pub(crate) records: usize,
    /// Time within which a client must have all records
    #[arg(long, default_value = "1s", value_name = "DURATION")]
    pub(crate) within: Span,
    /// Deadline of the run
    #[arg(long, default_value = "60s", value_name = "DURATION")]
    pub(crate) patience: Span,
}

#[derive(Args, Debug)]
pub(crate) struct TailArgs {
    /// Events per second
    #[arg(long, default_value_t = 100_000.0, value_parser = rate)]
    pub(crate) rate: f64,
    /// Bytes of a value
    #[arg(long, default_value_t = 350)]
    pub(crate) record_bytes: usize,
    /// How long each form of output is measured
    #[arg(long, default_value = "20s", value_name = "DURATION")]
    pub(crate) duration: Span,
    /// The template that is measured beside the values themselves; it begins with `{n}`
    #[arg(long, default_value = "{n} {@partition} {@offset}", value_name = "TEXT")]
    pub(crate) template: String,
}

/// A duration in the form of riverhead's configuration: a number and one of `ms`, `s`, `m`, `h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span(pub(crate) Duration);

impl Cli {
    /// Reads the command line.
    ///
    /// # Errors
    /// Returns the exit code after printing the text: 0 for help and version, 64 for wrong usage.
    pub(crate) fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, ExitCode> {
        Self::try_parse_from(arguments).map_err(|said| {
            // If this fails, there is no other way to report it.
            _ = said.print();
            if said.use_stderr() {
                ExitCode::from(USAGE)
            } else {
                ExitCode::SUCCESS
            }
        })
    }

    /// Returns the path of the gateway to load.
    pub(crate) fn binary(&self) -> Option<PathBuf> {
        let beside = || Some(env::current_exe().ok()?.with_file_name("riverhead"));
        self.binary.clone().or_else(beside)
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let milliseconds = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return Err("expected a number and one of ms, s, m, h".into()),
        };
        let number: u64 = number.parse().map_err(|_| "expected a number and a unit")?;
        let all = number
            .checked_mul(milliseconds)
            .ok_or("the duration is too long")?;
        Ok(Self(Duration::from_millis(all)))
    }
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text
        .parse()
        .ok()
        .filter(|rate: &f64| rate.is_finite() && *rate > 0.0);
    rate.ok_or_else(|| "expected a number above zero".into())
}

/// `EX_USAGE` of BSD's sysexits.h, which riverhead uses too.
pub(crate) const USAGE: u8 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split(' '))
    }

    #[test]
    fn the_defaults_are_the_full_forms() {
        let Command::Resume(args) = parse("riverhead-loadtest resume").unwrap().command else {
            panic!("not resume");
        };
        assert_eq!((args.records, args.clients, args.cuts), (1_000_000, 50, 20));
        assert_eq!(args.kill_every, Span(Duration::from_secs(10)));
    }

    #[test]
    fn nonsense_is_refused_before_a_broker_starts() {
        for nonsense in [
            "resume --records 0",
            "resume --kill-every 10",
            "slow --rate -1",
            "slow --slowly 99999999999999999h",
            "latency --rates 5,x",
            "wade",
        ] {
            assert!(
                parse(&format!("riverhead-loadtest {nonsense}")).is_err(),
                "{nonsense}"
            );
        }
    }
}
