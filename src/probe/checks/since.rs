//! Whether a stream from a time on begins at that time.

use std::time::Duration;

use super::{
    super::{
        Finding,
        client::{Ask, Client},
        deadline::Deadline,
        failure::Failure,
        marks::Marks,
        stream::Item,
    },
    before, now,
};
use crate::position::Timestamp;

const NAME: &str = "since";

/// Asks for the stream from so long ago on. `known` says of records that exist.
pub(in crate::probe) async fn check(
    client: &Client,
    known: &Marks,
    back: Duration,
    deadline: Deadline,
) -> Finding {
    let since = before(now(), back);
    let ask = Ask {
        since: Some(since),
        ..Ask::default()
    };
    let first = async { client.stream(&ask, deadline).await?.next(deadline).await };
    match first.await {
        Ok(Item::Event(event)) => judge(&event.marks, known, since, back),
        Ok(Item::Gap(data)) => Finding::critical(NAME, format!("since={back:?} tells of a gap: {data}")),
        Err(Failure::Timeout { .. }) if known.newest().is_none_or(|newest| newest < since) => {
            Finding::ok(NAME, format!("nothing in the last {back:?}"))
        }
        Err(failure) => Finding::critical(NAME, format!("since={back:?}: {failure}")),
    }
}

/// Judges the id of the first event.
fn judge(first: &Marks, known: &Marks, since: Timestamp, back: Duration) -> Finding {
    if first.newest().is_some_and(|newest| newest < since) {
        return Finding::critical(NAME, format!("since={back:?} begins with an older event"));
    }
    // A record of that time stands before this offset, and the stream has gone past it without having shown it.
    let skipped = known.iter().find(|(slot, known)| {
        let in_time = known.timestamp.is_some_and(|time| time >= since);
        in_time && known.offset.is_some() && first.get(slot).offset > known.offset
    });
    match skipped {
        Some((slot, _)) => Finding::critical(NAME, format!("since={back:?} begins too late in {slot}")),
        None => Finding::ok(NAME, format!("since={back:?} holds")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::Status;

    fn marks(offset: i64, timestamp: i64) -> Marks {
        let id = format!(r#"[{{"topic":"t","partition":0,"offset":{offset},"timestamp":{timestamp}}}]"#);
        Marks::read(&id).unwrap()
    }

    #[test]
    fn the_first_event_is_neither_older_than_asked_nor_behind_one_that_was_due() {
        let minute = Duration::from_secs(60);
        let status = |first, known| judge(&first, &known, 1_000, minute).status;
        assert_eq!(status(marks(5, 1_000), marks(9, 2_000)), Status::Ok);
        assert_eq!(status(marks(5, 999), marks(9, 2_000)), Status::Critical, "older");
        assert_eq!(
            status(marks(10, 2_100), marks(9, 2_000)),
            Status::Critical,
            "too late"
        );
        assert_eq!(
            status(marks(10, 2_100), marks(9, 900)),
            Status::Ok,
            "nothing was due before"
        );
    }
}
