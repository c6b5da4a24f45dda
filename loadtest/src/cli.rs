//! The command line. The defaults are the full forms; the test suite runs shorter ones.

pub(crate) mod crowds;

use std::{env, ffi::OsString, path::PathBuf, process::ExitCode, str::FromStr, time::Duration};

use clap::{Args, Parser, Subcommand};

use self::crowds::{ChurnArgs, FanoutArgs, IdleArgs, LookArgs, ReplayerArgs, ScatteredArgs, StormArgs};

/// Loads a riverhead gateway and checks every number that it delivers.
///
/// Starts a gateway of its own, and brokers: three, for which it needs Java 17 and, once, Maven; or those of the demo.
/// Progress goes to stderr, the report to stdout; exits 1 if anything is not as it must be.
#[derive(Debug, Parser)]
#[command(name = "riverhead-loadtest", version)]
pub(crate) struct Cli {
    /// The riverhead binary [default: the one beside this program]
    #[arg(long, global = true, value_name = "PATH")]
    binary: Option<PathBuf>,
    /// Prints the report as one line of JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Draws the report into this HTML file too, where there is something to draw
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Clients are cut and resume while brokers are killed: each ends with each number once
    Resume(ResumeArgs),
    /// All clients resume from the beginning at once: what the brokers feel of it
    Replay(ReplayArgs),
    /// A client reads a byte a second: what the gateway's memory feels of it
    Slow(SlowArgs),
    /// From produce to a client, beside a plain consumer
    Latency(LatencyArgs),
    /// One address wants all streams: it gets its limit, and nobody else notices (no Java needed)
    Hog(HogArgs),
    /// Thousands of connections send a byte now and then, and nobody else notices (no Java needed)
    Slowloris(SlowlorisArgs),
    /// Everything that a stranger can send, from many addresses, and no honest client notices
    Hostile(HostileArgs),
    /// Everything that happens to brokers, logs and gateways, in a random order: nobody loses anything untold
    Nemesis(NemesisArgs),
    /// The npm client wikimedia-streams at its limit: what that costs (needs node, no Java)
    HotLoop(HotLoopArgs),
    /// Thousands of clients live on one stream, beside a raw writer and other servers: what a delivery costs
    Fanout(FanoutArgs),
    /// Thousands of clients to whom nothing happens: what each costs by being there
    Idle(IdleArgs),
    /// Thousands of clients come back at once, from minutes ago or behind a restart
    Storm(StormArgs),
    /// One client reads a log from its beginning, beside a plain consumer that does
    Replayer(ReplayerArgs),
    /// Clients that each begin at another place of a log far larger than the cache, beside one alone
    Scattered(ScatteredArgs),
    /// Clients that want a few events of an old place each: what that costs the brokers
    Look(LookArgs),
    /// Clients come, read, lag, are cut and leave: whether anything grows, or is lost
    Churn(ChurnArgs),
    /// Clients come at once, each with a time of its own, to brokers that are a round trip away
    Times(TimesArgs),
    /// A stream of hundreds of partitions of which nothing is in memory
    Cold(ColdArgs),
    /// The raw writer that `fanout` measures beside: writes what comes on stdin to everybody
    #[command(hide = true)]
    Raw,
}

#[derive(Args, Debug)]
pub(crate) struct HogArgs {
    /// Attempts to get a stream, all from 127.0.0.1
    #[arg(long, default_value_t = 10_000)]
    pub(crate) attempts: usize,
    /// Attempts under way at a time
    #[arg(long, default_value_t = 1_000)]
    pub(crate) at_once: usize,
    /// Streams that one address may have
    #[arg(long, default_value_t = 10)]
    pub(crate) limit: usize,
    /// Rounds, each first without and then with the attempts
    #[arg(long, default_value_t = 5)]
    pub(crate) rounds: usize,
    /// How long each half of a round takes at least
    #[arg(long, default_value = "10s", value_name = "DURATION")]
    pub(crate) half: Span,
}

#[derive(Args, Debug)]
pub(crate) struct SlowlorisArgs {
    /// Connections
    #[arg(long, default_value_t = 5_000)]
    pub(crate) connections: usize,
    /// Addresses that they come from
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u8).range(1..))]
    pub(crate) addresses: u8,
    /// Between two bytes of a connection
    #[arg(long, default_value = "1s", value_name = "DURATION")]
    pub(crate) pause: Span,
    /// How long the gateway is left alone before
    #[arg(long, default_value = "30s", value_name = "DURATION")]
    pub(crate) quiet: Span,
}

