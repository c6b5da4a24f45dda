//! How long a test waits, and what it reports after that.

use std::{
    fmt::Display,
    thread,
    time::{Duration, Instant},
};

/// Returns the factor for waits and loads: `RIVERHEAD_TEST_SCALE`, 1 if it is not set.
///
/// # Panics
///
/// If the variable is not a number above zero.
pub fn scale() -> f64 {
    let Ok(text) = std::env::var(SCALE_VARIABLE) else {
        return 1.0;
    };
    match text.parse::<f64>() {
        Ok(scale) if scale > 0.0 && scale.is_finite() => scale,
        _ => panic!("{SCALE_VARIABLE} must be a number above zero, not {text:?}"),
    }
}

/// Returns `duration` times [`scale`].
pub fn scaled(duration: Duration) -> Duration {
    duration.mul_f64(scale())
}

/// Returns the limit for something that must not take longer than `most`: `most` in the full form, otherwise
/// ten times as long.
///
/// The full form (`RIVERHEAD_TEST_FULL` is set) runs on an otherwise idle machine. In other cases any work
/// may run beside a test.
pub fn tolerated(most: Duration) -> Duration {
    most.mul_f64(slack())
}

/// Returns the factor of [`tolerated`]: 1 in the full form, otherwise 10.
pub fn slack() -> f64 {
    if std::env::var_os(FULL_VARIABLE).is_some() {
        1.0
    } else {
        10.0
    }
}

/// Calls `probe` until it succeeds, and returns its value. `deadline` is multiplied by [`scale`].
///
/// ```
/// use std::time::Duration;
/// let port: u16 = riverhead_brokers::eventually(Duration::from_secs(1), "a port", || "80".parse::<u16>());
/// riverhead_brokers::eventually(Duration::from_secs(1), "port 80", || port == 80);
/// ```
///
/// # Panics
///
/// After the deadline, with `what` and the last state that `probe` returned.
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

/// A result of the function that [`eventually`] calls: a condition, or a `Result` whose error describes the
/// state.
pub trait Probe {
    /// The value of a success.
    type Value;

    /// Returns the value, or the state to report after the deadline.
    ///
    /// # Errors
    ///
    /// The state as text, while the condition does not hold.
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

/// The pause between two calls: short compared with the fastest change that is awaited (a leader moves in 200
/// ms), and long compared with a call (a metadata request, 1 ms).
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
