//! The check of the connection: the time that it takes, and the expiry of its certificate.

use std::time::SystemTime;

use super::super::{Check, CheckResult, Measurement, StreamResponse, measure};

pub(in crate::probe) const CHECK: Check = Check("connect");

pub(in crate::probe) fn judge(answer: &StreamResponse) -> CheckResult {
    let seconds = answer.connected.as_secs_f64();
    let connect = Measurement::new(measure::CONNECT, seconds);
    let Some(tls) = &answer.tls else {
        return CHECK.ok(format!("connected in {seconds:.3}s")).with(connect);
    };
    let (version, chain) = (tls.version, tls.chain);
    let seen = format!("connected in {seconds:.3}s, {version}, chain of {chain}");
    let Some(ends) = tls.expires else {
        return CHECK.ok(seen).with(connect);
    };
    let days = days_until(ends);
    CHECK
        .ok(format!("{seen}, certificate valid for {days:.0} days"))
        .with(connect)
        .with(Measurement::new(measure::TLS_DAYS, days))
}

/// Returns whole days, rounded down; negative once `end` has passed.
fn days_until(end: SystemTime) -> f64 {
    const DAY: f64 = 86_400.0;
    let seconds = match end.duration_since(SystemTime::now()) {
        Ok(left) => left.as_secs_f64(),
        Err(past) => -past.duration().as_secs_f64(),
    };
    (seconds / DAY).floor()
}
