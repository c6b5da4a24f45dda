//! The check that events arrive, and how soon.

use tokio::time::Instant;

use super::{
    super::{
        CheckResult, Measurement,
        client::{ProbeClient, ProbeRequest},
        deadline::Deadline,
        failure::ProbeError,
        measure::FIRST_EVENT,
        stream::{EventStream, ReceivedEvent, StreamItem},
    },
    AgeLimit,
};

const NAME: &str = "first_event";

/// Waits for the first event of a live stream, which was requested at `asked`.
pub(in crate::probe) async fn check(
    stream: &mut EventStream,
    asked: Instant,
    deadline: Deadline,
) -> (CheckResult, Result<ReceivedEvent, ProbeError>) {
    match first(stream, deadline).await {
        Ok(event) => {
            let seconds = event.at.duration_since(asked).as_secs_f64();
            let check_result = CheckResult::ok(NAME, format!("first event after {seconds:.2}s"));
            (
                check_result.with(Measurement::new(FIRST_EVENT, seconds)),
                Ok(event),
            )
        }
        Err(failure) => (CheckResult::failed(NAME, &failure), Err(failure)),
    }
}

/// Reads the past of a stream that was quiet for as long as [`check`] waited. That is no fault if its last event is not too old.
pub(in crate::probe) async fn look_back(
    client: &ProbeClient,
    age_limit: AgeLimit,
    deadline: Deadline,
) -> (CheckResult, Result<ReceivedEvent, ProbeError>) {
    let request = ProbeRequest {
        since: Some(age_limit.asked_from()),
        ..ProbeRequest::default()
    };
    let looked = async { first(&mut client.stream(&request, deadline).await?, deadline).await };
    match looked.await {
        Ok(event) => (CheckResult::ok(NAME, "no event now, but earlier ones"), Ok(event)),
        Err(failure) if failure.is_silence() => {
            let said = format!("no event, neither now nor in the last {:?}", age_limit.max_age);
            (CheckResult::critical(NAME, said), Err(failure))
        }
        Err(failure) => (CheckResult::failed(NAME, &failure), Err(failure)),
    }
}

async fn first(stream: &mut EventStream, deadline: Deadline) -> Result<ReceivedEvent, ProbeError> {
    loop {
        if let StreamItem::Event(event) = stream.next(deadline).await? {
            return Ok(event);
        }
    }
}
