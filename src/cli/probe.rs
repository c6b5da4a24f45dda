//! The arguments of `probe`, and its exit codes, which are those of a monitoring plugin.
//!
//! Not here: the checks (`probe` at the top of the crate).

use std::{
    io::{self, Write},
    net::{IpAddr, SocketAddr},
    num::NonZeroU32,
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use clap::Args;

use super::CliError;
use crate::{
    config::duration,
    probe::{
        self, CanaryCheck, LimitCheck, ProbePlan, ProbeReport, ReportFormat, Threshold, Thresholds,
        WatchOptions,
    },
    stream_client::{StreamTarget, TlsOptions},
};

#[derive(Debug, Args)]
pub(super) struct ProbeArgs {
    /// The URL of the gateway or of a stream: https://stream.example, http://127.0.0.1:8080/v2/stream/recentchange
    url: StreamTarget,
    /// The stream to request, if the URL names none; several are separated by commas
    #[arg(long, value_name = "NAME")]
    stream: Option<String>,
    /// Critical if a partition has no record younger than this. If no event arrives, earlier events are read
    #[arg(long, value_name = "D", value_parser = nonzero_duration)]
    max_age: Option<Duration>,
    /// Read a stream, close it, resume it and compare: critical if an event is lost, repeated or different
    #[arg(long)]
    resume: bool,
    /// Request the stream since this long ago: critical if it begins at another time
    #[arg(long, value_name = "D", value_parser = nonzero_duration)]
    since: Option<Duration>,
    /// Open N streams from one address: critical if one more is not refused, or if another address is refused
    #[arg(long, value_name = "N", requires = "from")]
    limit: Option<NonZeroU32>,
    /// The other source address of --limit. If it is given twice, the N streams come from the first
    #[arg(long, value_name = "ADDR", requires = "limit")]
    from: Vec<IpAddr>,
    /// Produce a canary to each partition of --canary-topic, and measure its time to the probe. Clients do not get it
    #[arg(long, value_name = "BOOTSTRAP", requires = "canary_topic")]
    canary: Option<String>,
    /// The topic for --canary, which must be a topic of the stream
    #[arg(long, value_name = "TOPIC", requires = "canary")]
    canary_topic: Option<String>,
    /// A setting of librdkafka for --canary, such as security.protocol=ssl
    #[arg(long, value_name = "KEY=VALUE", requires = "canary", value_parser = pair)]
    canary_set: Vec<(String, String)>,
    /// A file with the credential to send, an API key or a token (JWT). It is read anew for each connection
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// A stream that is not for strangers: critical if one without a credential does not get 401. Can be repeated
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    closed: Vec<String>,
    /// A PEM file with the authorities to trust for https, instead of those of the system
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// A PEM file with the certificate to present to a gateway that requests one
    #[arg(long, value_name = "FILE", requires = "client_key")]
    client_certificate: Option<PathBuf>,
    /// A PEM file with the private key of --client-certificate
    #[arg(long, value_name = "FILE", requires = "client_certificate")]
    client_key: Option<PathBuf>,
    /// The URL of the admin listener: if a check is critical, its line ends with the reasons that /healthz gives
    #[arg(long, value_name = "URL")]
    admin: Option<StreamTarget>,
    /// The timeout of each check
    #[arg(long, value_name = "D", value_parser = nonzero_duration, default_value = "10s")]
    timeout: Duration,
    /// A range outside which a measurement is a warning: connect=1, tls_days=30:, ttfe=~:5
    #[arg(long, value_name = "NAME=RANGE")]
    warning: Vec<Threshold>,
    /// A range outside which a measurement is critical
    #[arg(long, value_name = "NAME=RANGE")]
    critical: Vec<Threshold>,
    /// The format of the report: nagios, json or prometheus
    #[arg(long, value_name = "FORMAT", value_parser = format, default_value = "nagios")]
    format: ReportFormat,
    /// Repeat the probe at this interval, and serve the last result: /metrics for Prometheus, /result as JSON
    #[arg(long, value_name = "D", value_parser = nonzero_duration)]
    watch: Option<Duration>,
    /// The address at which --watch serves the result; port 0 takes a free port
    #[arg(
        long,
        value_name = "ADDR",
        requires = "watch",
        default_value = "127.0.0.1:8082"
    )]
    listen: SocketAddr,
}

impl ProbeArgs {
    pub(super) fn run(self) -> Result<ExitCode, CliError> {
        let (format, listen, every) = (self.format, self.listen, self.watch);
        let plan = self.plan().map_err(CliError::Usage)?;
        let Some(every) = every else {
            let report = probe::run(&plan);
            print_report(format, &report)?;
            return Ok(ExitCode::from(report.status().exit_code()));
        };
        // The parent process may have closed stdout. The metrics go on.
        let listening = |address| drop(write(&format!("listening on http://{address}\n")));
        let told = |report: &ProbeReport| drop(print_report(format, report));
        match probe::watch(&plan, WatchOptions { every, listen }, listening, told) {
            Ok(never) => match never {},
            Err(error) => Err(CliError::Watch(listen, error)),
        }
    }

    fn plan(self) -> Result<ProbePlan, String> {
        let (crowd, neighbour) = match self.from.as_slice() {
            [] => (None, None),
            [neighbour] => (None, Some(*neighbour)),
            [crowd, neighbour] => (Some(*crowd), Some(*neighbour)),
            _ => return Err("--from can be given at most twice".into()),
        };
        let limit = self.limit.zip(neighbour).map(|(streams, neighbour)| LimitCheck {
            streams: streams.get(),
            crowd,
            neighbour,
        });
        let options = self.canary_set;
        let canary = self
            .canary
            .zip(self.canary_topic)
            .map(|(bootstrap, topic)| CanaryCheck {
                bootstrap,
                topic,
                options,
            });
        let target = self.url.stream(self.stream.as_deref());
        let target = target.map_err(|error| error.to_string())?;
        if let Some(name) = self.closed.iter().find(|name| !target.has_other_stream(name)) {
            return Err(format!("--closed: {name:?} is not the name of a stream"));
        }
        Ok(ProbePlan {
            target,
            token_file: self.token_file,
            closed: self.closed,
            tls: TlsOptions {
                ca: self.ca,
                client: self.client_certificate.zip(self.client_key),
            },
            admin: self.admin,
            timeout: self.timeout,
            max_age: self.max_age,
            resume: self.resume,
            since: self.since,
            limit,
            canary,
            thresholds: Thresholds {
                warning: self.warning,
                critical: self.critical,
            },
        })
    }
}

fn print_report(format: ReportFormat, report: &ProbeReport) -> io::Result<()> {
    write(&format.write(report).map_err(io::Error::other)?)
}

fn write(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

/// Parses a duration that is not zero.
fn nonzero_duration(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("expected a duration above zero".into()),
        some => Ok(some),
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

fn format(text: &str) -> Result<ReportFormat, String> {
    let known = ReportFormat::ALL.into_iter().find(|format| format.name() == text);
    known.ok_or_else(|| {
        format!(
            "expected one of {}",
            ReportFormat::ALL.map(ReportFormat::name).join(", ")
        )
    })
}
