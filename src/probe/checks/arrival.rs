//! The check that events arrive, and how soon.

use tokio::time::Instant;

use super::AgeLimit;
use crate::probe::{
    Check, CheckResult, EventStream, Measurement, ReceivedEvent, RequestOptions, StreamClient, StreamError,
    StreamItem, measure::FIRST_EVENT,
};

const CHECK: Check = Check("first_event");

/// Waits for the first event of a live stream, which was requested at `asked`.
pub(in crate::probe) async fn check(
    stream: &mut EventStream,
    asked: Instant,
) -> (CheckResult, Result<ReceivedEvent, StreamError>) {
    match first(stream).await {
        Ok(event) => {
            let seconds = event.at.duration_since(asked).as_secs_f64();
            let result = CHECK.ok(format!("first event after {seconds:.2}s"));
            (result.with(Measurement::new(FIRST_EVENT, seconds)), Ok(event))
        }
        Err(failure) => (CHECK.failed(&failure), Err(failure)),
    }
}

/// Reads the past of a stream that was quiet for as long as [`check`] waited. That is no fault if its last event is not too old.
pub(in crate::probe) async fn look_back(
    client: &StreamClient,
    age_limit: AgeLimit,
) -> (CheckResult, Result<ReceivedEvent, StreamError>) {
    let request = RequestOptions {
        parameters: vec![("since", age_limit.asked_from().to_string())],
        ..RequestOptions::default()
    };
    let looked = async { first(&mut EventStream::open(client, &request).await?).await };
    match looked.await {
        Ok(event) => (CHECK.ok("no event now, but earlier ones"), Ok(event)),
        Err(failure) if failure.is_silence() => {
            let said = format!("no event, neither now nor in the last {:?}", age_limit.max_age);
            (CHECK.critical(said), Err(failure))
        }
        Err(failure) => (CHECK.failed(&failure), Err(failure)),
    }
}

async fn first(stream: &mut EventStream) -> Result<ReceivedEvent, StreamError> {
    loop {
        if let StreamItem::Event(event) = stream.next().await? {
            return Ok(event);
        }
    }
}
