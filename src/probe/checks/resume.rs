//! The check that a stream that was cut resumes exactly where it was.
//!
//! A stream is read from a little before its end, so that there are events even if none arrive. It is cut, and resumed with
//! the id of an event in its middle. The events that follow must be those that followed before, byte for byte, none missing
//! and none added. Order is promised only within a partition, so events are matched by partition and offset from their ids.

use std::collections::BTreeMap;

use super::super::{
    Check, CheckResult, EventStream, IdPositions, Measurement, PartitionKey, ReceivedEvent, RequestOptions,
    StreamClient, StreamError, StreamItem, measure,
};
use crate::{position::Offset, stream_client::position_at};

const CHECK: Check = Check("resume");

/// Reads from before `positions`, cuts, resumes and compares.
pub(in crate::probe) async fn check(client: &StreamClient, positions: &IdPositions) -> CheckResult {
    let seen = match read(client, positions).await {
        Ok(seen) => seen,
        Err(failure) => return CHECK.failed(&failure),
    };
    let cut = seen.len() / 2;
    let last = cut.checked_sub(1).and_then(|last| seen.get(last));
    let Some(last) = last.filter(|_| seen.len() >= MIN_EVENTS) else {
        return CHECK.warning(format!("resume not tested: {} events are too few", seen.len()));
    };
    let mut comparison = ResumeComparison::new(last, &seen[cut..]);
    match resume(client, &last.id, &mut comparison).await {
        Ok(()) => comparison.judge(),
        Err(failure) => CHECK.critical(format!("cannot resume with a received id: {failure}")),
    }
}

/// Reads up to `positions`, or until there are enough events. The connection is closed after them.
async fn read(client: &StreamClient, positions: &IdPositions) -> Result<Vec<ReceivedEvent>, StreamError> {
    let back = positions.id(|_, offsets| Some(position_at((offsets.offset? - LOOK_BACK).max(0))));
    let request = RequestOptions {
        last_event_id: back,
        ..RequestOptions::default()
    };
    let mut stream = EventStream::open(client, &request).await?;
    let mut seen: Vec<ReceivedEvent> = Vec::new();
    while seen.len() < ENOUGH {
        match stream.next().await {
            Ok(StreamItem::Event(event)) => seen.push(event),
            // Retention may have removed records here. Only the events that follow are compared.
            Ok(StreamItem::Gap(_)) => {}
            Err(failure) if failure.is_silence() => break,
            Err(failure) => return Err(failure),
        }
        let there = seen.last().is_some_and(|it| it.positions.reaches(positions));
        if there && seen.len() >= MIN_EVENTS {
            break;
        }
    }
    Ok(seen)
}

/// Reads until every expected event is matched or known to be lost.
async fn resume(
    client: &StreamClient,
    id: &str,
    comparison: &mut ResumeComparison<'_>,
) -> Result<(), StreamError> {
    let request = RequestOptions {
        last_event_id: Some(id.to_owned()),
        ..RequestOptions::default()
    };
    let mut stream = EventStream::open(client, &request).await?;
    while !comparison.is_done() {
        match stream.next().await? {
            StreamItem::Event(event) => comparison.take(&event),
            StreamItem::Gap(data) => comparison.gaps.push(data),
        }
    }
    Ok(())
}

/// The comparison of the events behind the cut with those of the resumed stream.
struct ResumeComparison<'a> {
    due: Vec<ExpectedEvent<'a>>,
    /// The position of the resumed stream.
    positions: IdPositions,
    gaps: Vec<String>,
    lost: usize,
    repeated: usize,
    different: usize,
}

struct ExpectedEvent<'a> {
    /// The partitions that the event may belong to, with its offset in each. Records that were skipped are not shown.
    advanced: BTreeMap<PartitionKey, Offset>,
    message: &'a (String, String),
}

impl<'a> ResumeComparison<'a> {
    fn new(last: &ReceivedEvent, rest: &'a [ReceivedEvent]) -> Self {
        let mut before = &last.positions;
        let mut due = Vec::with_capacity(rest.len());
        for event in rest {
            due.push(ExpectedEvent {
                advanced: event.positions.advanced(before),
                message: &event.message,
            });
            before = &event.positions;
        }
        Self {
            due,
            positions: last.positions.clone(),
            gaps: Vec::new(),
            lost: 0,
            repeated: 0,
            different: 0,
        }
    }

    fn is_done(&self) -> bool {
        self.due.is_empty() || !self.gaps.is_empty()
    }

