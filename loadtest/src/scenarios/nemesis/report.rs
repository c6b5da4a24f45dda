//! The result of the scenario.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

use crate::scenarios::problems;

/// The acts, the figures of the readers, and the violations.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// The seed of all acts.
    pub seed: u64,
    /// The duration in seconds.
    pub seconds: f64,
    /// How often all faults were undone and all readers were checked.
    pub rounds: usize,
    /// The number of acts by kind.
    pub acts: BTreeMap<String, usize>,
    /// The number of readers.
    pub readers: usize,
    /// The number of streams that began, over all readers.
    pub streams: u64,
    /// The number of records that readers received.
    pub delivered: u64,
    /// The number of gaps that readers received, by reason.
    pub gaps: BTreeMap<String, u64>,
    /// Each violation, with the shortest history that shows it.
    pub faults: Vec<String>,
    /// The most resident memory of a gateway, in bytes.
    pub resident: u64,
    /// The limit of the resident memory.
    pub resident_bound: u64,
    /// Whether a process panicked.
    pub panicked: bool,
    /// The gateway's log.
    #[serde(skip)]
    pub log: String,
}

impl Report {
    /// Returns whether no reader has a violation.
    pub fn is_exact(&self) -> bool {
        self.faults.is_empty()
    }
}

impl crate::scenarios::Report for Report {
    fn problems(&self) -> Vec<String> {
        problems([
            (self.is_exact(), "a reader did not receive what it should"),
            (self.rounds > 0 && self.delivered > 0, "no event was read"),
            (!self.acts.is_empty(), "no act was carried out"),
            (
                self.resident <= self.resident_bound,
                "the gateway used more memory than allowed",
            ),
            (!self.panicked, "the gateway panicked"),
        ])
    }

    fn log(&self) -> &str {
        &self.log
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for fault in &self.faults {
            writeln!(f, "{fault}")?;
        }
        writeln!(f, "seed         {}", self.seed)?;
        writeln!(f, "took         {:.0} s, {} rounds", self.seconds, self.rounds)?;
        writeln!(f, "acts         {}", List(&self.acts))?;
        writeln!(
            f,
            "readers      {}, {} streams, {} records",
            self.readers, self.streams, self.delivered
        )?;
        writeln!(f, "gaps         {}", List(&self.gaps))?;
        writeln!(f, "violations   {}", self.faults.len())?;
        write!(
            f,
            "resident     {:.1} MB at most, {:.1} allowed",
            self.resident as f64 / 1e6,
            self.resident_bound as f64 / 1e6
        )
    }
}

struct List<'a, N>(&'a BTreeMap<String, N>);

impl<N: fmt::Display> fmt::Display for List<'_, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none");
        }
        for (index, (name, count)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{name} {count}")?;
        }
        Ok(())
    }
}
