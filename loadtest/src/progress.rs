//! What a person who waits gets to see.

use std::{
    fmt,
    io::{self, Write},
    time::Instant,
};

/// Where progress goes: nowhere, or line by line to stderr with the seconds since it began.
#[derive(Clone, Copy, Debug, Default)]
pub enum Progress {
    /// For tests.
    #[default]
    Silent,
    /// For people.
    Lines {
        /// What the seconds count from.
        since: Instant,
    },
}

impl Progress {
    /// Lines, from now on.
    pub fn lines() -> Self {
        Self::Lines {
            since: Instant::now(),
        }
    }

    /// One line.
    pub fn say(self, what: impl fmt::Display) {
        if let Self::Lines { since } = self {
            // Nobody is left to tell when this fails.
            _ = writeln!(io::stderr(), "{:6.1} s  {what}", since.elapsed().as_secs_f64());
        }
    }
}
