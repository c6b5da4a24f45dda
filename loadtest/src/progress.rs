//! Progress, for a person who waits.

use std::{
    fmt,
    io::{self, Write},
    time::Instant,
};

/// Where progress is written: nowhere, or to stderr, with the seconds since the start before each line.
#[derive(Clone, Copy, Debug, Default)]
pub enum Progress {
    /// For tests.
    #[default]
    Silent,
    /// For a person.
    Lines {
        /// The start of the seconds.
        since: Instant,
    },
}

impl Progress {
    /// Writes lines, with seconds from now on.
    pub fn lines() -> Self {
        Self::Lines {
            since: Instant::now(),
        }
    }

    /// Writes one line.
    pub fn say(self, what: impl fmt::Display) {
        if let Self::Lines { since } = self {
            // If this fails, there is no other way to report it.
            _ = writeln!(io::stderr(), "{:6.1} s  {what}", since.elapsed().as_secs_f64());
        }
    }
}
