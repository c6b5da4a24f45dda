//! What `/healthz` says about a gateway.

use std::time::{Duration, Instant};

use riverhead_brokers::eventually;
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

const SOON: Duration = Duration::from_secs(45);
