//! The result of the scenario.

use std::{fmt, io, sync::atomic::Ordering::Relaxed, time::Duration};

use serde::Serialize;

use super::{RevocationOutcome, Revoke};
use crate::{
    crowd::LoadClients,
    numbers::Faults,
    scenarios::{exact, problems},
    stopwatch::Quantiles,
    table::figure,
};

/// The result of the scenario.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The number of clients whose key was revoked.
    pub revoked: usize,
    /// The number of streams that the gateway said it ends.
    pub told: u64,
    /// Seconds from the command to its answer.
    pub answered: f64,
    /// Seconds from the command to the end of the last stream with the key; `None` if one did not end.
    pub closed: Option<f64>,
    /// The number of streams with the key that ended.
    pub ended: u64,
    /// The number of these that ended behind an event, with the last chunk.
    pub ended_whole: u64,
    /// The number of the other clients.
    pub others: usize,
    /// The number of these that received everything.
    pub finished: usize,
    /// The number of their streams that ended.
    pub others_ended: u64,
    /// The faults of all clients together. Those whose key was revoked received all up to the end.
    pub faults: Faults,
    /// The number of gap events.
    pub gaps: u64,
    /// The latencies of the others: before the revocation, from it on, and after that.
    pub latency: [Quantiles; 3],
    /// The gateway's log.
    #[serde(skip)]
    pub log: String,
}

impl Report {
    pub(super) fn new(
        scenario: &Revoke,
        outcome: &RevocationOutcome,
        (revoked, kept): (LoadClients, LoadClients),
        log: String,
    ) -> io::Result<Self> {
        let (ended, ended_whole) = (
            revoked.tally.ended.load(Relaxed),
            revoked.tally.ended_whole.load(Relaxed),
        );
        let gaps = revoked.tally.gaps.load(Relaxed) + kept.tally.gaps.load(Relaxed);
        let others_ended = kept.tally.gone();
        let (revoked, kept) = (revoked.finish()?, kept.finish()?);
        let lap = |lap| {
            kept.stopwatch
                .as_ref()
                .map(|watch| watch.lap(lap))
                .unwrap_or_default()
        };
        Ok(Self {
            revoked: scenario.revoked,
            told: outcome.told,
            answered: outcome.answered.as_secs_f64(),
            closed: outcome.closed.map(|took| took.as_secs_f64()),
            ended,
            ended_whole,
            others: kept.judged,
            finished: kept.finished,
            others_ended,
            faults: revoked.faults.plus(kept.faults),
            gaps,
            latency: [lap(0), lap(1), lap(2)],
            log,
        })
    }

    /// Returns the ratio of the 99th percentiles from the revocation on and before it.
    pub fn ratio(&self) -> f64 {
        self.latency[1].p99 / self.latency[0].p99
    }
}

impl crate::scenarios::Report for Report {
    fn problems(&self) -> Vec<String> {
        problems([
            (
                self.ended == self.revoked as u64 && self.told == self.revoked as u64,
                "not every stream with the revoked key ended",
            ),
            (
                self.closed.is_none_or(|took| took < WITHIN.as_secs_f64()),
                "the streams with the revoked key did not end within a second",
            ),
            (
                self.ended_whole == self.ended,
                "a stream ended within an event, or without its last chunk",
            ),
            (self.others_ended == 0, "a stream with another key ended"),
            (
                self.finished == self.others,
                "a client with another key did not receive everything",
            ),
            exact(self.faults),
            (self.gaps == 0, "a client received a gap"),
            (
                self.ratio() < MOST_RATIO,
                "the latency of the others has more than doubled",
            ),
        ])
    }

    fn log(&self) -> &str {
        &self.log
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            revoked,
            told,
            answered,
            ended,
            ended_whole,
            others,
            finished,
            others_ended,
            faults,
            gaps,
            latency: [before, meanwhile, after],
            ..
        } = self;
        writeln!(f, "streams with the key       {revoked}")?;
        writeln!(f, "  told by the command      {told}, after {answered:.3} s")?;
        writeln!(
            f,
            "  ended                    {ended}, {ended_whole} of them behind an event, the last after {} s",
            figure(self.closed, 3)
        )?;
        writeln!(f, "the others, before         {before}")?;
        writeln!(f, "the others, meanwhile      {meanwhile}")?;
        writeln!(f, "the others, afterwards     {after}")?;
        writeln!(f, "  ratio of p99             {:.2}", self.ratio())?;
        write!(
            f,
            "finished {finished} of {others}, ended {others_ended}, {faults}, gap events {gaps}"
        )
    }
}

/// A stream whose credential is revoked ends within this time.
const WITHIN: Duration = Duration::from_secs(1);

/// The limit of the ratio of the others' latencies.
const MOST_RATIO: f64 = 2.0;
