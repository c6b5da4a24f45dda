//! The report of one run.

use std::time::Duration;

use jiff::Timestamp;

use super::{CheckResult, Measurement, Status};

/// The report of one run.
#[derive(Clone, Debug, PartialEq)]
pub struct ProbeReport {
    /// The names of the streams, separated by commas.
    pub stream: String,
    /// The URL that was requested.
    pub url: String,
    /// When the run began.
    pub at: Timestamp,
    /// How long the run took.
    pub took: Duration,
    /// The result of each check, in the order of the run.
    pub results: Vec<CheckResult>,
}

impl ProbeReport {
    /// Returns the worst status of all checks.
    pub fn status(&self) -> Status {
        let statuses = self.results.iter().map(|result| result.status);
        statuses.max().unwrap_or(Status::Critical)
    }

    /// Returns the numbers of all checks.
    pub(super) fn measures(&self) -> impl Iterator<Item = &Measurement> {
        self.results.iter().flat_map(|result| &result.measures)
    }

    /// Returns the sentences of all checks if all is well, and else those of the faults, the worst first.
    pub fn summary(&self) -> String {
        if self.status() == Status::Ok {
            return join(self.results.iter(), ", ");
        }
        let of = |status| self.results.iter().filter(move |result| result.status == status);
        join(of(Status::Critical).chain(of(Status::Warning)), "; ")
    }
}

fn join<'a>(results: impl Iterator<Item = &'a CheckResult>, separator: &str) -> String {
    let sentences: Vec<_> = results.map(|result| result.sentence.as_str()).collect();
    sentences.join(separator)
}
