//! What `/healthz` says about a gateway.

use std::time::{Duration, Instant};

use riverhead_brokers::{eventually, tolerated};
use riverhead_loadtest::gateway::Gateway;
use serde_json::Value;

/// Returns the current answer of `/healthz`.
pub(crate) fn health(gateway: &Gateway) -> Value {
    let answer = gateway.admin("/healthz").expect("an answer");
    let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
    serde_json::from_str(body).expect("JSON")
}

/// Waits until the gateway as a whole is in this state.
pub(crate) fn until_state(gateway: &Gateway, state: &str) -> Value {
    until_said(gateway, "", state, &[]).0
}

/// Waits until the part at `place` (`/clusters/0`, or an empty text for the whole) is in this state, with a
/// reason that contains all of these words. Returns the whole answer, and how long that took.
pub(crate) fn until_said(gateway: &Gateway, place: &str, state: &str, words: &[&str]) -> (Value, Duration) {
    let began = Instant::now();
    let what = format!("{place:?} {state} {words:?}");
    let said = eventually(SOON, &what, || {
        let health = health(gateway);
        let verdict = health.pointer(place).unwrap_or(&Value::Null);
        let reason = verdict["reason"].as_str().unwrap_or_default();
        let fits = verdict["state"] == state && words.iter().all(|word| reason.contains(word));
        fits.then(|| health.clone()).ok_or_else(|| verdict.to_string())
    });
    (said, began.elapsed())
}

/// Waits until the gateway shows the first sign of a fault, and then until the part at `place` is failing with these words.
/// Returns the whole answer. Delays of the test's own set-up do not count.
///
/// # Panics
/// If it takes longer from the sign to the verdict than [`told_in_time`] allows.
pub(crate) fn until_failing(
    gateway: &Gateway,
    sign: impl Fn(&Value) -> bool,
    place: &str,
    words: &[&str],
) -> Value {
    let what = format!("a sign of {words:?}");
    let began = eventually(SOON, &what, || {
        let health = health(gateway);
        let now = Instant::now();
        sign(&health).then_some(now).ok_or_else(|| health.to_string())
    });
    let (said, _) = until_said(gateway, place, "failing", words);
    told_in_time(began.elapsed());
    said
}

/// Asserts that a fault was told in time: within the 10 s of attempts after which it counts, and 2 s of reports and of looks at
/// them; 10 s on a machine with other work.
pub(crate) fn told_in_time(took: Duration) {
    println!("told after {took:.1?}");
    let allowance = tolerated(Duration::from_secs(2)).min(Duration::from_secs(10));
    let most = Duration::from_secs(10) + allowance;
    assert!(took <= most, "told after {took:?}; {most:?} are allowed");
}

/// Returns for how long a fault has lasted when the gateway logged it, by its own clock: the field `lasts` of each line with
/// these words.
pub(crate) fn lasted(log: &str, words: &str) -> Vec<Duration> {
    let lines = log.lines().filter(|line| line.contains(words));
    let lasted = lines.map(|line| {
        let told = line.split_once("lasts=").map(|(_, rest)| rest);
        let told = told.and_then(|rest| rest.split('s').next()?.parse().ok());
        Duration::from_secs_f64(told.unwrap_or_else(|| panic!("no seconds: {line}")))
    });
    lasted.collect()
}

const SOON: Duration = Duration::from_secs(45);
