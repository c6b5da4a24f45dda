//! The report: the results, and whether anything grew.

use std::{fmt, io, time::Instant};

use serde::Serialize;

use crate::{
    chart::Page,
    gateway::Gateway,
    numbers::Faults,
    scenarios::{exact, problems},
    table::median,
};

/// The result of the scenario.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The number of connections started.
    pub connects: u64,
    /// The number of these by clients that were cut and resumed with their last id.
    pub returns: u64,
    /// How often a client stopped reading for seconds.
    pub lags: u64,
    /// The number of clients that had read for seconds and lacked what was written two seconds before.
    pub behind: u64,
    /// The number of streams that ended without being closed by the client, and of connections that got none.
    pub ended: u64,
    /// The faults of all clients together.
    pub faults: Faults,
    /// The number of gap events.
    pub gaps: u64,
    /// The number of events.
    pub delivered: u64,
    /// The number of the gateway's descriptors before the first client and after the last.
    pub descriptors: (u64, u64),
    /// The samples over time.
    pub samples: Vec<ChurnSample>,
    /// The gateway's log.
    #[serde(skip)]
    pub log: String,
}

/// A sample.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ChurnSample {
    /// Seconds since the start.
    pub at: f64,
    /// The gateway's resident memory in bytes.
    pub resident: u64,
    /// The number of its descriptors.
    pub descriptors: u64,
    /// The number of clients with a stream.
    pub here: u64,
}

impl ChurnSample {
    pub(super) fn take(began: Instant, gateway: &Gateway, here: u64) -> io::Result<Self> {
        Ok(Self {
            at: began.elapsed().as_secs_f64(),
            resident: gateway.resident()?,
            descriptors: gateway.process().descriptors()?,
            here,
        })
    }
}

impl Report {
    /// Returns the difference of the median resident memory between the last quarter and the second, in
    /// bytes. In the first quarter, rings and caches fill up.
    pub fn grown(&self) -> Option<f64> {
        let quarter = self.samples.len() / 4;
        let of = |from: usize| {
            let part = self.samples.iter().skip(from).take(quarter);
            median(part.map(|sample| sample.resident as f64))
        };
        of(3 * quarter)
            .zip(of(quarter))
            .map(|(last, second)| last - second)
    }

    /// Returns the growth that is allowed in this time, because an allocator's memory drifts.
    fn may_grow(&self) -> f64 {
        let last = self.samples.last().map_or(0.0, |sample| sample.resident as f64);
        MOST_GROWTH.max(last * 0.05)
    }

    fn series(&self, of: impl Fn(&ChurnSample) -> f64) -> Vec<(f64, f64)> {
        self.samples
            .iter()
            .map(|sample| (sample.at, of(sample)))
            .collect()
    }
}

impl crate::scenarios::Report for Report {
    fn problems(&self) -> Vec<String> {
        let (before, after) = self.descriptors;
        problems([
            exact(self.faults),
            (self.gaps == 0, "a client received a gap"),
            (self.behind == 0, "a client did not catch up"),
            (self.ended == 0, "a stream ended or did not begin"),
            (
                self.grown().is_none_or(|grown| grown <= self.may_grow()),
                "resident memory grew",
            ),
            (after <= before + SLACK, "descriptors were left open"),
        ])
    }

    fn log(&self) -> &str {
        &self.log
    }

    fn page(&self) -> Option<Page> {
        let mut page = Page::new("riverhead: churn");
        page.line(
            "Resident memory",
            "MB",
            &self.series(|sample| sample.resident as f64 / 1e6),
        );
        page.line(
            "Descriptors",
            "",
            &self.series(|sample| sample.descriptors as f64),
        );
        page.line(
            "Clients with a stream",
            "",
            &self.series(|sample| sample.here as f64),
        );
        Some(page)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            connects,
            returns,
            lags,
            delivered,
            ..
        } = self;
        writeln!(
            f,
            "{connects} connects, {returns} of them with an id; {lags} lags; {delivered} events"
        )?;
        let resident = self.samples.iter().map(|sample| sample.resident as f64 / 1e6);
        let [first, last] = [self.samples.first(), self.samples.last()]
            .map(|sample| sample.map_or(0.0, |sample| sample.resident as f64 / 1e6));
        let most = resident.fold(0.0, f64::max);
        let grown = self.grown().unwrap_or_default() / 1e6;
        writeln!(
            f,
            "resident {first:.1} MB first, {last:.1} MB last, {most:.1} MB at most; from the second quarter \
             to the last: {grown:+.2} MB"
        )?;
        let (before, after) = self.descriptors;
        writeln!(
            f,
            "descriptors {before} before the first client, {after} after the last"
        )?;
        let Self {
            faults,
            gaps,
            behind,
            ended,
            ..
        } = self;
        write!(f, "{faults}, gap events {gaps}, behind {behind}, ended {ended}")
    }
}

/// In bytes.
const MOST_GROWTH: f64 = 5e6;

/// Descriptors that the first reader of history adds, and that stay open: one Kafka client per broker, with a
/// connection and a pipe for every broker. A leak for each of thousands of connects would be more.
const SLACK: u64 = 64;