#[derive(Args, Debug)]
pub(crate) struct HostileArgs {
    /// Honest clients, each on an address of its own
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u8).range(1..=250))]
    pub(crate) clients: u8,
    /// How often each honest client is cut, and resumes
    #[arg(long, default_value_t = 20)]
    pub(crate) cuts: usize,
    /// Hostile addresses
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u8).range(1..=250))]
    pub(crate) addresses: u8,
    /// Attacks of one address that are under way at a time
    #[arg(long, default_value_t = 6)]
    pub(crate) at_once: usize,
    /// Records a second
    #[arg(long, default_value_t = 50.0, value_parser = rate)]
    pub(crate) rate: f64,
    /// How long the gateway is left alone before
    #[arg(long, default_value = "5m", value_name = "DURATION")]
    pub(crate) quiet: Span,
    /// How long the attacks last
    #[arg(long, default_value = "1h", value_name = "DURATION")]
    pub(crate) loud: Span,
    /// Each of the three budgets of `[memory]`, in MiB
    #[arg(long, default_value_t = 32, value_name = "MIB")]
    pub(crate) memory: u32,
    /// How long the honest clients may take to the end once everything is written
    #[arg(long, default_value = "2m", value_name = "DURATION")]
    pub(crate) patience: Span,
    /// What the order of the attacks follows from [default: another one each time]
    #[arg(long)]
    pub(crate) seed: Option<u64>,
}

#[derive(Args, Debug)]
pub(crate) struct NemesisArgs {
    /// How long
    #[arg(long, default_value = "1h", value_name = "DURATION")]
    pub(crate) duration: Span,
    /// What the order of the acts follows from [default: another one each time]
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// How often everything is undone, and all accounts are closed
    #[arg(long, default_value = "1m", value_name = "DURATION")]
    pub(crate) round: Span,
    /// Records a second, over all topics
    #[arg(long, default_value_t = 100.0, value_parser = rate)]
    pub(crate) rate: f64,
    /// Readers
    #[arg(long, default_value_t = 24)]
    pub(crate) readers: usize,
    /// How long a reader may take, once everything is undone, until it has everything
    #[arg(long, default_value = "2m", value_name = "DURATION")]
    pub(crate) patience: Span,
}

#[derive(Args, Debug)]
pub(crate) struct HotLoopArgs {
    /// Where the client's script and its packages are
    #[arg(
        long,
        default_value = "loadtest/clients/wikimedia-streams",
        value_name = "DIRECTORY"
    )]
    pub(crate) script: PathBuf,
    /// How long it runs
    #[arg(long, default_value = "10s", value_name = "DURATION")]
    pub(crate) duration: Span,
}

#[derive(Args, Debug)]
pub(crate) struct ResumeArgs {
    /// Records, over two topics of three partitions each
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) records: u64,
    /// Records a second
    #[arg(long, default_value_t = 2_000.0, value_parser = rate)]
    pub(crate) rate: f64,
    /// Clients
    #[arg(long, default_value_t = 50)]
    pub(crate) clients: usize,
    /// How often each client is cut at least
    #[arg(long, default_value_t = 20)]
    pub(crate) cuts: usize,
    /// Between two kills of a broker, each of which stays down for a third of it
    #[arg(long, default_value = "10s", value_name = "DURATION")]
    pub(crate) kill_every: Span,
    /// When to give up
    #[arg(long, default_value = "30m", value_name = "DURATION")]
    pub(crate) patience: Span,
}

#[derive(Args, Debug)]
pub(crate) struct ReplayArgs {
    /// Records in the log
    #[arg(long, default_value_t = 60_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) records: u64,
    /// Bytes of each
    #[arg(long, default_value_t = 500)]
    pub(crate) record_bytes: usize,
    /// Clients
    #[arg(long, default_value_t = 200)]
    pub(crate) clients: usize,
    /// When to give up
    #[arg(long, default_value = "5m", value_name = "DURATION")]
    pub(crate) patience: Span,
}