    fn take(&mut self, event: &ReceivedEvent) {
        let advanced = event.positions.advanced(&self.positions);
        if advanced.is_empty() {
            // The event is not ahead of the stream's position in any partition.
            self.repeated += 1;
            return;
        }
        self.positions = event.positions.clone();
        let same =
            |due: &ExpectedEvent<'_>| due.advanced.iter().any(|(key, at)| advanced.get(key) == Some(at));
        let exact = self
            .due
            .iter()
            .position(|due| same(due) && *due.message == event.message);
        // An event without a match arrived after the first stream was cut.
        if let Some(index) = exact.or_else(|| self.due.iter().position(|due| due.is_only(&advanced))) {
            let due = self.due.remove(index);
            self.different += usize::from(*due.message != event.message);
        }
        let before = self.due.len();
        self.due.retain(|due| !due.is_passed(&self.positions));
        self.lost += before - self.due.len();
    }

    fn judge(&self) -> CheckResult {
        let faults = [
            (self.lost, "lost"),
            (self.repeated, "repeated"),
            (self.different, "different"),
        ];
        let mut said: Vec<_> = faults
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} events {what}"))
            .collect();
        said.extend(self.gaps.iter().map(|gap| format!("gap {gap}")));
        let result = if said.is_empty() {
            CHECK.ok("resume exact")
        } else {
            CHECK.critical(format!("resume not exact: {}", said.join(", ")))
        };
        let lost = Measurement::new(measure::LOST, (self.lost + self.gaps.len()) as f64);
        let repeated = (self.repeated + self.different) as f64;
        result
            .with(lost)
            .with(Measurement::new(measure::REPEATED, repeated))
    }
}

impl ExpectedEvent<'_> {
    /// Returns whether the event is this very record, whatever its content.
    fn is_only(&self, advanced: &BTreeMap<PartitionKey, Offset>) -> bool {
        self.advanced.len() == 1 && self.advanced == *advanced
    }

    /// Returns whether the stream has passed the event in every partition that it may belong to.
    fn is_passed(&self, positions: &IdPositions) -> bool {
        self.advanced
            .iter()
            .all(|(key, offset)| positions.get(key).offset >= Some(*offset))
    }
}

/// How far before the position to begin in each partition, in offsets: few to read, and more than the marker of a transaction.
const LOOK_BACK: Offset = 8;

/// The fewest events that can be cut in two.
const MIN_EVENTS: usize = 4;

/// The number of events that is enough for any number of partitions.
const ENOUGH: usize = 200;

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::probe::Status;

    /// Returns an event with the offsets `zero` and `one` in the partitions 0 and 1 of its id.
    fn event(zero: i64, one: i64, data: &str) -> ReceivedEvent {
        let id = format!(
            r#"[{{"topic":"t","partition":0,"offset":{zero}}},{{"topic":"t","partition":1,"offset":{one}}}]"#
        );
        ReceivedEvent {
            at: Instant::now(),
            positions: IdPositions::read(&id).unwrap(),
            id,
            message: ("message".into(), data.into()),
        }
    }

    fn resumed(events: &[ReceivedEvent]) -> (bool, CheckResult) {
        let last = event(1, 1, "cut");
        let seen = [event(2, 1, "a"), event(2, 2, "b"), event(3, 2, "c")];
        let mut comparison = ResumeComparison::new(&last, &seen);
        for event in events {
            comparison.take(event);
        }
        (comparison.is_done(), comparison.judge())
    }

    #[test]
    fn another_order_between_partitions_is_exact() {
        let (done, result) = resumed(&[event(1, 2, "b"), event(2, 2, "a"), event(3, 2, "c")]);
        assert!(done);
        assert_eq!(result.status, Status::Ok, "{result:?}");
    }

    #[test]
    fn every_kind_of_fault_is_counted_by_its_name() {
        for (events, said) in [
            (
                vec![event(2, 1, "a"), event(3, 1, "c"), event(3, 3, "d")],
                "1 events lost",
            ),
            (
                vec![
                    event(1, 1, "cut"),
                    event(2, 1, "a"),
                    event(2, 2, "b"),
                    event(3, 2, "c"),
                ],
                "1 events repeated",
            ),
            (
                vec![event(2, 1, "a"), event(2, 2, "x"), event(3, 2, "c")],
                "1 events different",
            ),
            (vec![event(4, 3, "d")], "3 events lost"),
        ] {
            let (done, result) = resumed(&events);
            assert!(done, "{said}");
            assert_eq!(result.sentence, format!("resume not exact: {said}"));
            assert_eq!(result.status, Status::Critical);
        }
    }

    #[test]
    fn what_has_not_come_yet_is_waited_for() {
        assert!(!resumed(&[event(2, 1, "a"), event(3, 1, "c")]).0);
    }
}
