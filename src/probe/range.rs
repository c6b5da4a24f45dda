//! Alert ranges of monitoring plugins.

use std::{fmt, str::FromStr};

/// The values to alert for, in the notation of the Monitoring Plugins Development Guidelines: `10` is "outside 0 to 10", `10:`
/// "below 10", `~:10` "above 10", `10:20` "outside 10 to 20", and `@10:20` "inside 10 to 20". Both ends belong to the range.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AlertRange {
    start: f64,
    end: f64,
    alerts_inside: bool,
}

/// The text is not a range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a range such as 10, 10:, ~:10, 10:20 or @10:20, found `{0}`")]
pub struct InvalidRange(String);

impl AlertRange {
    /// Returns a range that alerts below 0 and above `end`.
    pub const fn at_most(end: f64) -> Self {
        Self {
            start: 0.0,
            end,
            alerts_inside: false,
        }
    }

    /// Returns a range that alerts below `start`.
    pub const fn at_least(start: f64) -> Self {
        Self {
            start,
            end: f64::INFINITY,
            alerts_inside: false,
        }
    }

    /// Returns whether to alert for `value`.
    pub fn alerts(self, value: f64) -> bool {
        (self.start..=self.end).contains(&value) == self.alerts_inside
    }
}

impl FromStr for AlertRange {
    type Err = InvalidRange;

    fn from_str(text: &str) -> Result<Self, InvalidRange> {
        let bad = || InvalidRange(text.to_owned());
        let (alerts_inside, ends) = match text.strip_prefix('@') {
            Some(ends) => (true, ends),
            None => (false, text),
        };
        let (start, end) = ends.split_once(':').unwrap_or(("0", ends));
        let range = Self {
            start: end_of(start, "~", f64::NEG_INFINITY).ok_or_else(bad)?,
            end: end_of(end, "", f64::INFINITY).ok_or_else(bad)?,
            alerts_inside,
        };
        if range.start > range.end || ends.is_empty() {
            return Err(bad());
        }
        Ok(range)
    }
}

/// Parses a finite number, or the text `open` that stands for no end.
fn end_of(text: &str, open: &str, infinity: f64) -> Option<f64> {
    if text == open {
        return Some(infinity);
    }
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

impl fmt::Display for AlertRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.alerts_inside {
            f.write_str("@")?;
        }
        match self.start {
            f64::NEG_INFINITY => f.write_str("~:")?,
            0.0 if self.end.is_finite() => {}
            start => write!(f, "{start}:")?,
        }
        if self.end.is_finite() {
            write!(f, "{}", self.end)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_alerts_as_the_guidelines_of_plugins_say() {
        for (text, alerts, silent) in [
            ("10", [-1.0, 10.1], [0.0, 10.0]),
            ("10:", [9.9, -5.0], [10.0, 1e9]),
            ("~:10", [10.1, 1e9], [10.0, -1e9]),
            ("10:20", [9.9, 20.1], [10.0, 20.0]),
            ("@10:20", [10.0, 20.0], [9.9, 20.1]),
            ("@0.5", [0.0, 0.5], [-0.1, 0.6]),
        ] {
            let range: AlertRange = text.parse().unwrap();
            assert_eq!(range.to_string(), text);
            assert!(alerts.iter().all(|value| range.alerts(*value)), "{text}");
            assert!(!silent.iter().any(|value| range.alerts(*value)), "{text}");
        }
        assert_eq!(AlertRange::at_most(5.0).to_string(), "5");
        assert_eq!(AlertRange::at_least(14.0).to_string(), "14:");
    }

    #[test]
    fn what_is_no_number_is_no_range() {
        for text in ["", "@", "x", "5:1", "1:2:3", "inf", "nan:", ":5", "~"] {
            assert!(text.parse::<AlertRange>().is_err(), "{text}");
        }
    }
}
