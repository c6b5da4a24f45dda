//! All that one run found.

use std::time::Duration;

use jiff::Timestamp;

use super::{Finding, Status};

/// All that one run found.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The names of the streams, with commas between.
    pub stream: String,
    /// Where they were asked for.
    pub url: String,
    /// When the run began.
    pub at: Timestamp,
    /// How long it took.
    pub took: Duration,
    /// What each check found, in the order of the run.
    pub findings: Vec<Finding>,
}

impl Report {
    /// The worst of all checks.
    pub fn status(&self) -> Status {
        self.findings
            .iter()
            .map(|finding| finding.status)
            .max()
            .unwrap_or(Status::Critical)
    }

    /// What a person reads first: what was seen when all is well, and else what is wrong, the worst in front.
    pub fn summary(&self) -> String {
        if self.status() == Status::Ok {
            return join(self.findings.iter(), ", ");
        }
        let of = |status| {
            self.findings
                .iter()
                .filter(move |finding| finding.status == status)
        };
        join(of(Status::Critical).chain(of(Status::Warning)), "; ")
    }
}

fn join<'a>(findings: impl Iterator<Item = &'a Finding>, separator: &str) -> String {
    let sentences: Vec<_> = findings.map(|finding| finding.sentence.as_str()).collect();
    sentences.join(separator)
}
