//! What is logged, and how it looks. Logs go to stderr; stdout belongs to the `listening on` line.

use std::{
    io::{self, IsTerminal},
    str::FromStr,
};

use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    layer::SubscriberExt,
    util::{SubscriberInitExt, TryInitError},
};

/// The section `log`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// What a line looks like. The default is for people; machines are told by whoever runs them.
    pub format: Format,
    /// Which lines there are.
    pub level: Level,
}

/// What a log line looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl Format {
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
pub struct Level(Targets);

impl Default for Level {
    fn default() -> Self {
        // Two lines a stream and one a change of state: what a person on call reads.
        Self(Targets::new().with_default(LevelFilter::INFO))
    }
}

/// The text names no level.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is none of off, error, warn, info, debug and trace")]
pub struct BadLevel(String);

impl FromStr for Level {
    type Err = BadLevel;

    /// A bare word must be a level. (`tracing` would take `inof` for the name of a module, and log all of it.)
    fn from_str(text: &str) -> Result<Self, BadLevel> {
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

/// Sends what is traced to stderr from now on.
///
/// # Errors
/// When something else has already taken the process's logs.
pub fn init(settings: &Settings) -> Result<(), TryInitError> {
    let registry = tracing_subscriber::registry().with(settings.level.0.clone());
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    match settings.format {
        Format::Text => registry
            .with(lines.with_ansi(io::stderr().is_terminal()))
            .try_init(),
        Format::Json => registry
            .with(lines.json().flatten_event(true).with_current_span(false))
            .try_init(),
    }
}

fn level_of(text: &str) -> Result<LevelFilter, BadLevel> {
    match text.trim() {
        "off" => Ok(LevelFilter::OFF),
        "error" => Ok(LevelFilter::ERROR),
        "warn" => Ok(LevelFilter::WARN),
        "info" => Ok(LevelFilter::INFO),
        "debug" => Ok(LevelFilter::DEBUG),
        "trace" => Ok(LevelFilter::TRACE),
        other => Err(BadLevel(other.into())),
    }
}

#[cfg(test)]
mod tests {
    use tracing::Level as L;

    use super::*;

    #[test]
    fn a_module_can_have_a_level_of_its_own() {
        let Level(targets) = "warn, riverhead::kafka = debug".parse().expect("a level");
        assert!(targets.would_enable("riverhead::kafka::tail", &L::DEBUG));
        assert!(!targets.would_enable("riverhead::http", &L::INFO));
        assert!(targets.would_enable("riverhead::http", &L::WARN));
    }

    #[test]
    fn a_misspelt_level_is_no_module() {
        for text in ["inof", "", "info,", "a=", "a=inof", "3"] {
            assert!(text.parse::<Level>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_default_is_info() {
        assert_eq!("info".parse(), Ok(Level::default()));
    }
}
