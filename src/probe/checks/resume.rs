//! Whether a stream that was cut goes on exactly where it was.
//!
//! A stream is read from a little way back, so that there is something to read also when nothing happens. It is cut, and
//! resumed with the id of an event in its middle: what follows must be what followed before, byte for byte, neither less
//! nor more. Order is promised within a partition only, so events are matched by what their ids say of their partition.

use std::collections::BTreeMap;

use super::super::{
    Finding, Measure,
    client::{Ask, Client},
    deadline::Deadline,
    failure::Failure,
    marks::{Marks, Slot, at},
    measure::{LOST, REPEATED},
    stream::{Event, Item, Stream},
};
use crate::position::Offset;

const NAME: &str = "resume";

/// Reads from before `marks`, cuts, resumes and compares.
pub(in crate::probe) async fn check(client: &Client, marks: &Marks, deadline: Deadline) -> Finding {
    let seen = match read(client, marks, deadline).await {
        Ok(seen) => seen,
        Err(failure) => return Finding::failed(NAME, &failure),
    };
    let cut = seen.len() / 2;
    let (Some(last), true) = (
        cut.checked_sub(1).and_then(|last| seen.get(last)),
        seen.len() >= FEWEST,
    ) else {
        return Finding::warning(
            NAME,
            format!("resume not tested: {} events are too few", seen.len()),
        );
    };
    let mut comparison = Comparison::new(last, &seen[cut..]);
    match resume(client, &last.id, &mut comparison, deadline).await {
        Ok(()) => comparison.judge(),
        Err(failure) => Finding::critical(NAME, format!("resumed with an id of its own: {failure}")),
    }
}

/// Events up to where the stream is known to have been, or as many as are enough; the connection is cut behind them.
async fn read(client: &Client, marks: &Marks, deadline: Deadline) -> Result<Vec<Event>, Failure> {
    let back = marks.id(|_, standing| Some(at((standing.offset? - LOOK_BACK).max(0))));
    let ask = Ask {
        last_event_id: back,
        ..Ask::default()
    };
    let mut stream = client.stream(&ask, deadline).await?;
    let mut seen: Vec<Event> = Vec::new();
    while seen.len() < ENOUGH {
        match stream.next(deadline).await {
            Ok(Item::Event(event)) => seen.push(event),
            // Retention may have been here: what counts is what follows.
            Ok(Item::Gap(_)) => {}
            Err(failure) if failure.is_silence() => break,
            Err(failure) => return Err(failure),
        }
        let there = seen.last().is_some_and(|event| event.marks.reaches(marks));
        if there && seen.len() >= FEWEST {
            break;
        }
    }
    Ok(seen)
}

/// Reads on until every event is matched, or known to be lost.
async fn resume(
    client: &Client,
    id: &str,
    comparison: &mut Comparison<'_>,
    deadline: Deadline,
) -> Result<(), Failure> {
    let ask = Ask {
        last_event_id: Some(id.to_owned()),
        ..Ask::default()
    };
    let mut stream: Stream = client.stream(&ask, deadline).await?;
    while !comparison.is_done() {
        match stream.next(deadline).await? {
            Item::Event(event) => comparison.take(&event),
            Item::Gap(data) => comparison.gaps.push(data),
        }
    }
    Ok(())
}

/// What came behind the cut before, against what comes now.
struct Comparison<'a> {
    due: Vec<Due<'a>>,
    /// Where the resumed stream stands.
    marks: Marks,
    gaps: Vec<String>,
    lost: usize,
    repeated: usize,
    different: usize,
}

struct Due<'a> {
    /// The partitions that the event may be of, and its offset in each: of one that was passed over nothing is shown.
    places: BTreeMap<Slot, Offset>,
    message: &'a (String, String),
}

impl<'a> Comparison<'a> {
    fn new(last: &Event, rest: &'a [Event]) -> Self {
        let mut before = &last.marks;
        let mut due = Vec::with_capacity(rest.len());
        for event in rest {
            due.push(Due {
                places: event.marks.advanced(before),
                message: &event.message,
            });
            before = &event.marks;
        }
        Self {
            due,
            marks: last.marks.clone(),
            gaps: Vec::new(),
            lost: 0,
            repeated: 0,
            different: 0,
        }
    }

    fn is_done(&self) -> bool {
        self.due.is_empty() || !self.gaps.is_empty()
    }

    fn take(&mut self, event: &Event) {
        let places = event.marks.advanced(&self.marks);
        if places.is_empty() {
            // It stands nowhere that the stream has not been.
            self.repeated += 1;
            return;
        }
        self.marks = event.marks.clone();
        let same = |due: &Due<'_>| {
            due.places
                .iter()
                .any(|(slot, offset)| places.get(slot) == Some(offset))
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
        self.due.retain(|due| !due.is_passed(&self.marks));
        self.lost += before - self.due.len();
    }

    fn judge(&self) -> Finding {
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
        let finding = if said.is_empty() {
            Finding::ok(NAME, "resume exact")
        } else {
            Finding::critical(NAME, format!("resume not exact: {}", said.join(", ")))
        };
        finding
            .with(Measure::new(LOST, (self.lost + self.gaps.len()) as f64))
            .with(Measure::new(REPEATED, (self.repeated + self.different) as f64))
    }
}

impl Due<'_> {
    /// Whether it is this very record, whatever it says.
    fn is_only(&self, places: &BTreeMap<Slot, Offset>) -> bool {
        self.places.len() == 1 && self.places == *places
    }

    /// Whether the stream stands behind it in every partition that it may be of.
    fn is_passed(&self, marks: &Marks) -> bool {
        self.places
            .iter()
            .all(|(slot, offset)| marks.get(slot).offset >= Some(*offset))
    }
}

/// How far back in each partition to begin, in offsets. Few enough to be nothing, more than a transaction's marker.
const LOOK_BACK: Offset = 8;

/// Events that can be cut in two.
const FEWEST: usize = 4;

/// Events that are enough, whatever the number of partitions.
const ENOUGH: usize = 200;

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::probe::Status;

    /// The event behind which partition 0 and partition 1 stand so.
    fn event(zero: i64, one: i64, data: &str) -> Event {
        let id = format!(
            r#"[{{"topic":"t","partition":0,"offset":{zero}}},{{"topic":"t","partition":1,"offset":{one}}}]"#
        );
        Event {
            at: Instant::now(),
            marks: Marks::read(&id).unwrap(),
            id,
            message: ("message".into(), data.into()),
        }
    }

    fn resumed(events: &[Event]) -> (bool, Finding) {
        let last = event(1, 1, "cut");
        let seen = [event(2, 1, "a"), event(2, 2, "b"), event(3, 2, "c")];
        let mut comparison = Comparison::new(&last, &seen);
        for event in events {
            comparison.take(event);
        }
        (comparison.is_done(), comparison.judge())
    }

    #[test]
    fn another_order_between_partitions_is_exact() {
        let (done, finding) = resumed(&[event(1, 2, "b"), event(2, 2, "a"), event(3, 2, "c")]);
        assert!(done);
        assert_eq!(finding.status, Status::Ok, "{finding:?}");
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
            let (done, finding) = resumed(&events);
            assert!(done, "{said}");
            assert_eq!(finding.sentence, format!("resume not exact: {said}"));
            assert_eq!(finding.status, Status::Critical);
        }
    }

    #[test]
    fn what_has_not_come_yet_is_waited_for() {
        assert!(!resumed(&[event(2, 1, "a"), event(3, 1, "c")]).0);
    }
}
