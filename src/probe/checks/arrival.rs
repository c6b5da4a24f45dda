//! Whether anything comes, and how soon.

use tokio::time::Instant;

use super::{
    super::{
        Finding, Measure,
        client::{Ask, Client},
        deadline::Deadline,
        failure::Failure,
        measure::FIRST_EVENT,
        stream::{Event, Item, Stream},
    },
    Youth,
};

const NAME: &str = "first_event";

/// Waits for the first event of a live stream that was asked for at `asked`.
pub(in crate::probe) async fn check(
    stream: &mut Stream,
    asked: Instant,
    deadline: Deadline,
) -> (Finding, Result<Event, Failure>) {
    match first(stream, deadline).await {
        Ok(event) => {
            let seconds = event.at.duration_since(asked).as_secs_f64();
            let finding = Finding::ok(NAME, format!("first event after {seconds:.2}s"));
            (finding.with(Measure::new(FIRST_EVENT, seconds)), Ok(event))
        }
        Err(failure) => (Finding::failed(NAME, &failure), Err(failure)),
    }
}

/// Looks back on a stream that was quiet for as long as `live` waited: it is none the worse for that, if its last event is
/// not too old.
pub(in crate::probe) async fn look_back(
    client: &Client,
    youth: Youth,
    deadline: Deadline,
) -> (Finding, Result<Event, Failure>) {
    let ask = Ask {
        since: Some(youth.asked_from()),
        ..Ask::default()
    };
    let looked = async { first(&mut client.stream(&ask, deadline).await?, deadline).await };
    match looked.await {
        Ok(event) => (Finding::ok(NAME, "quiet now, with events before"), Ok(event)),
        Err(failure) if failure.is_silence() => {
            let said = format!("no event, neither now nor in the last {:?}", youth.max_age);
            (Finding::critical(NAME, said), Err(failure))
        }
        Err(failure) => (Finding::failed(NAME, &failure), Err(failure)),
    }
}

async fn first(stream: &mut Stream, deadline: Deadline) -> Result<Event, Failure> {
    loop {
        if let Item::Event(event) = stream.next(deadline).await? {
            return Ok(event);
        }
    }
}
