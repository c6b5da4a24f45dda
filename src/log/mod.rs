//! Logging to stderr. Stdout is reserved for the `listening on` line.
//!
//! No task waits for the reader of the log. Lines go to a queue bounded in bytes, and one thread writes them. Lines that do not
//! fit are dropped and counted.
//!
//! Not here: the queue (`queue`), and the thread that writes it (`writer`).

mod queue;
mod writer;

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    io::{self, IsTerminal, Write},
    panic,
    str::FromStr,
    sync::{Arc, OnceLock, mpsc},
    thread,
    time::Duration,
};

use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    layer::SubscriberExt,
    util::{SubscriberInitExt, TryInitError},
};

pub use queue::LineClass;
use queue::LogQueue;
use writer::MakeLineWriter;

/// The section `log`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LogSettings {
    /// Format of the lines. The default is for people. Operators whose logs are read by machines set `json`.
    pub format: LogFormat,
    /// The lines that are logged.
    pub level: LogLevels,
}

named! {
    /// Format of a log line.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub enum LogFormat {
        /// Plain text for people.
        #[default]
        Text = "text",
        /// One JSON object a line.
        Json = "json",
    }
}

/// The lines that are logged: a level, and other levels for modules (`info,riverhead::kafka=debug`).
#[derive(Clone, Debug, PartialEq)]
pub struct LogLevels(Targets);

impl Default for LogLevels {
    fn default() -> Self {
        // Two lines per stream and one per change of state: what an operator on call reads.
        Self(Targets::new().with_default(LevelFilter::INFO))
    }
}

/// A text that is not a level.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected off, error, warn, info, debug or trace, found `{0}`")]
pub struct InvalidLevel(String);

impl FromStr for LogLevels {
    type Err = InvalidLevel;

    /// Parses levels. A bare word must be a level: `tracing` would take `inof` for the name of a module, and log all of it.
    fn from_str(text: &str) -> Result<Self, InvalidLevel> {
        text.split(',')
            .try_fold(Targets::new(), |targets, part| {
                match part.trim().split_once('=') {
                    Some((module, level)) => Ok(targets.with_target(module.trim(), level_of(level)?)),
                    None => Ok(targets.with_default(level_of(part)?)),
                }
            })
            .map(Self)
    }
}

/// Why logging could not be started.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// Another subscriber has been installed in this process.
    #[error(transparent)]
    AlreadySet(#[from] TryInitError),
    /// The system has no thread to give.
    #[error("cannot start the thread that writes the log: {0}")]
    Thread(#[from] io::Error),
}

/// Sends trace events and panics to stderr from now on.
///
/// # Errors
/// See [`InitError`]. Nothing is logged then.
pub fn init(settings: &LogSettings) -> Result<(), InitError> {
    let queue = Arc::new(LogQueue::default());
    subscribe(settings, MakeLineWriter(Arc::clone(&queue)))?;
    writer::start(Arc::clone(&queue))?;
    // Set only here: the process accepts only one subscriber.
    let _ = QUEUE.set(queue);
    // The standard hook writes to stderr itself, and would block on a reader that does not read.
    panic::set_hook(Box::new(|panic| {
        let backtrace = Backtrace::capture();
        match backtrace.status() {
            BacktraceStatus::Captured => tracing::error!("{panic}\n{backtrace}"),
            _ => tracing::error!("{panic}"),
        }
    }));
    Ok(())
}

/// Waits until all lines so far are written, at most `FLUSH_TIMEOUT`.
pub fn flush() {
    if let Some(queue) = QUEUE.get() {
        queue.flush(FLUSH_TIMEOUT);
    }
}

/// Returns how many lines of this class were dropped because the log was not read in time.
pub fn dropped_lines(class: LineClass) -> u64 {
    QUEUE.get().map_or(0, |queue| queue.dropped_lines(class))
}

/// Writes `text` to `sink`, a standard stream, and waits at most `FLUSH_TIMEOUT`: its reader may have stopped.
pub fn write_with_timeout(mut sink: impl Write + Send + 'static, text: String) {
    let (done, is_done) = mpsc::channel::<()>();
    let written = thread::Builder::new().spawn(move || {
        // The parent process may have closed the stream. That is no reason to end.
        let _ = sink.write_all(text.as_bytes()).and_then(|()| sink.flush());
        drop(done);
    });
    if written.is_ok() {
        // An error means that the thread has ended or that the timeout has passed. Both are fine.
        let _ = is_done.recv_timeout(FLUSH_TIMEOUT);
    }
}

/// The log queue of this process.
static QUEUE: OnceLock<Arc<LogQueue>> = OnceLock::new();

/// How long a start or an exit waits for the reader of this process's output. One second is long for a pipe that is being read.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

fn subscribe(settings: &LogSettings, lines: MakeLineWriter) -> Result<(), TryInitError> {
    let registry = tracing_subscriber::registry().with(settings.level.0.clone());
    let lines = tracing_subscriber::fmt::layer().with_writer(lines);
    match settings.format {
        LogFormat::Text => registry
            .with(lines.with_ansi(io::stderr().is_terminal()))
            .try_init(),
        LogFormat::Json => registry
            .with(lines.json().flatten_event(true).with_current_span(false))
            .try_init(),
    }
}

fn level_of(text: &str) -> Result<LevelFilter, InvalidLevel> {
    match text.trim() {
        "off" => Ok(LevelFilter::OFF),
        "error" => Ok(LevelFilter::ERROR),
        "warn" => Ok(LevelFilter::WARN),
        "info" => Ok(LevelFilter::INFO),
        "debug" => Ok(LevelFilter::DEBUG),
        "trace" => Ok(LevelFilter::TRACE),
        other => Err(InvalidLevel(other.into())),
    }
}

#[cfg(test)]
mod tests {
    use tracing::Level as L;

    use super::*;

    #[test]
    fn a_module_can_have_a_level_of_its_own() {
        let LogLevels(targets) = "warn, riverhead::kafka = debug".parse().expect("a level");
        assert!(targets.would_enable("riverhead::kafka::supervisor::tail", &L::DEBUG));
        assert!(!targets.would_enable("riverhead::http", &L::INFO));
        assert!(targets.would_enable("riverhead::http", &L::WARN));
    }

    #[test]
    fn a_misspelt_level_is_no_module() {
        for text in ["inof", "", "info,", "a=", "a=inof", "3"] {
            assert!(text.parse::<LogLevels>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_default_is_info() {
        assert_eq!("info".parse(), Ok(LogLevels::default()));
    }
}
