//! The check of the age of the newest record in every partition. One id has the times of all partitions.

use super::{
    super::{
        Check, CheckResult, EventStream, IdPositions, Measurement, PartitionKey, RequestOptions,
        StreamClient, StreamError, StreamItem, measure,
    },
    AgeLimit, age, now,
};
use crate::position::{PartitionPosition, Timestamp};

const CHECK: Check = Check("freshness");

/// Judges the ages in the id of an event of a live stream.
///
/// A gateway that started behind the last record of a partition has not seen it, and does not know its time. With a `max_age`,
/// such partitions are requested since that long ago. They are quiet partitions, so there is little to read.
pub(in crate::probe) async fn check(
    client: &StreamClient,
    positions: &mut IdPositions,
    age_limit: Option<AgeLimit>,
) -> CheckResult {
    if let Some(age_limit) = age_limit
        && let Err(failure) = look_back(client, positions, age_limit).await
        && !failure.is_silence()
    {
        return CHECK.failed(&failure);
    }
    judge(positions, age_limit, now())
}

/// Reads the fresh records of the quiet partitions, until each partition has told its time.
async fn look_back(
    client: &StreamClient,
    positions: &mut IdPositions,
    age_limit: AgeLimit,
) -> Result<(), StreamError> {
    let quiet: Vec<_> = silent(positions, age_limit).cloned().collect();
    if quiet.is_empty() {
        return Ok(());
    }
    let since = PartitionPosition::Since(age_limit.asked_from());
    let position = |key: &PartitionKey, _| quiet.contains(key).then_some(since);
    let Some(id) = positions.id(position) else {
        return Ok(());
    };
    let request = RequestOptions {
        last_event_id: Some(id),
        ..RequestOptions::default()
    };
    let mut stream = EventStream::open(client, &request).await?;
    while silent(positions, age_limit).next().is_some() {
        if let StreamItem::Event(event) = stream.next().await? {
            positions.learn(&event.positions);
        }
    }
    Ok(())
}

fn silent(positions: &IdPositions, age_limit: AgeLimit) -> impl Iterator<Item = &PartitionKey> {
    let silent = positions
        .iter()
        .filter(move |(_, offsets)| offsets.timestamp.is_none_or(|time| time < age_limit.cutoff));
    silent.map(|(key, _)| key)
}

fn judge(positions: &IdPositions, age_limit: Option<AgeLimit>, now: Timestamp) -> CheckResult {
    let newest = positions.newest().map(|newest| age(now, newest));
    let mut result = match age_limit {
        Some(age_limit) => of_each(positions, age_limit, newest, now),
        None => CHECK.ok(newest.map_or("ages unknown".into(), |age| format!("age {age:.1}s"))),
    };
    let newest = newest.map(|age| Measurement::new(measure::EVENT_AGE, age));
    result.measures.extend(newest);
    for (key, offsets) in positions.iter() {
        let age = offsets.timestamp.map(|time| age(now, time));
        let age = age.map(|age| Measurement::of_partition(measure::EVENT_AGE, age, key.names()));
        result.measures.extend(age);
    }
    result
}

/// Judges whether every partition has a fresh record.
fn of_each(positions: &IdPositions, age_limit: AgeLimit, newest: Option<f64>, now: Timestamp) -> CheckResult {
    let (all, quiet): (_, Vec<_>) = (positions.len(), silent(positions, age_limit).collect());
    let fresh = all - quiet.len();
    let result = match (quiet.as_slice(), newest) {
        ([], Some(newest)) => CHECK.ok(format!("age {newest:.1}s, {fresh}/{all} partitions")),
        ([first, others @ ..], _) => {
            let (max_age, last) = (age_limit.max_age, age_of(positions, first, now));
            let others = if others.is_empty() {
                String::new()
            } else {
                format!(" and {} more", others.len())
            };
            let said = format!(
                "{fresh}/{all} partitions have an event of the last {max_age:?}; \
                 none in {first}{last}{others}"
            );
            CHECK.critical(said)
        }
        ([], None) => CHECK.critical("the id of an event names no partition"),
    };
    result.with(Measurement::new(measure::SILENT, quiet.len() as f64).of(all as f64))
}

fn age_of(positions: &IdPositions, key: &PartitionKey, now: Timestamp) -> String {
    let time = positions.get(key).timestamp;
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
    const MINUTE: Option<AgeLimit> = Some(AgeLimit {
        max_age: Duration::from_secs(60),
        cutoff: NOW - 60_000,
    });

    fn positions(times: &[Option<i64>]) -> IdPositions {
        let entries = times.iter().enumerate().map(|(partition, time)| match time {
            Some(time) => format!(r#"{{"topic":"t","partition":{partition},"offset":9,"timestamp":{time}}}"#),
            None => format!(r#"{{"topic":"t","partition":{partition},"offset":9}}"#),
        });
        IdPositions::read(&format!("[{}]", entries.collect::<Vec<_>>().join(","))).unwrap()
    }

    #[test]
    fn a_partition_that_is_too_old_is_named_also_when_others_are_fresh() {
        let result = judge(
            &positions(&[Some(NOW - 500), Some(NOW - 90_000), None]),
            MINUTE,
            NOW,
        );
        assert_eq!(result.status, Status::Critical);
        assert_eq!(
            result.sentence,
            "1/3 partitions have an event of the last 60s; none in t-1 (the last is 90s old) and 1 more"
        );
    }

    #[test]
    fn without_a_limit_age_is_no_fault() {
        let result = judge(&positions(&[Some(NOW - 90_000), None]), None, NOW);
        assert_eq!(
            (result.status, result.sentence.as_str()),
            (Status::Ok, "age 90.0s")
        );
        assert_eq!(judge(&positions(&[None]), None, NOW).status, Status::Ok);
        assert_eq!(judge(&positions(&[None]), MINUTE, NOW).status, Status::Critical);
    }

    #[test]
    fn a_record_ahead_of_our_clock_is_no_age_below_zero() {
        let result = judge(&positions(&[Some(NOW + 5_000)]), MINUTE, NOW);
        assert_eq!(result.sentence, "age 0.0s, 1/1 partitions");
    }
}
