//! `riverhead tail`: prints the values of a stream and resumes it by itself, over cuts, restarts of the gateway, and its own.
//!
//! | file | content |
//! |---|---|
//! | `follow` | the requests one after the other: read, cut, wait, resume |
//! | `format` | an event as a line |
//! | `output` | writing lines; the position in a file that they are written to |
//! | `state` | the file that keeps the position between runs |
//! | `notes` | what is told on stderr: the status line, gaps, cuts |
//!
//! Not here: requests (`stream_client`), and arguments and exit codes (`cli`).

mod follow;
mod format;
mod notes;
mod output;
mod state;

use std::{fs::File, io, path::PathBuf};

use tokio::{runtime, signal};

pub use self::format::{InvalidTemplate, Template};
use crate::stream_client::{StreamError, StreamTarget, TlsOptions};

use self::{follow::Follower, state::StateError};

/// What to follow, and how to print it.
#[derive(Clone, Debug)]
pub struct TailPlan {
    /// The stream.
    pub target: StreamTarget,
    /// Whom to trust with https.
    pub tls: TlsOptions,
    /// The file with the credential to send. It is read at each connection.
    pub token_file: Option<PathBuf>,
    /// Where to begin, if nothing is resumed, in the form of the parameter `since`.
    pub since: Option<String>,
    /// Where to end, in the form of the parameter `until`.
    pub until: Option<String>,
    /// The filter, in the language of the parameter `filter`.
    pub filter: Option<String>,
    /// Which fields of a value are sent, in the form of the parameter `fields`.
    pub fields: Option<String>,
    /// Which partitions are read, in the form of the parameter `partitions`.
    pub partitions: Option<String>,
    /// After how many events to end.
    pub limit: Option<u64>,
    /// How an event is printed; its value if this is `None`.
    pub template: Option<Template>,
    /// The file that keeps the position.
    pub resume: Option<PathBuf>,
    /// Whether nothing but errors is told on stderr.
    pub is_quiet: bool,
}

/// How a read ended, if not with an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TailEnd {
    /// As it was asked for, or because nobody reads the output any more.
    Complete,
    /// By SIGINT.
    Interrupted,
}

/// Why a read ended too early.
#[derive(Debug, thiserror::Error)]
pub enum TailError {
    /// The gateway cannot be reached, or refuses, in a way that does not mend by trying again. The text says what was the matter.
    #[error("{0}")]
    Stream(String),
    /// The gateway has ended the stream for good.
    #[error("the gateway has ended the stream: {0}")]
    Ended(String),
    /// The state file cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// The output cannot be written.
    #[error("cannot write to stdout: {0}")]
    Output(io::Error),
    /// The process cannot do what every process can.
    #[error("cannot start: {0}")]
    Start(io::Error),
}

impl TailError {
    /// Whether the arguments are to blame.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::State(error) if error.is_usage())
    }
}

impl From<StreamError> for TailError {
    fn from(error: StreamError) -> Self {
        Self::Stream(error.to_string())
    }
}

/// Follows the stream until the read is complete. Lines are written to `out`, and what else there is to tell to stderr.
///
/// # Errors
/// [`TailError`].
pub fn run(plan: TailPlan, out: File) -> Result<TailEnd, TailError> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(TailError::Start)?;
    let ended = runtime.block_on(async {
        let mut interrupts =
            signal::unix::signal(signal::unix::SignalKind::interrupt()).map_err(TailError::Start)?;
        let mut follower = Follower::new(plan, out)?;
        let ended = tokio::select! {
            ended = follower.follow() => ended,
            _ = interrupts.recv() => Ok(TailEnd::Interrupted),
        };
        follower.save()?;
        ended
    });
    // A resolver that hangs on one of the runtime's threads is not waited for.
    runtime.shutdown_background();
    ended
}
