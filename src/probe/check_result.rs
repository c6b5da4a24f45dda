//! The result of a check.

use serde::Serialize;

use super::{AlertRange, Measurement, StreamError, Thresholds};

named! {
    /// The severity of a result. There is no "unknown".
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
    #[serde(rename_all = "lowercase")]
    pub enum Status {
        /// Nothing is wrong.
        #[default]
        Ok = "OK",
        /// An operator should look during working hours.
        Warning = "WARNING",
        /// An operator should look now.
        Critical = "CRITICAL",
    }
}

impl Status {
    /// Returns the exit code of a monitoring plugin.
    pub fn exit_code(self) -> u8 {
        self as u8
    }
}

/// The result of one check.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CheckResult {
    /// The name of the check.
    pub check: &'static str,
    /// The severity.
    pub status: Status,
    /// A sentence for a person: what is wrong, or what was seen.
    pub sentence: String,
    /// The measured numbers.
    pub measures: Vec<Measurement>,
}

impl CheckResult {
    pub(super) fn with(mut self, measure: Measurement) -> Self {
        self.measures.push(measure);
        self
    }

    /// Compares the numbers with their thresholds. This can only raise the status, and the sentence names the numbers that did.
    pub(super) fn judged(mut self, thresholds: &Thresholds) -> Self {
        for measure in &mut self.measures {
            *measure = thresholds.apply(measure.clone());
            let Some((status, range)) = verdict(measure) else {
                continue;
            };
            self.status = self.status.max(status);
            let (name, value, unit) = (measure.kind.name, measure.value, measure.kind.unit.symbol());
            let level = status.name().to_lowercase();
            self.sentence += &format!(" ({name} is {}{unit}, {level} at {range})", rounded(value));
        }
        self
    }
}

/// The name of a check, which makes its results.
#[derive(Clone, Copy, Debug)]
pub(super) struct Check(pub(super) &'static str);

impl Check {
    pub(super) fn ok(self, sentence: impl Into<String>) -> CheckResult {
        self.result(Status::Ok, sentence)
    }

    pub(super) fn warning(self, sentence: impl Into<String>) -> CheckResult {
        self.result(Status::Warning, sentence)
    }

    pub(super) fn critical(self, sentence: impl Into<String>) -> CheckResult {
        self.result(Status::Critical, sentence)
    }

    pub(super) fn failed(self, failure: &StreamError) -> CheckResult {
        self.critical(failure.to_string())
    }

    fn result(self, status: Status, sentence: impl Into<String>) -> CheckResult {
        CheckResult {
            check: self.0,
            status,
            sentence: sentence.into(),
            measures: Vec::new(),
        }
    }
}

/// Returns the worse of the two ranges that alert for a number.
fn verdict(measure: &Measurement) -> Option<(Status, AlertRange)> {
    let ranges = [
        (Status::Critical, measure.critical),
        (Status::Warning, measure.warning),
    ];
    let mut alerting = ranges
        .into_iter()
        .filter_map(|(status, range)| Some((status, range?)));
    alerting.find(|(_, range)| range.alerts(measure.value))
}

/// Rounds to a thousandth. Finer digits are noise.
pub(super) fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}
