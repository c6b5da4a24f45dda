//! Thresholds that the operator sets, by the name of a measured number.

use std::str::FromStr;

use super::{
    measure::{EVENT_AGE, KINDS, Measurement, MeasurementKind},
    range::{AlertRange, InvalidRange},
};

/// An alert range for one kind of number: `connect=2`, `tls_days=30:`.
#[derive(Clone, Debug, PartialEq)]
pub struct Threshold {
    kind: MeasurementKind,
    range: AlertRange,
}

/// The text is not a threshold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidThreshold {
    /// The text has no `=`.
    #[error("expected NAME=RANGE, such as connect=2")]
    NoPair,
    /// No measured number has this name.
    #[error("expected one of {known}, found `{0}`", known = known())]
    Unknown(String),
    /// The text behind the `=` is not a range.
    #[error(transparent)]
    AlertRange(#[from] InvalidRange),
}

impl FromStr for Threshold {
    type Err = InvalidThreshold;

    fn from_str(text: &str) -> Result<Self, InvalidThreshold> {
        let (name, range) = text.split_once('=').ok_or(InvalidThreshold::NoPair)?;
        let kind = KINDS.into_iter().find(|kind| kind.name == name);
        Ok(Self {
            kind: kind.ok_or_else(|| InvalidThreshold::Unknown(name.to_owned()))?,
            range: range.parse()?,
        })
    }
}

fn known() -> String {
    KINDS.map(|kind| kind.name).join(", ")
}

/// The operator's thresholds, which replace the defaults of each [`MeasurementKind`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Thresholds {
    /// `--warning`.
    pub warning: Vec<Threshold>,
    /// `--critical`.
    pub critical: Vec<Threshold>,
}

impl Thresholds {
    /// Makes ages above `seconds` critical, unless the operator has set a range for ages.
    pub(super) fn with_max_age(mut self, seconds: f64) -> Self {
        let own = Threshold {
            kind: EVENT_AGE,
            range: AlertRange::at_most(seconds),
        };
        // The last threshold counts, so the operator's own ones have to come later.
        self.critical.insert(0, own);
        self
    }

    /// Applies the operator's thresholds to a number of the whole stream.
    pub(super) fn apply(&self, mut measure: Measurement) -> Measurement {
        if measure.partition.is_none() {
            measure.warning = range_of(&self.warning, measure.kind).or(measure.warning);
            measure.critical = range_of(&self.critical, measure.kind).or(measure.critical);
        }
        measure
    }
}

/// Returns the last range that was set for `kind`.
fn range_of(thresholds: &[Threshold], kind: MeasurementKind) -> Option<AlertRange> {
    let own = thresholds.iter().rev().find(|own| own.kind.name == kind.name);
    own.map(|own| own.range)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_names_what_is_measured() {
        assert!("connect=2".parse::<Threshold>().is_ok());
        assert_eq!("connect".parse::<Threshold>(), Err(InvalidThreshold::NoPair));
        let unknown = "conect=2".parse::<Threshold>().unwrap_err().to_string();
        assert!(
            unknown.starts_with("expected one of connect, tls_days,") && unknown.ends_with("found `conect`"),
            "{unknown}"
        );
        assert!("connect=fast".parse::<Threshold>().is_err());
    }

    #[test]
    fn the_operators_word_goes_before_max_age_and_that_before_none() {
        let age = |thresholds: Thresholds| thresholds.apply(Measurement::new(EVENT_AGE, 1.0)).critical;
        assert_eq!(age(Thresholds::default()), None);
        let limited = Thresholds::default().with_max_age(60.0);
        assert_eq!(age(limited), Some(AlertRange::at_most(60.0)));
        let own = Thresholds {
            critical: vec!["event_age=5".parse().unwrap()],
            ..Default::default()
        };
        assert_eq!(age(own.with_max_age(60.0)), Some(AlertRange::at_most(5.0)));
    }
}
