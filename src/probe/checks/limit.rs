//! Whether one address is held to its streams while another is served.

use std::{net::IpAddr, time::Duration};

use http::{StatusCode, header};
use tokio::time::sleep;

use super::super::{
    CheckResult, LimitCheck, Measurement,
    client::{ProbeClient, ProbeRequest},
    deadline::Deadline,
    failure::ProbeError,
    measure::ADMITTED,
    response::ProbeResponse,
};

const NAME: &str = "limit";

/// Takes as many streams as one address may have, and one more; then one from another address.
pub(in crate::probe) async fn check(
    client: &ProbeClient,
    limit: &LimitCheck,
    deadline: Deadline,
) -> CheckResult {
    let held = match crowd(client, limit, deadline).await {
        Ok(held) => held,
        Err(check_result) => return check_result,
    };
    let count = held.len() as f64;
    let check_result = match one_more(client, limit, deadline).await {
        Err(check_result) => check_result,
        Ok(()) => match client.stream(&from(Some(limit.neighbour)), deadline).await {
            Ok(_) => CheckResult::ok(NAME, format!("limit {} holds", limit.streams)),
            Err(failure) => {
                let neighbour = limit.neighbour;
                CheckResult::critical(
                    NAME,
                    format!("{neighbour} is not served beside a full address: {failure}"),
                )
            }
        },
    };
    check_result.with(Measurement::new(ADMITTED, count).of(f64::from(limit.streams)))
}

/// All streams that the limit grants.
async fn crowd(
    client: &ProbeClient,
    limit: &LimitCheck,
    deadline: Deadline,
) -> Result<Vec<ProbeResponse>, CheckResult> {
    let mut held = Vec::new();
    while held.len() < limit.streams as usize {
        let refused = match client.open(&from(limit.crowd), deadline).await {
            Ok(answer) if answer.head.status == StatusCode::OK => {
                held.push(answer);
                continue;
            }
            Ok(answer) => ProbeError::Status(answer.head.status.as_u16(), String::new()),
            Err(failure) => return Err(refusal(held.len(), limit, &failure)),
        };
        // The connections of the checks before may not be known to be closed yet.
        if deadline.on("slot", sleep(PAUSE)).await.is_err() {
            return Err(refusal(held.len(), limit, &refused));
        }
    }
    Ok(held)
}

fn refusal(got: usize, limit: &LimitCheck, failure: &ProbeError) -> CheckResult {
    let said = format!(
        "one address got {got} of {} streams, then: {failure}",
        limit.streams
    );
    CheckResult::critical(NAME, said)
        .with(Measurement::new(ADMITTED, got as f64).of(f64::from(limit.streams)))
}

/// One stream too many, which is refused with the time to come back.
async fn one_more(client: &ProbeClient, limit: &LimitCheck, deadline: Deadline) -> Result<(), CheckResult> {
    let answer = client.open(&from(limit.crowd), deadline).await;
    let head = answer
        .map_err(|failure| CheckResult::critical(NAME, format!("one stream too many: {failure}")))?
        .head;
    match head.status {
        StatusCode::TOO_MANY_REQUESTS if head.headers.contains_key(header::RETRY_AFTER) => Ok(()),
        StatusCode::TOO_MANY_REQUESTS => Err(CheckResult::warning(NAME, "429 without Retry-After")),
        StatusCode::OK => {
            let said = format!(
                "one address got {} streams; its limit is {}",
                limit.streams + 1,
                limit.streams
            );
            Err(CheckResult::critical(NAME, said))
        }
        status => {
            let said = format!(
                "one stream too many got status {} instead of 429",
                status.as_u16()
            );
            Err(CheckResult::critical(NAME, said))
        }
    }
}

fn from(address: Option<IpAddr>) -> ProbeRequest {
    ProbeRequest {
        from: address,
        ..ProbeRequest::default()
    }
}

/// Before a stream that was refused is asked for again: a closed connection is known within milliseconds, and refusals in
/// a hot loop are held back.
const PAUSE: Duration = Duration::from_millis(250);
