//! Why partitions deliver nothing although librdkafka reports no error. It only tries again after some errors, such as that of an
//! offline disk, and it waits as long as a broker's quota demands.
//!
//! Not here: the attempts to read (`fetch_trial`).

use std::{
    collections::{BTreeSet, HashMap},
    iter,
    sync::Arc,
    time::{Duration, Instant},
};

use rdkafka::types::RDKafkaErrorCode;

use crate::{
    health::ClusterHealth,
    kafka::{
        client::raw::{IsolationLevel, KafkaReader, OffsetSpec},
        faults,
    },
    partition::TopicPartition,
};

/// An error's name, or that nothing arrived in time, and the text for it.
pub(super) type ErrorText = (String, String);

/// Returns why each of these partitions has delivered nothing for `within`, in their order: that brokers advertise wrong addresses,
/// that the partition has no leader, the error with which its leader refuses a request for the end of the log, that its leader
/// throttles us, or just the silence. A blocking call that takes up to twice [`ANSWER_TIMEOUT`].
pub(super) fn causes(
    reader: &KafkaReader,
    health: &ClusterHealth,
    silent: &[TopicPartition],
    within: Duration,
) -> Vec<ErrorText> {
    if silent.is_empty() {
        return Vec::new();
    }
    if let Some(wrong_address) = health.astray(Instant::now()) {
        return vec![(wrong_address, String::new()); silent.len()];
    }
    let brokers: Vec<_> = health.brokers().into_iter().map(|(id, _)| id).collect();
    let leaders = leaders(reader, &brokers, silent);
    let refused = refusals(reader, silent, &leaders);
    reader.poll_events();
    let nothing = format!("nothing arrived within {} s", within.as_secs());
    let unknown = || (nothing.clone(), health.errors());
    let throttled = |broker: &i32| {
        let pause = health.throttling(*broker, Instant::now())?.as_secs_f64();
        let why = format!("broker {broker} throttles riverhead, by up to {pause:.1} s per answer");
        Some((nothing.clone(), why))
    };
    let cause = |(at, partition): (usize, &TopicPartition)| match leaders.get(partition) {
        Some(None) => named(RDKafkaErrorCode::LeaderNotAvailable, NO_LEADER),
        Some(Some(leader)) => match refused.get(&at) {
            Some(code) => named(*code, &code.to_string()),
            None => throttled(leader).unwrap_or_else(unknown),
        },
        // Brokers that throttle us may have kept the leaders to themselves, too.
        None => brokers.iter().find_map(throttled).unwrap_or_else(unknown),
    };
    silent.iter().enumerate().map(cause).collect()
}

/// Returns the leader of each partition, as the first of the brokers that answers describes it. Returns nothing about partitions
/// that no broker describes.
fn leaders(
    reader: &KafkaReader,
    brokers: &[i32],
    silent: &[TopicPartition],
) -> HashMap<TopicPartition, Option<i32>> {
    let topics: BTreeSet<_> = silent
        .iter()
        .map(|partition| Arc::clone(&partition.topic))
        .collect();
    let topics: Vec<_> = topics.into_iter().collect();
    let answers = reader.describe_topics_by(brokers, &topics, ANSWER_TIMEOUT);
    let described = answers.into_iter().find_map(Result::ok).unwrap_or_default();
    let described: HashMap<_, _> = topics.into_iter().zip(described).collect();
    let leader = |partition: &TopicPartition| {
        let info = described.get(&partition.topic)?.as_ref().ok()?;
        let at = usize::try_from(partition.partition).ok()?;
        Some((partition.clone(), *info.leaders.get(at)?))
    };
    silent.iter().filter_map(leader).collect()
}

/// Asks each leader for the end of the log. Returns the errors, by the place of the partition in the list. Each partition is a
/// request of its own, because librdkafka reports one error for all partitions of a request.
fn refusals(
    reader: &KafkaReader,
    silent: &[TopicPartition],
    leaders: &HashMap<TopicPartition, Option<i32>>,
) -> HashMap<usize, RDKafkaErrorCode> {
    let mut refused = HashMap::new();
    let Ok(queue) = reader.queue() else {
        return refused;
    };
    let mut waiting = 0;
    for (at, partition) in silent.iter().enumerate() {
        let question = iter::once((partition, OffsetSpec::End));
        let isolation = IsolationLevel::ReadCommitted;
        let has_leader = matches!(leaders.get(partition), Some(Some(_)));
        let asked = has_leader
            && reader
                .list_offsets(at, question, isolation, ANSWER_TIMEOUT, &queue)
                .is_ok();
        waiting += usize::from(asked);
    }
    let deadline = Instant::now() + ANSWER_TIMEOUT;
    while waiting > 0
        && let Some(answer) = queue.poll_offsets(deadline)
    {
        waiting -= 1;
        let error = match answer.result {
            Ok(found) => found.into_iter().find_map(Result::err),
            Err(code) => Some(code),
        };
        if let Some(code) = error.filter(|code| is_of_broker(*code)) {
            refused.insert(answer.request, code);
        }
    }
    refused
}

/// Returns whether a broker has answered with this error. librdkafka's own errors, such as timeouts, are negative.
fn is_of_broker(code: RDKafkaErrorCode) -> bool {
    code as i32 > 0
}

fn named(code: RDKafkaErrorCode, text: &str) -> ErrorText {
    (faults::name(code), text.to_owned())
}

/// What `LEADER_NOT_AVAILABLE` means for a partition that has no leader for seconds.
const NO_LEADER: &str = "it has no leader: its replicas are down, not in sync, or on an offline disk";

/// The timeout of each of the two questions. The brokers have answered before.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
