//! The check that a stream since a time begins at that time.

use std::time::Duration;

use super::{before, now};
use crate::{
    position::Timestamp,
    probe::{
        Check, CheckResult, EventStream, IdPositions, RequestOptions, StreamClient, StreamError, StreamItem,
    },
};

const CHECK: Check = Check("since");

/// Requests the stream since `ago` ago. `known` has offsets and times of records that exist.
pub(in crate::probe) async fn check(
    client: &StreamClient,
    known: &IdPositions,
    ago: Duration,
) -> CheckResult {
    let since = before(now(), ago);
    let request = RequestOptions {
        parameters: vec![("since", since.to_string())],
        ..RequestOptions::default()
    };
    let first = async { EventStream::open(client, &request).await?.next().await };
    match first.await {
        Ok(StreamItem::Event(event)) => judge(&event.positions, known, since, ago),
        Ok(StreamItem::Gap(data)) => CHECK.critical(format!("since={ago:?} begins with a gap: {data}")),
        Err(StreamError::Timeout { .. }) if known.newest().is_none_or(|newest| newest < since) => {
            CHECK.ok(format!("no event in the last {ago:?}"))
        }
        Err(failure) => CHECK.critical(format!("since={ago:?}: {failure}")),
    }
}

/// Judges the id of the first event.
fn judge(first: &IdPositions, known: &IdPositions, since: Timestamp, ago: Duration) -> CheckResult {
    if first.newest().is_some_and(|newest| newest < since) {
        return CHECK.critical(format!("since={ago:?} begins with an older event"));
    }
    // A record after `since` is before this offset, and the stream has passed it without showing it.
    let skipped = known.iter().find(|(key, known)| {
        let in_time = known.timestamp.is_some_and(|time| time >= since);
        in_time && known.offset.is_some() && first.get(key).offset > known.offset
    });
    match skipped {
        Some((key, _)) => CHECK.critical(format!("since={ago:?} begins too late in {key}")),
        None => CHECK.ok(format!("since={ago:?} holds")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::Status;

    fn positions(offset: i64, timestamp: i64) -> IdPositions {
        let id = format!(r#"[{{"topic":"t","partition":0,"offset":{offset},"timestamp":{timestamp}}}]"#);
        IdPositions::read(&id).unwrap()
    }

    #[test]
    fn the_first_event_is_neither_older_than_asked_nor_behind_one_that_was_due() {
        let minute = Duration::from_secs(60);
        let status = |first, known| judge(&first, &known, 1_000, minute).status;
        assert_eq!(status(positions(5, 1_000), positions(9, 2_000)), Status::Ok);
        assert_eq!(
            status(positions(5, 999), positions(9, 2_000)),
            Status::Critical,
            "older"
        );
        assert_eq!(
            status(positions(10, 2_100), positions(9, 2_000)),
            Status::Critical,
            "too late"
        );
        assert_eq!(
            status(positions(10, 2_100), positions(9, 900)),
            Status::Ok,
            "nothing was due before"
        );
    }
}
