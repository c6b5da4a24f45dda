//! The arguments of `tail`.
//!
//! Not here: following a stream (`tail` at the top of the crate).

use std::{fs::File, io, os::fd::AsFd, path::PathBuf, process::ExitCode};

use clap::Args;

use super::{CliError, INTERRUPTED};
use crate::{
    stream_client::{StreamTarget, TlsOptions},
    tail::{self, TailEnd, TailPlan, Template},
};

#[derive(Debug, Args)]
pub(super) struct TailArgs {
    /// The URL of a stream: http://127.0.0.1:8080/v2/stream/recentchange
    url: StreamTarget,
    /// Keep the position in this file, and begin there
    #[arg(long, value_name = "FILE")]
    resume: Option<PathBuf>,
    /// Begin at this time, if there is no position yet: 2026-11-30T12:00:00Z, or milliseconds since 1970
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// End at this time, at the end of what there is (now), or at this id. An end that is still to come is awaited
    #[arg(long, value_name = "TIME|now|ID")]
    until: Option<String>,
    /// End after this many events
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// Print only events that match, such as 'wiki = enwiki and not bot = true'
    #[arg(long, value_name = "EXPRESSION")]
    filter: Option<String>,
    /// Print only these fields of each event, such as 'title,meta.domain'
    #[arg(long, value_name = "FIELDS")]
    fields: Option<String>,
    /// Read only these partitions: the k-th share of n (1/3), or a list (TOPIC:0,TOPIC:3)
    #[arg(long, value_name = "K/N|LIST")]
    partitions: Option<String>,
    /// Print this for each event instead of its value: '{@topic} {user.name}'. {{ is a brace
    #[arg(long, value_name = "TEXT")]
    template: Option<Template>,
    /// A file with the credential to send, an API key or a token (JWT). It is read anew for each connection
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// A PEM file with the authorities to trust for https, instead of those of the system
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Tell nothing but errors on stderr
    #[arg(long)]
    quiet: bool,
}

impl TailArgs {
    pub(super) fn run(self) -> Result<ExitCode, CliError> {
        let target = self.url.stream(None);
        let plan = TailPlan {
            target: target.map_err(|error| CliError::Arguments(error.to_string()))?,
            tls: TlsOptions {
                ca: self.ca,
                client: None,
            },
            token_file: self.token_file,
            since: self.since,
            until: self.until,
            filter: self.filter,
            fields: self.fields,
            partitions: self.partitions,
            limit: self.limit,
            template: self.template,
            resume: self.resume,
            is_quiet: self.quiet,
        };
        // Without the buffer of `Stdout`: what was written is known to the byte.
        let out = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        match tail::run(plan, out)? {
            TailEnd::Complete => Ok(ExitCode::SUCCESS),
            TailEnd::Interrupted => Ok(ExitCode::from(INTERRUPTED)),
        }
    }
}
