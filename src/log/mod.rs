//! What is logged, and how it looks. Logs go to stderr; stdout belongs to the `listening on` line.
//!
//! Nothing that serves waits for who reads the log: lines go to a queue that is bounded in bytes, and one thread writes them.
//! What finds no room is dropped and counted.

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
    /// What a line looks like. The default is for people; machines are told by whoever runs them.
    pub format: LogFormat,
    /// Which lines there are.
    pub level: LogLevels,
}

/// What a log line looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl LogFormat {
    /// Both formats, in the order in which they are explained.
    pub const ALL: &[Self] = &[Self::Text, Self::Json];

    /// Its name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

/// Which lines are logged: a level, and other levels for modules (`info,riverhead::kafka=debug`).
#[derive(Clone, Debug, PartialEq)]
pub struct LogLevels(Targets);

impl Default for LogLevels {
    fn default() -> Self {
        // Two lines a stream and one a change of state: what a person on call reads.
        Self(Targets::new().with_default(LevelFilter::INFO))
    }
}

/// The text names no level.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is none of off, error, warn, info, debug and trace")]
pub struct InvalidLevel(String);

impl FromStr for LogLevels {
    type Err = InvalidLevel;

    /// A bare word must be a level. (`tracing` would take `inof` for the name of a module, and log all of it.)
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

/// Why what is traced does not go to stderr.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// Something else has already taken the process's logs.
    #[error(transparent)]
    AlreadySet(#[from] TryInitError),
    /// There is no thread to write them.
    #[error("no thread to write the log: {0}")]
    Thread(#[from] io::Error),
}

/// Sends what is traced, and panics, to stderr from now on.
///
/// # Errors
/// When they do not go there: see [`InitError`].
pub fn init(settings: &LogSettings) -> Result<(), InitError> {
    let queue = Arc::new(LogQueue::default());
    subscribe(settings, MakeLineWriter(Arc::clone(&queue)))?;
    writer::start(Arc::clone(&queue))?;
    // Nobody else sets it: only one subscriber is ever taken.
    let _ = QUEUE.set(queue);
    // The standard hook writes to stderr itself, and would wait for who reads it.
    panic::set_hook(Box::new(|panic| {
        let backtrace = Backtrace::capture();
        match backtrace.status() {
            BacktraceStatus::Captured => tracing::error!("{panic}\n{backtrace}"),
            _ => tracing::error!("{panic}"),
        }
    }));
    Ok(())
}

/// Waits until all that was logged is written, at most [`FLUSH_TIMEOUT`].
pub fn flush() {
    if let Some(queue) = QUEUE.get() {
        queue.flush(FLUSH_TIMEOUT);
    }
}

/// How many lines of this class were dropped because nobody read them in time.
pub fn dropped_lines(class: LineClass) -> u64 {
    QUEUE.get().map_or(0, |queue| queue.dropped_lines(class))
}

/// Writes `text` to `sink`, a standard stream, and waits for that at most [`FLUSH_TIMEOUT`]: what reads it may have stopped.
pub fn write_with_timeout(mut sink: impl Write + Send + 'static, text: String) {
    let (done, is_done) = mpsc::channel::<()>();
    let written = thread::Builder::new().spawn(move || {
        // Whoever started this process may have closed it, which ends nothing.
        let _ = sink.write_all(text.as_bytes()).and_then(|()| sink.flush());
        drop(done);
    });
    if written.is_ok() {
        // An error either way: the end of the thread, or of the patience.
        let _ = is_done.recv_timeout(FLUSH_TIMEOUT);
    }
}

/// The lines of this process.
static QUEUE: OnceLock<Arc<LogQueue>> = OnceLock::new();

/// How long an end, or a start, waits for who reads what this process writes: a second is long for a pipe that is read.
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
