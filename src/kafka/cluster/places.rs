//! Where the tail of each partition begins: its place is found, lost, and found again.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{ASK_STARTS_EVERY, Notice, Supervisor, Ticket};
use crate::{
    health,
    kafka::{
        counters::ReplacementLabels,
        topics::{From, RETRY_FIRST, State, Topic},
    },
    partition::{Bounds, HistoryError, PartitionLog, TopicPartition},
};

impl Supervisor {
    pub(super) fn lost(&mut self, log: &Arc<PartitionLog>) {
        let Some((at, number)) = self.find(log.partition()) else {
            return;
        };
        // A notice of a log that is not the current one any more is old news.
        if matches!(&self.topics[at].partitions[number].state, State::Reading(current) if Arc::ptr_eq(current, log))
        {
            self.look();
            let (offset, now) = (log.end().offset, Instant::now());
            let partition = &mut self.topics[at].partitions[number];
            let before = partition.lost.replace((offset, now));
            let again = before.is_some_and(|(at, when)| at == offset && now - when < DISAGREE);
            // Not at once: a place that is lost again and again must not keep us busy.
            let pause = if again { RETRY_LOST_AGAIN } else { RETRY_FIRST };
            partition.state = State::Waiting(now + pause, From::Lost(offset));
            if again {
                // What history told was of no use to the tail: it believes a leader that was cut off, and may for as long as
                // that answers. Others begin with what the brokers say now.
                tracing::warn!(
                    cluster = %self.shared.cluster, partition = %log.partition(), offset,
                    "the tail and the readers of history go by different leaders; these begin anew"
                );
                self.pool.renew();
            }
            if let Some(cell) = self.cell(log.partition()) {
                cell.lost(Instant::now());
            }
        }
    }

    pub(super) fn ask_again(&mut self) {
        let now = Instant::now();
        for at in 0..self.topics.len() {
            for number in 0..self.topics[at].partitions.len() {
                if let State::Waiting(due, from) = self.topics[at].partitions[number].state
                    && due <= now
                {
                    self.ask(at, number, from);
                }
            }
        }
    }

    /// Asks where the logs start of which no fetch has told for a while: those that the tail cannot read, or has not read for lack of a
    /// broker that answers.
    pub(super) fn ask_starts(&mut self, now: Instant) {
        if now < self.ask_starts_at {
            return;
        }
        self.ask_starts_at = now + ASK_STARTS_EVERY;
        for log in self.topics.iter().flat_map(Topic::logs) {
            let then = now.checked_sub(ASK_STARTS_EVERY);
            let cell = self.cell(log.partition());
            if cell
                .zip(then)
                .is_some_and(|(cell, then)| cell.start_told_since(then).is_some())
            {
                continue;
            }
            let (directory, log) = (Arc::clone(&self.shared.directory), Arc::clone(log));
            self.pool.ask_bounds(log.partition().clone(), move |answer| {
                if let Ok(bounds) = answer {
                    directory.set_start(&log, bounds.start);
                }
            });
        }
    }

    pub(super) fn ask(&mut self, at: usize, number: usize, from: From) {
        self.tickets += 1;
        let ticket = self.tickets;
        let topic = &mut self.topics[at];
        topic.partitions[number].state = State::Asked(ticket, from);
        let partition = topic.partition(number);
        let (notices, answered) = (self.notices.clone(), partition.clone());
        self.pool.ask_bounds(partition, move |result| {
            let _ = notices.send(Notice::Bounds(answered, ticket, result));
        });
    }

    pub(super) fn answer(
        &mut self,
        partition: &TopicPartition,
        ticket: Ticket,
        result: Result<Bounds, HistoryError>,
    ) {
        let Some((at, number)) = self.find(partition) else {
            return;
        };
        let State::Asked(asked, from) = self.topics[at].partitions[number].state else {
            return;
        };
        if asked != ticket {
            return;
        }
        match result {
            Ok(bounds) => self.begin(at, number, from, bounds),
            Err(_) => {
                let partition = &mut self.topics[at].partitions[number];
                partition.state = State::Waiting(Instant::now() + partition.backoff.step(), from);
            }
        }
    }

    fn begin(&mut self, at: usize, number: usize, from: From, bounds: Bounds) {
        let next = from.next(bounds);
        let topic = &mut self.topics[at];
        let id = topic.partition(number);
        let partition = &mut topic.partitions[number];
        let log = PartitionLog::new(id.clone(), partition.tag, topic.encoding, next);
        log.set_leader_epoch(from.epoch(bounds));
        if self.shared.clocks.are_brokers(&id.topic) {
            log.set_overlap(self.shared.overlap);
        }
        partition.backoff.reset();
        partition.state = State::Reading(Arc::clone(&log));
        let old = self.shared.directory.get(&id.topic, id.partition);
        self.shared.directory.put(Arc::clone(&log));
        if let Some(old) = old {
            self.pool.forget(&old);
            self.report(&old, &log, bounds);
        }
        if let Some(cell) = self.cell(&id) {
            cell.reading(Instant::now());
        }
        // Without a session the next one begins with it.
        if let Some(session) = &self.session {
            session.tail.start(log);
        }
    }

    fn cell(&self, partition: &TopicPartition) -> Option<Arc<health::Partition>> {
        self.shared
            .health
            .partition(&partition.topic, partition.partition)
    }

    fn report(&self, old: &PartitionLog, new: &PartitionLog, bounds: Bounds) {
        let at = old.end().offset;
        let reason = match () {
            () if old.tag() != new.tag() => "recreated",
            () if at < bounds.start => "expired",
            () if at > bounds.end => "truncated",
            // Whether it is another is found out for each client, whose id tells what it has read.
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

    fn find(&self, partition: &TopicPartition) -> Option<(usize, usize)> {
        let at = self
            .topics
            .iter()
            .position(|topic| topic.name == partition.topic)?;
        let number = usize::try_from(partition.partition).ok()?;
        (number < self.topics[at].partitions.len()).then_some((at, number))
    }
}

/// A place that the tail loses twice within this time was not lost to what happened, but to what we were told.
const DISAGREE: Duration = Duration::from_secs(5);

/// What new readers of history get to connect and learn.
const RETRY_LOST_AGAIN: Duration = Duration::from_secs(1);
