//! The result of the scenario.

use std::{collections::BTreeMap, fmt, sync::Arc};

use serde::Serialize;

use super::{Hostile, attack::AttackOutcome};
use crate::{
    gateway::Gateway,
    numbers::Faults,
    reading::Reading,
    scenarios::{exact, problems},
    stopwatch::{Quantiles, Sent, Stopwatch},
};

/// The figures of a run, and the checks on them.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The seed of the attacks.
    pub seed: u64,
    /// The number of honest clients.
    pub clients: usize,
    /// The number of honest clients that received everything.
    pub finished: usize,
    /// The faults of all honest clients together.
    pub faults: Faults,
    /// The gap events that honest clients received.
    pub gaps: Vec<String>,
    /// The connections of honest clients that were refused.
    pub refusals: Vec<String>,
    /// Latency from passing a record to the producer to its arrival at an honest client, before the attacks.
    pub quiet: Quantiles,
    /// The same, during the attacks.
    pub loud: Quantiles,
    /// How many times as late an event may be at the 99th percentile during the attacks.
    pub ratio_bound: f64,
    /// The results of the attacks, by shape.
    pub answers: AttackResponses,
    /// The peak of the gateway's resident memory, in bytes.
    pub resident: u64,
    /// The limit for that.
    pub resident_bound: u64,
    /// The number of connections of clients that the gateway had not closed at the end.
    pub still_open: u64,
    /// The number of the gateway's descriptors before the first client and after the last.
    pub descriptors: (u64, u64),
    /// The gateway's log.
    #[serde(skip)]
    pub log: String,
}

/// The number of attacks by shape and result.
#[derive(Clone, Debug, Default, Serialize)]
pub struct AttackResponses(BTreeMap<&'static str, BTreeMap<String, u64>>);

impl AttackResponses {
    pub(super) fn note(&mut self, shape: &'static str, outcome: AttackOutcome) {
        *self
            .0
            .entry(shape)
            .or_default()
            .entry(outcome.to_string())
            .or_default() += 1;
    }

    pub(super) fn plus(mut self, other: Self) -> Self {
        for (shape, outcomes) in other.0 {
            let own = self.0.entry(shape).or_default();
            for (outcome, count) in outcomes {
                *own.entry(outcome).or_default() += count;
            }
        }
        self
    }

    /// Returns the number of attacks.
    pub fn count(&self) -> u64 {
        self.0.values().flat_map(BTreeMap::values).sum()
    }

    /// Returns the number of attacks with this result: a status, `frames`, `nothing` or `refused`.
    pub fn of(&self, outcome: &str) -> u64 {
        self.0.values().filter_map(|outcomes| outcomes.get(outcome)).sum()
    }
}

impl fmt::Display for AttackOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "{status}"),
            Self::Frames => f.write_str("frames"),
            Self::Nothing => f.write_str("nothing"),
            Self::Refused => f.write_str("refused"),
        }
    }
}

impl fmt::Display for AttackResponses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (shape, outcomes) in &self.0 {
            write!(f, "  {shape:<16}")?;
            for (outcome, count) in outcomes {
                write!(f, " {outcome}: {count}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

impl Report {
    pub(super) fn new(
        hostile: &Hostile,
        gateway: &Gateway,
        sent: &Arc<Sent>,
        readings: &[(Reading, bool)],
    ) -> Self {
        let all = || readings.iter().map(|(reading, _)| reading);
        let watches = all().filter_map(|reading| reading.stopwatch.as_ref());
        let times = watches.fold(Stopwatch::new(sent), Stopwatch::plus);
        Self {
            seed: hostile.seed,
            clients: usize::from(hostile.clients),
            finished: readings.iter().filter(|(_, done)| *done).count(),
            faults: Faults::default(),
            gaps: all().flat_map(|reading| reading.got.gaps.clone()).collect(),
            refusals: all().flat_map(|reading| reading.refusals.clone()).collect(),
            quiet: times.lap(0),
            loud: times.lap(1),
            ratio_bound: hostile.ratio,
            answers: AttackResponses::default(),
            resident: gateway.most_resident().unwrap_or(u64::MAX),
            resident_bound: resident_bound(hostile),
            still_open: 0,
            descriptors: (0, 0),
            log: gateway.log(),
        }
    }

    /// Returns the ratio of the 99th percentiles during the attacks and before.
    pub fn ratio(&self) -> f64 {
        self.loud.p99 / self.quiet.p99
    }
}

/// Returns the sum of the three budgets, what one cluster may use beside them, and what each connection may
/// use.
fn resident_bound(hostile: &Hostile) -> u64 {
    let connections = u64::from(hostile.clients) + u64::from(hostile.addresses) * hostile.at_once as u64;
    3 * u64::from(hostile.memory) * MIB + ONE_CLUSTER + connections * CONNECTION
}

impl crate::scenarios::Report for Report {
    fn problems(&self) -> Vec<String> {
        let (before, after) = self.descriptors;
        problems([
            (
                self.finished == self.clients,
                "an honest client did not finish in time",
            ),
            exact(self.faults),
            (self.gaps.is_empty(), "an honest client received a gap"),
            (self.refusals.is_empty(), "an honest client was refused"),
            (self.answers.count() > 0, "no attack was made"),
            (
                self.ratio() <= self.ratio_bound,
                "honest clients got their events too late during the attacks",
            ),
            (
                self.resident <= self.resident_bound,
                "the gateway used more memory than allowed",
            ),
            (
                self.still_open == 0,
                "connections of clients that have left stay open",
            ),
            (after <= before + MORE_DESCRIPTORS, "descriptors stay open"),
            (!self.log.contains("panicked"), "the gateway panicked"),
            (self.answers.of("500") == 0, "a request got a 500"),
        ])
    }

    fn log(&self) -> &str {
        &self.log
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (before, after) = self.descriptors;
        writeln!(f, "seed                       {}", self.seed)?;
        writeln!(
            f,
            "honest clients             {}, finished {}",
            self.clients, self.finished
        )?;
        writeln!(f, "  {}", self.faults)?;
        writeln!(
            f,
            "  gap events {}, refusals {}",
            self.gaps.len(),
            self.refusals.len()
        )?;
        writeln!(f, "  before the attacks       {}", self.quiet)?;
        writeln!(f, "  during the attacks       {}", self.loud)?;
        writeln!(
            f,
            "  ratio of p99             {:.2}, {:.2} allowed",
            self.ratio(),
            self.ratio_bound
        )?;
        writeln!(f, "attacks                    {}", self.answers.count())?;
        write!(f, "{}", self.answers)?;
        writeln!(
            f,
            "resident                   {:.1} MB at most, {:.1} allowed",
            self.resident as f64 / 1e6,
            self.resident_bound as f64 / 1e6
        )?;
        write!(
            f,
            "descriptors                {before} before, {after} after, {} of them of clients",
            self.still_open
        )
    }
}

const MIB: u64 = 1024 * 1024;

/// librdkafka's queues and responses, and everything that no budget counts.
const ONE_CLUSTER: u64 = 64 * MIB;

/// The memory of a connection in hyper.
const CONNECTION: u64 = 14 * 1024;

/// Those of the clients of Kafka that are opened when they are first needed: a reader of history for each broker, that of large fetches,
/// and that of offset queries, each with a connection and two pipes for every broker that it asks.
const MORE_DESCRIPTORS: u64 = 80;
