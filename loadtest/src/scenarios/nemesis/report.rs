//! The result of the scenario.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

use crate::scenarios::problems;

/// What was done, what was read, and whether that is as it must be.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// What all acts followed from.
    pub seed: u64,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// How often everything was undone, and all accounts were closed.
    pub rounds: usize,
    /// How often what was done.
    pub acts: BTreeMap<String, usize>,
    /// Readers.
    pub readers: usize,
    /// Streams that began, over all readers.
    pub streams: u64,
    /// Records that readers got.
    pub delivered: u64,
    /// Gaps that readers were told of, by reason.
    pub gaps: BTreeMap<String, u64>,
    /// Each violation with the shortest history that shows it.
    pub faults: Vec<String>,
    /// The most resident memory of a gateway, in bytes.
    pub resident: u64,
    /// What it may have at most.
    pub resident_bound: u64,
    /// Whether something panicked.
    pub panicked: bool,
    /// The gateway's log.
    #[serde(skip)]
    pub log: String,
}

impl Report {
    /// Whether every reader's account is right.
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
