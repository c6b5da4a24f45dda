//! The start of each partition's tail: its position is found by a bounds query, lost, and found again.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    QUERY_STARTS_EVERY, Supervisor, SupervisorEvent,
    event::RequestId,
    topics::{RETRY_FIRST, TailStart, TailState, TopicState},
};
use crate::{
    kafka::metrics::ReplacementLabels,
    partition::{Bounds, HistoryError, PartitionLog, TopicPartition},
};

impl Supervisor {
    /// Handles that the tail lost its position in a log: schedules a bounds query for another start.
    pub(super) fn on_position_lost(&mut self, log: &Arc<PartitionLog>) {
        let Some((index, number)) = self.find_partition(log.partition()) else {
            return;
        };
        // An event about a log that is no longer current is outdated.
        if matches!(&self.topics[index].partitions[number].state, TailState::Reading(current) if Arc::ptr_eq(current, log))
        {
            self.refresh_metadata();
            let (offset, now) = (log.end().offset, Instant::now());
            let partition = &mut self.topics[index].partitions[number];
            let before = partition.lost.replace((offset, now));
            let again = before.is_some_and(|(at, when)| at == offset && now - when < LOST_AGAIN_WITHIN);
            // After a pause: a position that is lost again and again must not keep the supervisor busy.
            let pause = if again { RETRY_LOST_AGAIN } else { RETRY_FIRST };
            partition.state = TailState::Waiting(now + pause, TailStart::Lost(offset));
            if again {
                // The bounds from the history client were of no use to the tail: it follows a leader that was cut off, and may
                // for as long as that answers. New readers begin with the current metadata.
                tracing::warn!(
                    cluster = %self.shared.cluster, partition = %log.partition(), offset,
                    "the tail and the history readers follow different leaders; the history readers are \
                     replaced"
                );
                self.pool.replace_readers();
            }
            if let Some(cell) = self.shared.health_of(log.partition()) {
                cell.record_position_lost(Instant::now());
            }
        }
    }

    /// Sends the bounds queries that are due.
    pub(super) fn retry_bounds(&mut self) {
        let now = Instant::now();
        for index in 0..self.topics.len() {
            for number in 0..self.topics[index].partitions.len() {
                if let TailState::Waiting(due, from) = self.topics[index].partitions[number].state
                    && due <= now
                {
                    self.query_bounds(index, number, from);
                }
            }
        }
    }

    /// Queries the log starts that no fetch has reported for a while: of partitions that the tail cannot read, or has not read
    /// because no broker answers.
    pub(super) fn query_log_starts(&mut self, now: Instant) {
        if now < self.query_starts_at {
            return;
        }
        self.query_starts_at = now + QUERY_STARTS_EVERY;
        for log in self.topics.iter().flat_map(TopicState::logs) {
            let then = now.checked_sub(QUERY_STARTS_EVERY);
            let cell = self.shared.health_of(log.partition()).zip(then);
            if cell.is_some_and(|(cell, then)| cell.start_told_since(then).is_some()) {
                continue;
            }
            let (directory, log) = (Arc::clone(&self.shared.directory), Arc::clone(log));
            self.pool.query_bounds(log.partition().clone(), move |answer| {
                if let Ok(bounds) = answer {
                    directory.set_start(&log, bounds.start);
                }
            });
        }
    }

    /// Queries the bounds of a partition; the answer arrives as an event.
    pub(super) fn query_bounds(&mut self, index: usize, number: usize, from: TailStart) {
        self.last_request_id += 1;
        let request_id = self.last_request_id;
        let topic = &mut self.topics[index];
        topic.partitions[number].state = TailState::Querying(request_id, from);
        let partition = topic.partition(number);
        let (events, answered) = (self.events.clone(), partition.clone());
        self.pool.query_tail_bounds(partition, move |result| {
            let _ = events.send(SupervisorEvent::Bounds(answered, request_id, result));
        });
    }

    /// Handles the answer to a bounds query: starts the tail, or schedules another query. An outdated answer is ignored.
    pub(super) fn on_bounds(
        &mut self,
        partition: &TopicPartition,
        request_id: RequestId,
        result: Result<Bounds, HistoryError>,
    ) {
        let Some((index, number)) = self.find_partition(partition) else {
            return;
        };
        let TailState::Querying(asked, from) = self.topics[index].partitions[number].state else {
            return;
        };
        if asked != request_id {
            return;
        }
        match result {
            Ok(bounds) => self.start_tail(index, number, from, bounds),
            Err(_) => {
                let partition = &mut self.topics[index].partitions[number];
                partition.state = TailState::Waiting(Instant::now() + partition.backoff.next_delay(), from);
            }
        }
    }

    /// Creates the log that starts here, puts it into the directory, and has the tail read into it.
    fn start_tail(&mut self, index: usize, number: usize, from: TailStart, bounds: Bounds) {
        let next = from.start_offset(bounds);
        let topic = &mut self.topics[index];
        let id = topic.partition(number);
        let partition = &mut topic.partitions[number];
        let log = PartitionLog::with_transform(
            id.clone(),
            partition.tag,
            topic.encoding,
            topic.transform.clone(),
            next,
        );
        log.set_leader_epoch(from.min_epoch(bounds));
        if self.shared.log_append_time_topics.contains(&id.topic) {
            log.set_overlap(self.shared.settings.failover_overlap);
        }
        partition.backoff.reset();
        partition.state = TailState::Reading(Arc::clone(&log));
        let old = self.shared.directory.get(&id.topic, id.partition);
        self.shared.directory.put(Arc::clone(&log));
        if let Some(old) = old {
            self.pool.forget(&old);
            self.report_replacement(&old, &log, bounds);
        }
        if let Some(cell) = self.shared.health_of(&id) {
            cell.start_reading(Instant::now());
        }
        // Without a session, the next one begins with this log.
        if let Some(session) = &self.session {
            session.tail.start(log);
        }
    }

    /// Counts and logs that a log was replaced, with the reason.
    fn report_replacement(&self, old: &PartitionLog, new: &PartitionLog, bounds: Bounds) {
        let at = old.end().offset;
        let reason = match () {
            () if old.tag() != new.tag() => "recreated",
            () if at < bounds.start => "expired",
            () if at > bounds.end => "truncated",
            // Whether the log is another is found out for each client: its position shows which records it has read.
            () => "unproven",
        };
        let labels = ReplacementLabels {
            cluster: self.shared.cluster.to_string(),
            reason: reason.to_owned(),
        };
        self.shared.counters.replacements.get_or_create(&labels).inc();
        tracing::warn!(
            cluster = %self.shared.cluster, partition = %new.partition(), reason, read_up_to = at,
            start = bounds.start, end = bounds.end, next = new.end().offset, log = %new.tag(), "the log was replaced"
        );
    }

    /// Returns the indexes of a partition's topic and of the partition; `None` if it is not known.
    fn find_partition(&self, partition: &TopicPartition) -> Option<(usize, usize)> {
        let index = self.topics.iter().position(|it| it.name == partition.topic)?;
        let number = usize::try_from(partition.partition).ok()?;
        (number < self.topics[index].partitions.len()).then_some((index, number))
    }
}

/// A position that the tail loses twice within this time was lost because of outdated metadata, not because of an event in the
/// log.
const LOST_AGAIN_WITHIN: Duration = Duration::from_secs(5);

/// The time for new readers of history to connect and refresh their metadata.
const RETRY_LOST_AGAIN: Duration = Duration::from_secs(1);
