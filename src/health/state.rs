//! The health state of a component, with its reason.

use std::{fmt, time::Duration};

use serde::Serialize;

named! {
    /// A health state, from best to worst.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
    #[serde(rename_all = "lowercase")]
    pub enum HealthState {
        /// The component does what it is for.
        Ok = "ok",
        /// The component works for now, and an operator should look at it.
        Degraded = "degraded",
        /// The component does not work, or its state cannot be determined.
        Failing = "failing",
    }
}

impl fmt::Display for HealthState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A state, and a sentence with the reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// The state.
    pub state: HealthState,
    /// The reason, for a person; never empty.
    pub reason: String,
}

impl Verdict {
    pub(super) fn ok(reason: impl Into<String>) -> Self {
        Self::new(HealthState::Ok, reason)
    }

    pub(super) fn degraded(reason: impl Into<String>) -> Self {
        Self::new(HealthState::Degraded, reason)
    }

    pub(super) fn failing(reason: impl Into<String>) -> Self {
        Self::new(HealthState::Failing, reason)
    }

    pub(super) fn new(state: HealthState, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self { state, reason }
    }

    /// Returns the verdict on a component whose deadline has not passed: it is degraded, and starting.
    pub(super) fn starting(age: Duration, what: impl fmt::Display) -> Self {
        Self::degraded(format!("starting for {}: {what}", seconds(age)))
    }
}

/// Formats a duration for a sentence.
pub(super) fn seconds(age: Duration) -> String {
    match age.as_secs() {
        0..=9 => format!("{:.1} s", age.as_secs_f64()),
        s @ 10..=119 => format!("{s} s"),
        s @ 120..=7199 => format!("{} min", s / 60),
        s => format!("{} h", s / 3600),
    }
}

/// Formats a number with its noun: `1 broker`, `3 brokers`, `2 addresses`.
pub(super) fn count(number: usize, noun: &str) -> String {
    let plural = match number {
        1 => "",
        _ if noun.ends_with('s') => "es",
        _ => "s",
    };
    format!("{number} {noun}{plural}")
}
