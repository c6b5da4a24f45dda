//! The result of a check.

use super::{failure::ProbeError, measure::Measurement, threshold::Thresholds};

/// The severity of a result. There is no "unknown".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// Nothing is wrong.
    #[default]
    Ok,
    /// An operator should look during working hours.
    Warning,
    /// An operator should look now.
    Critical,
}

impl Status {
    /// Returns the exit code of a monitoring plugin.
    pub fn exit_code(self) -> u8 {
        self as u8
    }

    /// Returns the name that Nagios uses. Other formats have it in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Warning => "WARNING",
            Self::Critical => "CRITICAL",
        }
    }
}

/// The result of one check.
#[derive(Clone, Debug, PartialEq)]
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
    pub(super) fn new(check: &'static str, status: Status, sentence: impl Into<String>) -> Self {
        Self {
            check,
            status,
            sentence: sentence.into(),
            measures: Vec::new(),
        }
    }

    pub(super) fn ok(check: &'static str, sentence: impl Into<String>) -> Self {
        Self::new(check, Status::Ok, sentence)
    }

    pub(super) fn warning(check: &'static str, sentence: impl Into<String>) -> Self {
        Self::new(check, Status::Warning, sentence)
    }

    pub(super) fn critical(check: &'static str, sentence: impl Into<String>) -> Self {
        Self::new(check, Status::Critical, sentence)
    }

    pub(super) fn failed(check: &'static str, failure: &ProbeError) -> Self {
        Self::critical(check, failure.to_string())
    }

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

/// Returns the worse of the two ranges that alert for a number.
fn verdict(measure: &Measurement) -> Option<(Status, super::AlertRange)> {
    let in_range = |range: &super::AlertRange| range.alerts(measure.value);
    let critical = measure
        .critical
        .filter(in_range)
        .map(|range| (Status::Critical, range));
    critical.or_else(|| {
        measure
            .warning
            .filter(in_range)
            .map(|range| (Status::Warning, range))
    })
}

/// Rounds to a thousandth. Finer digits are noise.
pub(super) fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}
