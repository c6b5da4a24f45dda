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
        self, CanaryCheck, LimitCheck, ProbePlan, ProbeReport, ProbeTarget, ProbeTls, ReportFormat,
        Threshold, Thresholds, WatchOptions,
    },
};

#[derive(Debug, Args)]
pub(super) struct ProbeArgs {
    /// The gateway, or a stream of it: https://stream.example, http://127.0.0.1:8080/v2/stream/recentchange
    url: ProbeTarget,
    /// The stream to ask for, where the URL does not say; several with commas between
    #[arg(long, value_name = "NAME")]
    stream: Option<String>,
    /// Critical if a partition has no record younger than this; a stream without events meanwhile is looked back on
    #[arg(long, value_name = "D", value_parser = nonzero_duration)]
    max_age: Option<Duration>,
    /// Read, cut, resume and compare: critical if anything is lost, repeated or different
    #[arg(long)]
    resume: bool,
    /// Ask for the stream from so long ago on: critical if it begins at another time
    #[arg(long, value_name = "D", value_parser = nonzero_duration)]
    since: Option<Duration>,
    /// Take N streams from one address: critical if one more is not refused, or another address is
    #[arg(long, value_name = "N", requires = "from")]
    limit: Option<NonZeroU32>,
    /// The other source address of --limit. Given twice, the first is the one that takes the streams
    #[arg(long, value_name = "ADDR", requires = "limit")]
    from: Vec<IpAddr>,
    /// Produce a record that only the probe can see to each partition of --canary-topic, and time it end to end
    #[arg(long, value_name = "BOOTSTRAP", requires = "canary_topic")]
    canary: Option<String>,
    /// The topic for --canary, one of the stream's
    #[arg(long, value_name = "TOPIC", requires = "canary")]
    canary_topic: Option<String>,
    /// A setting of librdkafka for --canary, such as security.protocol=ssl
    #[arg(long, value_name = "KEY=VALUE", requires = "canary", value_parser = pair)]
    canary_set: Vec<(String, String)>,
    /// The authorities to trust with https, in PEM, in place of the system's
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// A certificate to show to a gateway that asks clients for one, in PEM
    #[arg(long, value_name = "FILE", requires = "client_key")]
    client_certificate: Option<PathBuf>,
    /// The private key of --client-certificate, in PEM
    #[arg(long, value_name = "FILE", requires = "client_certificate")]
    client_key: Option<PathBuf>,
    /// How long each check may wait
    #[arg(long, value_name = "D", value_parser = nonzero_duration, default_value = "10s")]
    timeout: Duration,
    /// A range outside which a number warns: connect=1, tls_days=30:, ttfe=~:5
    #[arg(long, value_name = "NAME=RANGE")]
    warning: Vec<Threshold>,
    /// A range outside which a number is critical
    #[arg(long, value_name = "NAME=RANGE")]
    critical: Vec<Threshold>,
    /// nagios, json or prometheus
    #[arg(long, value_name = "FORMAT", value_parser = format, default_value = "nagios")]
    format: ReportFormat,
    /// Probe again and again, this often, and serve the last result: /metrics for Prometheus, /result as JSON
    #[arg(long, value_name = "D", value_parser = nonzero_duration)]
    watch: Option<Duration>,
    /// Where --watch serves; port 0 takes a free one
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
            _ => return Err("--from can be given twice, not more often".into()),
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
        Ok(ProbePlan {
            target: self
                .url
                .stream(self.stream.as_deref())
                .map_err(|error| error.to_string())?,
            tls: ProbeTls {
                ca: self.ca,
                client: self.client_certificate.zip(self.client_key),
            },
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
        Duration::ZERO => Err("this must be more than zero".into()),
        some => Ok(some),
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("this is not KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

fn format(text: &str) -> Result<ReportFormat, String> {
    let known = ReportFormat::ALL.into_iter().find(|format| format.name() == text);
    known.ok_or_else(|| {
        format!(
            "there are {}",
            ReportFormat::ALL.map(ReportFormat::name).join(", ")
        )
    })
}
