//! How long a test waits, and what it says when it has waited enough.

use std::{
    fmt::Display,
    thread,
    time::{Duration, Instant},
};

/// The factor by which waits and loads are stretched: `RIVERHEAD_TEST_SCALE`, 1 unless set.
///
/// # Panics
///
/// If the variable is set to anything but a number above zero.
pub fn scale() -> f64 {
    let Ok(text) = std::env::var(SCALE_VARIABLE) else {
        return 1.0;
    };
    match text.parse::<f64>() {
        Ok(scale) if scale > 0.0 && scale.is_finite() => scale,
        _ => panic!("{SCALE_VARIABLE} must be a number above zero, not {text:?}"),
    }
}

/// `duration` times [`scale`].
pub fn scaled(duration: Duration) -> Duration {
    duration.mul_f64(scale())
}

/// How long something may take that is to take no longer than `most`: in the full form so long, otherwise ten times as long.
///
/// The full form (`RIVERHEAD_TEST_FULL` is set) has a machine to itself. Elsewhere anything may run beside a test.
pub fn tolerated(most: Duration) -> Duration {
    most.mul_f64(slack())
}

/// The factor of [`tolerated`]: 1 in the full form, otherwise 10.
pub fn slack() -> f64 {
    if std::env::var_os(FULL_VARIABLE).is_some() {
        1.0
    } else {
        10.0
    }
}

/// Asks `probe` until it succeeds and returns its value; `deadline` is stretched by [`scale`].
///
/// ```
/// use std::time::Duration;
/// let port: u16 = riverhead_brokers::eventually(Duration::from_secs(1), "a port", || "80".parse::<u16>());
/// riverhead_brokers::eventually(Duration::from_secs(1), "port 80", || port == 80);
/// ```
///
/// # Panics
///
/// After the deadline, with `what` was awaited and the last state that `probe` told.
pub fn eventually<P: Probe>(deadline: Duration, what: &str, mut probe: impl FnMut() -> P) -> P::Value {
    let allowed = scaled(deadline);
    let start = Instant::now();
    loop {
        match probe().outcome() {
            Ok(value) => return value,
            Err(state) if start.elapsed() >= allowed => {
                panic!("not within {allowed:?}: {what}; last state: {state}")
            }
            Err(_) => thread::sleep(PAUSE),
        }
    }
}

/// What [`eventually`] can ask: a condition, or a `Result` whose error tells the state.
pub trait Probe {
    /// What a success carries.
    type Value;

    /// The value, or the state to show if there is no time left.
    ///
    /// # Errors
    ///
    /// The state, in words, while the condition does not hold.
    fn outcome(self) -> Result<Self::Value, String>;
}

impl Probe for bool {
    type Value = ();

    fn outcome(self) -> Result<(), String> {
        self.then_some(()).ok_or_else(|| "false".to_owned())
    }
}

impl<T, E: Display> Probe for Result<T, E> {
    type Value = T;

    fn outcome(self) -> Result<T, String> {
        self.map_err(|state| state.to_string())
    }
}

const SCALE_VARIABLE: &str = "RIVERHEAD_TEST_SCALE";

const FULL_VARIABLE: &str = "RIVERHEAD_TEST_FULL";

/// Between two questions: short beside the quickest change awaited (a leader moves in 200 ms), long beside
/// the cost of asking (a metadata request, 1 ms).
const PAUSE: Duration = Duration::from_millis(25);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "not within 50ms: a river; last state: dry")]
    fn a_wait_in_vain_tells_what_was_awaited_and_the_last_state() {
        eventually(Duration::from_millis(50).div_f64(scale()), "a river", || {
            Err::<(), _>("dry")
        });
    }

    #[test]
    fn a_wait_returns_the_first_success() {
        let mut left = 2;
        let value = eventually(Duration::from_secs(5), "two failures", || {
            left -= 1;
            if left > 0 { Err(left) } else { Ok("done") }
        });
        assert_eq!(value, "done");
    }
}
