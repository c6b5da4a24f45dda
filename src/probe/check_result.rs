//! What a check found.

use super::{failure::ProbeError, measure::Measurement, threshold::Thresholds};

/// How bad it is. There is no "unknown".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// As it should be.
    #[default]
    Ok,
    /// Somebody should look by day.
    Warning,
    /// Somebody should look now.
    Critical,
}

impl Status {
    /// The exit code of a monitoring plugin.
    pub fn exit_code(self) -> u8 {
        self as u8
    }

    /// Its name as Nagios has it; in lower case elsewhere.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Warning => "WARNING",
            Self::Critical => "CRITICAL",
        }
    }
}

/// What one check found.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckResult {
    /// Which check.
    pub check: &'static str,
    /// How bad it is.
    pub status: Status,
    /// What a person reads: what is wrong, or what was seen.
    pub sentence: String,
    /// The numbers.
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

    /// Holds the numbers against their thresholds: the status gets no better by it, and the sentence names the culprits.
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

/// The worse of the two ranges that a measure is in.
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

/// To a thousandth: what is finer is noise.
pub(super) fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}
