//! Faults of single partitions and topics: recorded in health, and logged once when they persist.

use std::{sync::Arc, time::Instant};

use rdkafka::types::RDKafkaErrorCode;

use super::shared::ClusterShared;
use crate::{
    health::{self, FaultEvent, FaultSource},
    partition::TopicPartition,
};

impl ClusterShared {
    /// Returns the health of a partition; `None` if no metadata refresh has shown it yet.
    pub(super) fn health_of(&self, partition: &TopicPartition) -> Option<Arc<health::PartitionHealth>> {
        self.health.partition(&partition.topic, partition.partition)
    }

    /// Records that a read of a partition failed. Does nothing for a partition that no metadata refresh has shown yet.
    pub(super) fn record_fault(
        &self,
        partition: &TopicPartition,
        side: FaultSource,
        code: RDKafkaErrorCode,
        reason: &str,
    ) {
        if let Some(cell) = self.health_of(partition) {
            let text = code.to_string();
            let reason = if reason.is_empty() { &text } else { reason };
            cell.record_fault(side, &name(code), reason, Instant::now());
        }
    }

    /// Records that a read of a partition succeeded.
    pub(super) fn record_success(&self, partition: &TopicPartition, side: FaultSource) {
        if let Some(cell) = self.health_of(partition) {
            cell.record_success(side);
        }
    }
}

/// Logs each fault that has begun to persist, and each that has ended. Call it every few seconds.
pub(super) fn log_fault_changes(cluster: &str, health: &health::ClusterHealth, now: Instant) {
    for (topic, news) in health.topic_fault_events(now) {
        match news {
            FaultEvent::Begun {
                name, reason, lasts, ..
            } => {
                tracing::error!(
                    cluster, %topic, error = &*name, ?lasts,
                    "{reason}; the metadata request is repeated"
                );
            }
            FaultEvent::Ended { name, .. } => {
                tracing::info!(cluster, %topic, error = &*name, "the cluster describes the topic again");
            }
        }
    }
    for (topic, partition, cell) in health.partitions() {
        for news in cell.fault_events(now) {
            match news {
                FaultEvent::Begun {
                    side,
                    name,
                    reason,
                    lasts,
                } => tracing::error!(
                    cluster, %topic, partition, error = &*name, ?lasts,
                    "{}: {reason}; the attempts continue", subject(side)
                ),
                FaultEvent::Ended { side, name } => {
                    tracing::info!(
                        cluster, %topic, partition, error = &*name, ?side,
                        "the partition's fault has ended"
                    );
                }
            }
        }
    }
}

/// Returns the beginning of a log line, by the part of the gateway that met the fault.
fn subject(side: FaultSource) -> &'static str {
    match side {
        FaultSource::Tail => "the partition cannot be read",
        FaultSource::History => "the partition's history cannot be read",
        FaultSource::Bounds => "the partition's leader does not report the start and end of the log",
        FaultSource::Topology => "the cluster does not describe the partition's topic",
    }
}

/// Returns Kafka's name of an error: `TOPIC_AUTHORIZATION_FAILED` for `TopicAuthorizationFailed`.
pub(super) fn name(code: RDKafkaErrorCode) -> String {
    // librdkafka's name for Kafka's error 2 is not Kafka's.
    if code == RDKafkaErrorCode::InvalidMessage {
        return "CORRUPT_MESSAGE".to_owned();
    }
    let mut name = String::new();
    let mut after_small = false;
    for letter in format!("{code:?}").chars() {
        if after_small && letter.is_uppercase() {
            name.push('_');
        }
        after_small = !letter.is_uppercase();
        name.extend(letter.to_uppercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_bears_the_name_that_kafka_gives_it() {
        let cases = [
            (
                RDKafkaErrorCode::TopicAuthorizationFailed,
                "TOPIC_AUTHORIZATION_FAILED",
            ),
            (
                RDKafkaErrorCode::UnknownTopicOrPartition,
                "UNKNOWN_TOPIC_OR_PARTITION",
            ),
            (RDKafkaErrorCode::InvalidMessage, "CORRUPT_MESSAGE"),
            (RDKafkaErrorCode::SSL, "SSL"),
        ];
        for (code, expected) in cases {
            assert_eq!(name(code), expected);
        }
    }
}
