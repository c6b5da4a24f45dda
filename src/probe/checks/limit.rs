//! The check of the limit of streams for one address, and that another address is served meanwhile.

use std::{net::IpAddr, time::Duration};

use http::{StatusCode, header};
use tokio::time::sleep;

use super::super::{
    Check, CheckResult, EventStream, LimitCheck, Measurement, RequestOptions, StreamClient, StreamError,
    StreamResponse, measure::ADMITTED,
};

const CHECK: Check = Check("limit");

/// Opens as many streams as one address may have, then one more, then one from another address.
pub(in crate::probe) async fn check(client: &StreamClient, limit: &LimitCheck) -> CheckResult {
    let held = match open_allowed(client, limit).await {
        Ok(held) => held,
        Err(result) => return result,
    };
    let (count, neighbour) = (held.len() as f64, limit.neighbour);
    let result = match open_one_more(client, limit).await {
        Err(result) => result,
        Ok(()) => match EventStream::open(client, &request_from(Some(neighbour))).await {
            Ok(_) => CHECK.ok(format!("limit {} holds", limit.streams)),
            Err(failure) => CHECK.critical(format!(
                "{neighbour} is not served while another address is at its limit: {failure}"
            )),
        },
    };
    result.with(Measurement::new(ADMITTED, count).of(f64::from(limit.streams)))
}

/// Opens all streams that the limit allows.
async fn open_allowed(client: &StreamClient, limit: &LimitCheck) -> Result<Vec<StreamResponse>, CheckResult> {
    let mut held = Vec::new();
    while held.len() < limit.streams as usize {
        let refused = match client.open(&request_from(limit.crowd)).await {
            Ok(answer) if answer.head.status == StatusCode::OK => {
                held.push(answer);
                continue;
            }
            Ok(answer) => StreamError::Status(answer.head.status.as_u16(), String::new()),
            Err(failure) => return Err(refusal(held.len(), limit, &failure)),
        };
        // The gateway may not have noticed yet that the connections of earlier checks are closed.
        if client.deadline.on("slot", sleep(PAUSE)).await.is_err() {
            return Err(refusal(held.len(), limit, &refused));
        }
    }
    Ok(held)
}

fn refusal(got: usize, limit: &LimitCheck, failure: &StreamError) -> CheckResult {
    let said = format!(
        "one address got {got} of {} streams, then: {failure}",
        limit.streams
    );
    let admitted = Measurement::new(ADMITTED, got as f64).of(f64::from(limit.streams));
    CHECK.critical(said).with(admitted)
}

/// Opens one stream too many, which must be refused with a `Retry-After`.
async fn open_one_more(client: &StreamClient, limit: &LimitCheck) -> Result<(), CheckResult> {
    let answer = client.open(&request_from(limit.crowd)).await;
    let head = answer
        .map_err(|failure| CHECK.critical(format!("one stream above the limit: {failure}")))?
        .head;
    match head.status {
        StatusCode::TOO_MANY_REQUESTS if head.headers.contains_key(header::RETRY_AFTER) => Ok(()),
        StatusCode::TOO_MANY_REQUESTS => Err(CHECK.warning("429 without Retry-After")),
        StatusCode::OK => {
            let said = format!(
                "one address got {} streams; its limit is {}",
                limit.streams + 1,
                limit.streams
            );
            Err(CHECK.critical(said))
        }
        status => {
            let said = format!(
                "one stream above the limit got status {} instead of 429",
                status.as_u16()
            );
            Err(CHECK.critical(said))
        }
    }
}

fn request_from(address: Option<IpAddr>) -> RequestOptions {
    RequestOptions {
        from: address,
        ..RequestOptions::default()
    }
}

/// The pause before a refused stream is requested again: the gateway notices a closed connection within milliseconds, and
/// delays its refusals if they come in a hot loop.
const PAUSE: Duration = Duration::from_millis(250);
