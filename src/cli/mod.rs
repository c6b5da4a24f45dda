//! The command line.
//!
//! Each command loads its configuration first, so that every fault is reported before a port is bound.

mod check;
mod key;
mod manual;
#[cfg(feature = "kafka")]
mod online;
mod probe;
mod schemas;
mod stream_config;
mod tail;

use std::{
    borrow::Cow,
    ffi::OsString,
    fs::File,
    io::{self, Read, Write},
    net::SocketAddr,
    num::NonZeroU32,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use clap::{Args, Parser, Subcommand};

use crate::{
    app::{self, DemoOptions, StartError},
    auth::{self, AuthFaults},
    catalog::ticket_parameter::mask_tickets,
    config::{Config, ConfigErrors, Warning},
    log,
    tail::TailError,
    tls::TlsFaults,
};

pub use schemas::SchemaFaults;

/// Serves Apache Kafka topics to the public as resumable Server-Sent Events.
#[derive(Debug, Parser)]
#[command(name = "riverhead", version)]
pub struct Cli {
    #[command(subcommand)]
    command: CliCommand,
}

#[derive(Debug, Subcommand)]
enum CliCommand {
    /// Serve the streams of a configuration.
    Serve(ConfigArgs),
    /// Serve invented events from Kafka brokers inside this process, without any other software.
    Demo(DemoArgs),
    /// Check a gateway as its clients see it, and report its status: a plugin for monitoring.
    ///
    /// Exits with 0 if all checks pass, 1 for a warning, 2 if a check is critical, and 3 for wrong usage only. A check
    /// that has no result in time is critical.
    Probe(Box<probe::ProbeArgs>),
    /// Print a stream, one event a line, and resume it after every cut.
    ///
    /// Exits with 0 when the read is complete or nobody reads the output any more, 1 on a refusal or an error that does
    /// not mend by trying again, 64 for wrong usage or a state file of something else, and 130 on SIGINT.
    Tail(Box<tail::TailArgs>),
    /// Report every error of a configuration, or what the configuration provides.
    CheckConfig(CheckConfigArgs),
    /// Create, list and remove API keys.
    Key(key::KeyArgs),
    /// Print a script that completes commands and options in a shell.
    Completions(manual::CompletionsArgs),
    /// Print the page of the manual, in roff: `riverhead man | man -l -`.
    Man(manual::ManArgs),
}

#[derive(Debug, Args)]
struct ConfigArgs {
    /// The configuration file (see config/riverhead.toml). RIVERHEAD_<SECTION>__<KEY> in the environment has priority.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

#[derive(Debug, Args)]
struct CheckConfigArgs {
    #[command(flatten)]
    file: ConfigArgs,
    /// Also fetch the streams of `stream_config`, and query every bootstrap broker: whether it answers, its cluster id, and
    /// its topics.
    #[arg(long)]
    online: bool,
}

#[derive(Debug, Args)]
struct DemoArgs {
    /// The address of the public listener; port 0 takes a free port [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// The address of the admin listener; port 0 takes a free port [default: 127.0.0.1:8081]
    #[arg(long, value_name = "ADDR")]
    admin: Option<SocketAddr>,
    /// The address of a second public listener with TLS, whose certificate is made for this run; port 0 takes a free port [default: 127.0.0.1:8443]
    #[arg(
        long,
        value_name = "ADDR",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "127.0.0.1:8443"
    )]
    tls: Option<SocketAddr>,
    /// Add a stream that needs a credential, and make a token and an API key for it
    #[arg(long)]
    auth: bool,
    /// Events per second, in all partitions together
    #[arg(long, value_name = "N", default_value = "20")]
    rate: NonZeroU32,
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The configuration or the environment has faults.
    #[error("{0}")]
    Config(#[from] ConfigErrors),
    /// The files of certificates and keys have errors.
    #[error("{0}\n{errors}", errors = check::count(.0.count(), "error"))]
    Tls(#[from] TlsFaults),
    /// The files of authentication have errors.
    #[error("{0}\n{errors}", errors = check::count(.0.count(), "error"))]
    Auth(#[from] AuthFaults),
    /// Files that streams name as their schemas have errors.
    #[error("{0}\n{errors}", errors = check::count(.0.count(), "error"))]
    Schemas(#[from] SchemaFaults),
    /// The configuration is valid, and riverhead did not start.
    #[error("error: cannot start: {0}")]
    Start(#[from] StartError),
    /// A part that the configuration names is missing in Kafka.
    #[error("error: not everything that the configuration names can be read from Kafka")]
    Missing,
    /// The file of `stream_config` cannot be read, or has streams that cannot be served.
    #[error("error: not all streams in the file of [stream_config] can be served")]
    StreamFile,
    /// The same of its address.
    #[error("error: not all streams at the address of [stream_config] can be served")]
    StreamUrl,
    /// The arguments contradict each other.
    #[error("error: {0}")]
    Arguments(String),
    /// A read of `tail` has ended too early.
    #[error("error: {0}")]
    Tail(#[from] TailError),
    /// The arguments of the probe contradict each other.
    #[error("error: {0}")]
    Usage(String),
    /// The probe cannot serve its result at this address.
    #[error("error: cannot listen on {0}: {1}")]
    Watch(SocketAddr, io::Error),
    /// The output could not be written.
    #[error("error: cannot write to stdout: {0}")]
    Output(#[from] io::Error),
}

impl CliError {
    /// Returns the exit code: 64 (of a probe 3) for a fault that the operator can correct in the configuration or in the way it
    /// is started, and 1 for all others.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Config(_) | Self::Tls(_) | Self::Auth(_) | Self::Schemas(_) => ExitCode::from(USAGE),
            // A fault in the way it was started: trying again does not help.
            Self::Start(
                StartError::Descriptors { .. }
                | StartError::Inherited { .. }
                | StartError::Tls(_)
                | StartError::Auth(_),
            ) => ExitCode::from(USAGE),
            Self::Arguments(_) | Self::StreamFile => ExitCode::from(USAGE),
            Self::Tail(error) if error.is_usage() => ExitCode::from(USAGE),
            Self::Usage(_) => ExitCode::from(PROBE_USAGE),
            Self::Watch(..)
            | Self::Start(_)
            | Self::Missing
            | Self::StreamUrl
            | Self::Output(_)
            | Self::Tail(_) => ExitCode::FAILURE,
        }
    }
}

/// Prints what clap says of the arguments. It repeats those that are wrong, such as a URL, and nobody may see a ticket in one.
fn print_without_tickets(said: &clap::Error) -> io::Result<()> {
    let text = said.render().to_string();
    match mask_tickets(&text) {
        // As it is, it may have colours.
        Cow::Borrowed(_) => said.print(),
        Cow::Owned(shown) => io::stderr().write_all(shown.as_bytes()),
    }
}

impl Cli {
    /// Parses the command line.
    ///
    /// # Errors
    /// The exit code, after its text was written: 0 for help and version, 64 for wrong usage (of a probe 3). clap's own code is
    /// 2, which would be a probe's alarm.
    pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, ExitCode> {
        let arguments: Vec<_> = arguments.into_iter().collect();
        let probes = arguments.get(1).is_some_and(|command| command == "probe");
        Self::try_parse_from(arguments).map_err(|said| {
            // If this fails, there is no other way to report it.
            _ = print_without_tickets(&said);
            if said.use_stderr() {
                ExitCode::from(if probes { PROBE_USAGE } else { USAGE })
            } else {
                ExitCode::SUCCESS
            }
        })
    }

    /// Runs the command, and returns the exit code when it is done.
    ///
    /// # Errors
    /// [`CliError`] if it fails.
    pub fn run(
        self,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<ExitCode, CliError> {
        match self.command {
            CliCommand::Serve(file) => serve(file.config, environment)?,
            CliCommand::Demo(demo) => demo.run(environment)?,
            CliCommand::Probe(probe) => return probe.run(),
            CliCommand::CheckConfig(check) => check.run(environment)?,
            CliCommand::Key(key) => key.run()?,
            CliCommand::Tail(tail) => return tail.run(),
            CliCommand::Completions(completions) => completions.run()?,
            CliCommand::Man(man) => man.run()?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn serve(file: PathBuf, environment: impl IntoIterator<Item = (OsString, OsString)>) -> Result<(), CliError> {
    // The environment of a process stays as it was at its start.
    let environment: Vec<_> = environment.into_iter().collect();
    let load = move || load(&file, environment.iter().cloned());
    let (config, warnings) = load()?;
    start_logging(&config.log);
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    Ok(app::serve(config, Arc::new(load))?)
}

impl CheckConfigArgs {
    fn run(self, environment: impl IntoIterator<Item = (OsString, OsString)>) -> Result<(), CliError> {
        let Self { file, online } = self;
        let (config, warnings) = load(&file.config, environment)?;
        schemas::check(&file.config, &config.catalog)?;
        let tls = check::TlsFiles::read(&config)?;
        let mut out = io::stdout().lock();
        let auth = config.auth.as_ref().map(auth::check).transpose()?;
        let (config, document) = stream_config::read(config, online)?;
        check::report(&mut out, &file.config, &config, &tls, auth.as_ref(), &warnings)?;
        let document = document.map_or(Ok(()), |document| document.report(&mut out));
        match online {
            true => document.and(ask_brokers(&mut out, &config)),
            false => document,
        }
    }
}

#[cfg(feature = "kafka")]
fn ask_brokers(out: &mut impl io::Write, config: &Config) -> Result<(), CliError> {
    match online::report(out, config)? {
        true => Ok(()),
        false => Err(CliError::Missing),
    }
}

#[cfg(not(feature = "kafka"))]
fn ask_brokers(_out: &mut impl io::Write, _config: &Config) -> Result<(), CliError> {
    Err(StartError::NotBuiltIn("Kafka").into())
}

impl DemoArgs {
    fn run(self, environment: impl IntoIterator<Item = (OsString, OsString)>) -> Result<(), CliError> {
        let mut config = Config::of_environment(environment)?;
        config.http.listen = self.listen.or(config.http.listen);
        config.admin.listen = self.admin.unwrap_or(config.admin.listen);
        start_logging(&config.log);
        let Self { rate, tls, auth, .. } = self;
        Ok(app::demo(DemoOptions {
            config,
            rate,
            tls,
            auth,
        })?)
    }
}

fn load(
    file: &Path,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<(Config, Vec<Warning>), ConfigErrors> {
    let path = file.display().to_string();
    let text = read(file).map_err(|why| ConfigErrors::unreadable(&path, &why))?;
    Config::load(&text, &path, environment)
}

/// Reads the text, up to one byte more than a configuration may have.
fn read(file: &Path) -> io::Result<String> {
    let mut text = String::new();
    let most = Config::MAX_TEXT_BYTES as u64 + 1;
    File::open(file)?.take(most).read_to_string(&mut text)?;
    Ok(text)
}

/// Starts the log. A program that embeds riverhead may have set up its logs already, which then stay as they are.
fn start_logging(settings: &log::LogSettings) {
    if let Err(taken) = log::init(settings) {
        tracing::debug!("logging was not started: {taken}");
    }
}

/// `EX_USAGE` of BSD's sysexits.h. Supervisors can tell it from 1: trying again does not help.
const USAGE: u8 = 64;

/// `UNKNOWN` of the Monitoring Plugins Development Guidelines, which is for wrong usage and nothing else.
const PROBE_USAGE: u8 = 3;

/// The exit code of a process that SIGINT has ended, as shells say it.
const INTERRUPTED: u8 = 130;
