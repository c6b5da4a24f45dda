//! How old the newest record of every partition is. One id says it of all.

use super::{
    super::{
        Finding, Measure,
        client::{Ask, Client},
        deadline::Deadline,
        failure::Failure,
        marks::{Marks, Slot},
        measure::{EVENT_AGE, SILENT},
        stream::Item,
    },
    Youth, age, now,
};
use crate::position::{Place, Timestamp};

const NAME: &str = "freshness";

/// Judges the ages that the id of a live stream's event tells of.
///
/// A gateway that has not seen a partition's last record, since it started behind it, cannot tell its time. With a
/// `max_age` such partitions are asked from that long ago: they are quiet ones, so there is little to read.
pub(in crate::probe) async fn check(
    client: &Client,
    marks: &mut Marks,
    youth: Option<Youth>,
    deadline: Deadline,
) -> Finding {
    if let Some(youth) = youth
        && let Err(failure) = look_back(client, marks, youth, deadline).await
        && !failure.is_silence()
    {
        return Finding::failed(NAME, &failure);
    }
    judge(marks, youth, now())
}

/// Reads what the quiet partitions have that is young, until each has told its time.
async fn look_back(
    client: &Client,
    marks: &mut Marks,
    youth: Youth,
    deadline: Deadline,
) -> Result<(), Failure> {
    let quiet: Vec<_> = silent(marks, youth).cloned().collect();
    if quiet.is_empty() {
        return Ok(());
    }
    let place = |slot: &Slot, _| quiet.contains(slot).then_some(Place::Since(youth.asked_from()));
    let Some(id) = marks.id(place) else {
        return Ok(());
    };
    let ask = Ask {
        last_event_id: Some(id),
        ..Ask::default()
    };
    let mut stream = client.stream(&ask, deadline).await?;
    while silent(marks, youth).next().is_some() {
        if let Item::Event(event) = stream.next(deadline).await? {
            marks.learn(&event.marks);
        }
    }
    Ok(())
}

fn silent(marks: &Marks, youth: Youth) -> impl Iterator<Item = &Slot> {
    let silent = marks
        .iter()
        .filter(move |(_, standing)| standing.timestamp.is_none_or(|time| time < youth.youngest));
    silent.map(|(slot, _)| slot)
}

fn judge(marks: &Marks, youth: Option<Youth>, now: Timestamp) -> Finding {
    let newest = marks.newest().map(|newest| age(now, newest));
    let mut finding = match youth {
        Some(youth) => of_each(marks, youth, newest, now),
        None => Finding::ok(
            NAME,
            newest.map_or("ages unknown".into(), |age| format!("age {age:.1}s")),
        ),
    };
    finding
        .measures
        .extend(newest.map(|age| Measure::new(EVENT_AGE, age)));
    for (slot, standing) in marks.iter() {
        let age = standing.timestamp.map(|time| age(now, time));
        finding
            .measures
            .extend(age.map(|age| Measure::of_partition(EVENT_AGE, age, slot.names())));
    }
    finding
}

/// Every partition has to have something young.
fn of_each(marks: &Marks, youth: Youth, newest: Option<f64>, now: Timestamp) -> Finding {
    let (all, quiet): (_, Vec<_>) = (marks.len(), silent(marks, youth).collect());
    let fresh = all - quiet.len();
    let finding = match (quiet.as_slice(), newest) {
        ([], Some(newest)) => Finding::ok(NAME, format!("age {newest:.1}s, {fresh}/{all} partitions")),
        ([first, others @ ..], _) => {
            let (max_age, last) = (youth.max_age, age_of(marks, first, now));
            let others = if others.is_empty() {
                String::new()
            } else {
                format!(" and {} more", others.len())
            };
            let said = format!(
                "{fresh}/{all} partitions have an event of the last {max_age:?}; none: {first}{last}{others}"
            );
            Finding::critical(NAME, said)
        }
        ([], None) => Finding::critical(NAME, "the id of an event names no partition"),
    };
    finding.with(Measure::new(SILENT, quiet.len() as f64).of(all as f64))
}

fn age_of(marks: &Marks, slot: &Slot, now: Timestamp) -> String {
    let time = marks.get(slot).timestamp;
    time.map_or_else(String::new, |time| {
        format!(" (the last is {:.0}s old)", age(now, time))
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::probe::Status;

    const NOW: Timestamp = 1_790_000_000_000;
    const MINUTE: Option<Youth> = Some(Youth {
        max_age: Duration::from_secs(60),
        youngest: NOW - 60_000,
    });

    fn marks(times: &[Option<i64>]) -> Marks {
        let entries = times.iter().enumerate().map(|(partition, time)| match time {
            Some(time) => format!(r#"{{"topic":"t","partition":{partition},"offset":9,"timestamp":{time}}}"#),
            None => format!(r#"{{"topic":"t","partition":{partition},"offset":9}}"#),
        });
        Marks::read(&format!("[{}]", entries.collect::<Vec<_>>().join(","))).unwrap()
    }

    #[test]
    fn a_partition_that_is_too_old_is_named_also_when_others_are_fresh() {
        let finding = judge(&marks(&[Some(NOW - 500), Some(NOW - 90_000), None]), MINUTE, NOW);
        assert_eq!(finding.status, Status::Critical);
        assert_eq!(
            finding.sentence,
            "1/3 partitions have an event of the last 60s; none: t-1 (the last is 90s old) and 1 more"
        );
    }

    #[test]
    fn without_a_limit_age_is_no_fault() {
        let finding = judge(&marks(&[Some(NOW - 90_000), None]), None, NOW);
        assert_eq!(
            (finding.status, finding.sentence.as_str()),
            (Status::Ok, "age 90.0s")
        );
        assert_eq!(judge(&marks(&[None]), None, NOW).status, Status::Ok);
        assert_eq!(judge(&marks(&[None]), MINUTE, NOW).status, Status::Critical);
    }

    #[test]
    fn a_record_ahead_of_our_clock_is_no_age_below_zero() {
        let finding = judge(&marks(&[Some(NOW + 5_000)]), MINUTE, NOW);
        assert_eq!(finding.sentence, "age 0.0s, 1/1 partitions");
    }
}
