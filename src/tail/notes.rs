//! What is told on stderr: a status line on a terminal, and gaps, cuts and ends.

use std::{
    fmt::Display,
    io::{self, IsTerminal, Write},
    time::{Duration, Instant},
};

use jiff::Timestamp;

use crate::stream_client::IdPositions;

/// Tells on stderr how the read goes.
pub(super) struct Notes {
    is_quiet: bool,
    has_status: bool,
    /// Whether the status line is on the screen now.
    is_shown: bool,
    /// When the status line was last written, and after how many events.
    last: (Instant, u64),
    pub(super) events: u64,
    pub(super) reconnects: u64,
}

impl Notes {
    pub(super) fn new(is_quiet: bool) -> Self {
        Self {
            is_quiet,
            has_status: !is_quiet && io::stderr().is_terminal(),
            is_shown: false,
            last: (Instant::now(), 0),
            events: 0,
            reconnects: 0,
        }
    }

    /// Writes a line, unless all is to be quiet.
    pub(super) fn tell(&mut self, what: impl Display) {
        if !self.is_quiet {
            self.clear();
            write(format_args!("riverhead tail: {what}\n"));
        }
    }

    /// Takes the status line away, so that something else can be written.
    pub(super) fn clear(&mut self) {
        if std::mem::take(&mut self.is_shown) {
            write(format_args!("\r\x1b[K"));
        }
    }

    /// Writes the status line, at most once a second. `id` is the last one.
    pub(super) fn status(&mut self, id: Option<&str>) {
        let elapsed = self.last.0.elapsed();
        if !self.has_status || elapsed < EVERY {
            return;
        }
        let rate = (self.events - self.last.1) as f64 / elapsed.as_secs_f64();
        self.last = (Instant::now(), self.events);
        let lag = id
            .and_then(lag)
            .map_or_else(String::new, |lag| format!(", {lag:.1} s behind"));
        let (events, reconnects) = (self.events, self.reconnects);
        let status = format_args!("\r\x1b[K{events} events, {rate:.0}/s{lag}, {reconnects} reconnects");
        write(status);
        self.is_shown = true;
    }
}

/// How often the status line is written.
pub(super) const EVERY: Duration = Duration::from_secs(1);

/// Returns the age of the newest record before this id, in seconds.
fn lag(id: &str) -> Option<f64> {
    let newest = IdPositions::read(id).ok()?.newest()?;
    let age = Timestamp::now().as_millisecond().saturating_sub(newest);
    Some(age.max(0) as f64 / 1e3)
}

fn write(text: std::fmt::Arguments<'_>) {
    // Nobody may be reading it.
    _ = io::stderr().write_fmt(text);
}
