//! The end of each partition as a request has it, before Kafka is asked anything.

use std::time::Duration;

use tokio::time::Instant;

use super::{PartitionEnd, ReadEnd};
use crate::{
    position::{PartitionPosition, Timestamp},
    subscription::{SubscribeRequest, start_positions::StartPositions},
};

/// The ends that a request names.
pub(in crate::subscription) struct EndPositions {
    /// The ends, as the start positions of a read that goes on there.
    positions: StartPositions,
    /// When a time that is the end counts as passed.
    passed_at: Option<Instant>,
}

impl EndPositions {
    /// Returns the ends of this request.
    pub(in crate::subscription) fn of(request: &SubscribeRequest, end: ReadEnd) -> Self {
        let (position, ranges, time) = match end {
            ReadEnd::Now => (None, None, None),
            ReadEnd::Time(time) => (None, None, Some(time)),
            ReadEnd::Position { position, ranges } => (Some(position), ranges, None),
        };
        let mut following = SubscribeRequest {
            position,
            ranges,
            since: time,
            ..request.clone()
        };
        Self {
            positions: StartPositions::of(&mut following),
            passed_at: time.and_then(|time| passed_at(time, request.now)),
        }
    }

    /// Returns the end of a partition of the topic with this index. `is_added` says that the partition came after the request, so
    /// that nothing of it was there then.
    pub(in crate::subscription) fn of_partition(
        &self,
        topic: usize,
        partition: i32,
        is_added: bool,
    ) -> PartitionEnd {
        let place = match self.positions.of_partition(topic, partition) {
            PartitionPosition::Latest if is_added => PartitionPosition::Earliest,
            place => place,
        };
        PartitionEnd::new(place, self.passed_at)
    }
}

/// Returns when no more records with earlier timestamps than `time` are waited for. Returns `None` if that is too far to say.
/// `now` is the time of the request. From then on the monotonic clock counts, so that a clock that is set ends nothing.
fn passed_at(time: Timestamp, now: Timestamp) -> Option<Instant> {
    let left = u64::try_from(time.saturating_sub(now).saturating_add(LATENESS)).unwrap_or(0);
    Instant::now().checked_add(Duration::from_millis(left))
}

/// How long after a time records of before it are waited for, in milliseconds, in a partition where no record shows that the time
/// has passed. Producers take their timestamps before they send. The end is promised within 10 s of the time, and the questions to
/// the leader need their part of that.
const LATENESS: Timestamp = 5_000;