#[derive(Args, Debug)]
pub(crate) struct SlowArgs {
    /// Records a second
    #[arg(long, default_value_t = 10_000.0, value_parser = rate)]
    pub(crate) rate: f64,
    /// Before anything is measured: until rings and caches have been filled
    #[arg(long, default_value = "60s", value_name = "DURATION")]
    pub(crate) warm_up: Span,
    /// How long the client is slow; as long before, without it, is the comparison
    #[arg(long, default_value = "60s", value_name = "DURATION")]
    pub(crate) slowly: Span,
    /// What the tail rings may use, and the cache of history, in MiB
    #[arg(long, default_value_t = 32, value_name = "MIB")]
    pub(crate) memory: u32,
    /// How long the clients may take to the end once the slow one speeds up
    #[arg(long, default_value = "2m", value_name = "DURATION")]
    pub(crate) patience: Span,
}

#[derive(Args, Debug)]
pub(crate) struct LatencyArgs {
    /// Clients of the gateway
    #[arg(long, default_value_t = 100)]
    pub(crate) clients: usize,
    /// Records a second, one run for each
    #[arg(long, default_values_t = [1_000.0, 100.0], value_delimiter = ',', value_parser = rate)]
    pub(crate) rates: Vec<f64>,
    /// How long each run measures
    #[arg(long, default_value = "60s", value_name = "DURATION")]
    pub(crate) duration: Span,
    /// How long each runs before it measures
    #[arg(long, default_value = "5s", value_name = "DURATION")]
    pub(crate) warm_up: Span,
    /// How long the last record may take
    #[arg(long, default_value = "60s", value_name = "DURATION")]
    pub(crate) patience: Span,
}

#[derive(Args, Debug)]
pub(crate) struct TimesArgs {
    /// Clients
    #[arg(long, default_value_t = 1_000)]
    pub(crate) clients: usize,
    /// Addresses that they come from
    #[arg(long, default_value_t = 250)]
    pub(crate) addresses: usize,
    /// Partitions of their stream
    #[arg(long, default_value_t = 6)]
    pub(crate) partitions: usize,
    /// A round trip to a broker
    #[arg(long, default_value = "10ms", value_name = "DURATION")]
    pub(crate) round_trip: Span,
    /// By when all of them are to have an event
    #[arg(long, default_value = "5s", value_name = "DURATION")]
    pub(crate) within: Span,
    /// By when one that wants the earliest is to have its first
    #[arg(long, default_value = "1s", value_name = "DURATION")]
    pub(crate) bystander_within: Span,
    /// When to give up
    #[arg(long, default_value = "60s", value_name = "DURATION")]
    pub(crate) patience: Span,
}

#[derive(Args, Debug)]
pub(crate) struct ColdArgs {
    /// Partitions
    #[arg(long, default_value_t = 300)]
    pub(crate) partitions: usize,
    /// Records in each
    #[arg(long, default_value_t = 3)]
    pub(crate) records: usize,
    /// By when a client is to have all of them
    #[arg(long, default_value = "1s", value_name = "DURATION")]
    pub(crate) within: Span,
    /// When to give up
    #[arg(long, default_value = "60s", value_name = "DURATION")]
    pub(crate) patience: Span,
}

/// A duration as riverhead's configuration has them: a number and one of `ms`, `s`, `m`, `h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span(pub(crate) Duration);

impl Cli {
    /// Reads the command line.
    ///
    /// # Errors
    /// The code to exit with, its text written already: 0 for help and version, 64 for wrong usage.
    pub(crate) fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, ExitCode> {
        Self::try_parse_from(arguments).map_err(|said| {
            // Nobody is left to tell when this fails.
            _ = said.print();
            if said.use_stderr() {
                ExitCode::from(USAGE)
            } else {
                ExitCode::SUCCESS
            }
        })
    }

    /// The gateway to load.
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
            _ => return Err("a number and one of ms, s, m, h".into()),
        };
        let number: u64 = number.parse().map_err(|_| "a number and a unit")?;
        let all = number.checked_mul(milliseconds).ok_or("too long")?;
        Ok(Self(Duration::from_millis(all)))
    }
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text
        .parse()
        .ok()
        .filter(|rate: &f64| rate.is_finite() && *rate > 0.0);
    rate.ok_or_else(|| "a number above zero".into())
}

/// `EX_USAGE` of BSD's sysexits.h, as riverhead itself.
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
