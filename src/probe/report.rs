//! All that one run found.

use std::time::Duration;

use jiff::Timestamp;

use super::{CheckResult, Status};

/// All that one run found.
#[derive(Clone, Debug, PartialEq)]
pub struct ProbeReport {
    /// The names of the streams, with commas between.
    pub stream: String,
    /// Where they were asked for.
    pub url: String,
    /// When the run began.
    pub at: Timestamp,
    /// How long it took.
    pub took: Duration,
    /// What each check found, in the order of the run.
    pub results: Vec<CheckResult>,
}

impl ProbeReport {
    /// The worst of all checks.
    pub fn status(&self) -> Status {
        self.results
            .iter()
            .map(|check_result| check_result.status)
            .max()
            .unwrap_or(Status::Critical)
    }

    /// What a person reads first: what was seen when all is well, and else what is wrong, the worst in front.
    pub fn summary(&self) -> String {
        if self.status() == Status::Ok {
            return join(self.results.iter(), ", ");
        }
        let of = |status| {
            self.results
                .iter()
                .filter(move |check_result| check_result.status == status)
        };
        join(of(Status::Critical).chain(of(Status::Warning)), "; ")
    }
}

fn join<'a>(results: impl Iterator<Item = &'a CheckResult>, separator: &str) -> String {
    let sentences: Vec<_> = results
        .map(|check_result| check_result.sentence.as_str())
        .collect();
    sentences.join(separator)
}
