//! Whether a stream that was cut goes on exactly where it was.
//!
//! A stream is read from a little way back, so that there is something to read also when nothing happens. It is cut, and
//! resumed with the id of an event in its middle: what follows must be what followed before, byte for byte, neither less
//! nor more. Order is promised within a partition only, so events are matched by what their ids say of their partition.

use std::collections::BTreeMap;

use super::super::{
    CheckResult, Measurement,
    client::{ProbeClient, ProbeRequest},
    deadline::Deadline,
    failure::ProbeError,
    id_positions::{IdPositions, PartitionKey, at},
    measure::{LOST, REPEATED},
    stream::{EventStream, ReceivedEvent, StreamItem},
};
use crate::position::Offset;

const NAME: &str = "resume";

/// Reads from before `positions`, cuts, resumes and compares.
pub(in crate::probe) async fn check(
    client: &ProbeClient,
    positions: &IdPositions,
    deadline: Deadline,
) -> CheckResult {
    let seen = match read(client, positions, deadline).await {
        Ok(seen) => seen,
        Err(failure) => return CheckResult::failed(NAME, &failure),
    };
    let cut = seen.len() / 2;
    let (Some(last), true) = (
        cut.checked_sub(1).and_then(|last| seen.get(last)),
        seen.len() >= MIN_EVENTS,
    ) else {
        return CheckResult::warning(
            NAME,
            format!("resume not tested: {} events are too few", seen.len()),
        );
    };
    let mut comparison = ResumeComparison::new(last, &seen[cut..]);
    match resume(client, &last.id, &mut comparison, deadline).await {
        Ok(()) => comparison.judge(),
        Err(failure) => CheckResult::critical(NAME, format!("resumed with an id of its own: {failure}")),
    }
}

/// Events up to where the stream is known to have been, or as many as are enough; the connection is cut behind them.
async fn read(
    client: &ProbeClient,
    positions: &IdPositions,
    deadline: Deadline,
) -> Result<Vec<ReceivedEvent>, ProbeError> {
    let back = positions.id(|_, offsets| Some(at((offsets.offset? - LOOK_BACK).max(0))));
    let ask = ProbeRequest {
        last_event_id: back,
        ..ProbeRequest::default()
    };
    let mut stream = client.stream(&ask, deadline).await?;
    let mut seen: Vec<ReceivedEvent> = Vec::new();
    while seen.len() < ENOUGH {
        match stream.next(deadline).await {
            Ok(StreamItem::Event(event)) => seen.push(event),
            // Retention may have been here: what counts is what follows.
            Ok(StreamItem::Gap(_)) => {}
            Err(failure) if failure.is_silence() => break,
            Err(failure) => return Err(failure),
        }
        let there = seen
            .last()
            .is_some_and(|event| event.positions.reaches(positions));
        if there && seen.len() >= MIN_EVENTS {
            break;
        }
    }
    Ok(seen)
}

/// Reads on until every event is matched, or known to be lost.
async fn resume(
    client: &ProbeClient,
    id: &str,
    comparison: &mut ResumeComparison<'_>,
    deadline: Deadline,
) -> Result<(), ProbeError> {
    let ask = ProbeRequest {
        last_event_id: Some(id.to_owned()),
        ..ProbeRequest::default()
    };
    let mut stream: EventStream = client.stream(&ask, deadline).await?;
    while !comparison.is_done() {
        match stream.next(deadline).await? {
            StreamItem::Event(event) => comparison.take(&event),
            StreamItem::Gap(data) => comparison.gaps.push(data),
        }
    }
    Ok(())
}

/// What came behind the cut before, against what comes now.
struct ResumeComparison<'a> {
    due: Vec<ExpectedEvent<'a>>,
    /// Where the resumed stream stands.
    positions: IdPositions,
    gaps: Vec<String>,
    lost: usize,
    repeated: usize,
    different: usize,
}

struct ExpectedEvent<'a> {
    /// The partitions that the event may be of, and its offset in each: of one that was passed over nothing is shown.
    places: BTreeMap<PartitionKey, Offset>,
    message: &'a (String, String),
}

impl<'a> ResumeComparison<'a> {
    fn new(last: &ReceivedEvent, rest: &'a [ReceivedEvent]) -> Self {
        let mut before = &last.positions;
        let mut due = Vec::with_capacity(rest.len());
        for event in rest {
            due.push(ExpectedEvent {
                places: event.positions.advanced(before),
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
        let places = event.positions.advanced(&self.positions);
        if places.is_empty() {
            // It stands nowhere that the stream has not been.
            self.repeated += 1;
            return;
        }
        self.positions = event.positions.clone();
        let same = |due: &ExpectedEvent<'_>| {
            due.places
                .iter()
                .any(|(key, offset)| places.get(key) == Some(offset))
        };
        let twins = self
            .due
            .iter()
            .position(|due| same(due) && *due.message == event.message);
        // Without either it is one that came when the first stream had been cut.
        if let Some(index) = twins.or_else(|| self.due.iter().position(|due| due.is_only(&places))) {
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
        let check_result = if said.is_empty() {
            CheckResult::ok(NAME, "resume exact")
        } else {
            CheckResult::critical(NAME, format!("resume not exact: {}", said.join(", ")))
        };
        check_result
            .with(Measurement::new(LOST, (self.lost + self.gaps.len()) as f64))
            .with(Measurement::new(
                REPEATED,
                (self.repeated + self.different) as f64,
            ))
    }
}

impl ExpectedEvent<'_> {
    /// Whether it is this very record, whatever it says.
    fn is_only(&self, places: &BTreeMap<PartitionKey, Offset>) -> bool {
        self.places.len() == 1 && self.places == *places
    }

    /// Whether the stream stands behind it in every partition that it may be of.
    fn is_passed(&self, positions: &IdPositions) -> bool {
        self.places
            .iter()
            .all(|(key, offset)| positions.get(key).offset >= Some(*offset))
    }
}

/// How far back in each partition to begin, in offsets. Few enough to be nothing, more than a transaction's marker.
const LOOK_BACK: Offset = 8;

/// Events that can be cut in two.
const MIN_EVENTS: usize = 4;

/// Events that are enough, whatever the number of partitions.
const ENOUGH: usize = 200;

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::probe::Status;

    /// The event behind which partition 0 and partition 1 stand so.
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
        let (done, check_result) = resumed(&[event(1, 2, "b"), event(2, 2, "a"), event(3, 2, "c")]);
        assert!(done);
        assert_eq!(check_result.status, Status::Ok, "{check_result:?}");
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
            let (done, check_result) = resumed(&events);
            assert!(done, "{said}");
            assert_eq!(check_result.sentence, format!("resume not exact: {said}"));
            assert_eq!(check_result.status, Status::Critical);
        }
    }

    #[test]
    fn what_has_not_come_yet_is_waited_for() {
        assert!(!resumed(&[event(2, 1, "a"), event(3, 1, "c")]).0);
    }
}
