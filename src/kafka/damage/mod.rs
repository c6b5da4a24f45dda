//! Detection of damaged ranges: offsets that a broker has and no client can read, because of a batch with a failed checksum, a
//! header that leads nowhere, or a record that does not parse.
//!
//! librdkafka stops at such an offset, often without an error, and does not report where the range ends. The symptom is that
//! answers arrive and the log goes on, but the position does not move. A tail or history reader that sees this [requests a
//! search](DamageTracker::request_search). A thread with a client of its own confirms the damage and finds the next readable
//! offset ([`search`]). All readers of the log then skip the range and tell their clients.
//!
//! Not here: what a client is told (`subscription::partition_reader`).

mod search;
mod searcher;
mod trial;

pub(super) use searcher::spawn;
pub(super) use trial::{MAX_OFFSET_GAP, is_damage, is_implausible_offset, is_out_of_range};

use std::{
    collections::{HashMap, HashSet},
    ops::Range,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
};

use parking_lot::Mutex;
use rdkafka::types::RDKafkaErrorCode;

use crate::{partition::PartitionLog, position::Offset};

/// The known damaged ranges of one cluster's logs, and the queue of searches.
#[derive(Default)]
pub(super) struct DamageTracker {
    known: Mutex<HashMap<LogKey, DamagedLog>>,
    /// Whether any range is known. Nearly always none is, and then no reader takes the lock.
    any: AtomicBool,
    /// The logs that are being searched, or wait for it.
    pending: Mutex<HashSet<LogKey>>,
    /// Whether a quota held back an answer during the search.
    throttled: AtomicBool,
    /// `None` before the search thread has started, and once the cluster is closed.
    requests: Mutex<Option<mpsc::SyncSender<SearchRequest>>>,
}

/// The identity of a log.
type LogKey = usize;

/// The damaged ranges of one log.
struct DamagedLog {
    /// Keeps the address, and so the key, from being reused for another log.
    log: Weak<PartitionLog>,
    /// Sorted and disjoint.
    ranges: Vec<Range<Offset>>,
    /// The broker on which the ranges were found. Another broker has another disk.
    leader: Option<i32>,
}

/// A request to search from an offset at which reading does not go on.
struct SearchRequest {
    log: Arc<PartitionLog>,
    from: Offset,
    /// The error that librdkafka reported, if any.
    code: Option<RDKafkaErrorCode>,
    reply: OutcomeCallback,
}

/// Receives the outcome of a search. Called once, on the search thread or immediately.
pub(super) type OutcomeCallback = Box<dyn FnOnce(SearchOutcome) + Send>;

/// Outcome of a search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SearchOutcome {
    /// No offset in this range can be read.
    Unreadable(Range<Offset>),
    /// The offset can be read, or the brokers did not answer. Retry after a pause.
    Unknown,
}

impl DamageTracker {
    /// Ends the search thread.
    pub(super) fn close(&self) {
        self.requests.lock().take();
    }

    fn is_closed(&self) -> bool {
        self.requests.lock().is_none()
    }

    /// Requests a search from an offset at which reading does not go on. Until it is answered, further requests for the same log
    /// get [`SearchOutcome::Unknown`].
    pub(super) fn request_search(
        &self,
        log: &Arc<PartitionLog>,
        from: Offset,
        code: Option<RDKafkaErrorCode>,
        reply: OutcomeCallback,
    ) {
        let requests = self.requests.lock();
        let Some(requests) = &*requests else {
            return reply(SearchOutcome::Unknown);
        };
        if !self.admit(log, code.is_some()) {
            return reply(SearchOutcome::Unknown);
        }
        let request = SearchRequest {
            log: Arc::clone(log),
            from,
            code,
            reply,
        };
        if let Err(mpsc::TrySendError::Full(request) | mpsc::TrySendError::Disconnected(request)) =
            requests.try_send(request)
        {
            self.pending.lock().remove(&key(log));
            (request.reply)(SearchOutcome::Unknown);
        }
    }

    /// Returns whether a search may be queued. A broker that does not answer affects all its partitions, so searches after a mere
    /// timeout must not delay searches for damage that librdkafka has reported.
    fn admit(&self, log: &Arc<PartitionLog>, is_reported: bool) -> bool {
        let mut pending = self.pending.lock();
        (is_reported || pending.is_empty()) && pending.insert(key(log))
    }

    /// Returns the known damaged range that contains `offset`.
    pub(super) fn range_at(&self, log: &Arc<PartitionLog>, offset: Offset) -> Option<Range<Offset>> {
        let any = self.any.load(Ordering::Acquire);
        let known = any.then(|| self.known.lock())?;
        let ranges = &known.get(&key(log))?.ranges;
        ranges.iter().find(|range| range.contains(&offset)).cloned()
    }

    /// Returns the part of `from..to` that can be read: it starts behind the range that contains `from`, and ends before the next
    /// one.
    pub(super) fn clip(&self, log: &Arc<PartitionLog>, (from, to): (Offset, Offset)) -> (Offset, Offset) {
        if !self.any.load(Ordering::Acquire) {
            return (from, to);
        }
        let known = self.known.lock();
        let Some(known) = known.get(&key(log)) else {
            return (from, to);
        };
        let inside = known.ranges.iter().find(|range| range.contains(&from));
        let from = inside.map_or(from, |range| range.end);
        let next = known.ranges.iter().find(|range| range.start >= from);
        (from, next.map_or(to, |range| to.min(range.start)))
    }

    /// Adds a range found on `leader`. Returns the known range around it, and how many of its offsets are new. Drops ranges found
    /// on another broker.
    fn insert(
        &self,
        log: &Arc<PartitionLog>,
        range: Range<Offset>,
        leader: Option<i32>,
    ) -> (Range<Offset>, Offset) {
        let mut logs = self.known.lock();
        logs.retain(|_, known| known.log.upgrade().is_some_and(|log| !log.is_replaced()));
        let known = logs.entry(key(log)).or_insert_with(|| DamagedLog {
            log: Arc::downgrade(log),
            ranges: Vec::new(),
            leader,
        });
        if known.leader != leader {
            known.leader = leader;
            known.ranges.clear();
        }
        let before = total(&known.ranges);
        let whole = merge(&mut known.ranges, range);
        self.any.store(true, Ordering::Release);
        (whole, total(&known.ranges) - before)
    }

    /// Drops ranges that were found on a broker other than `leader`: the new leader's disk may be intact.
    pub(super) fn set_leader(&self, log: &Arc<PartitionLog>, leader: Option<i32>) {
        if leader.is_none() || !self.any.load(Ordering::Acquire) {
            return;
        }
        let mut known = self.known.lock();
        if known.get(&key(log)).is_some_and(|known| known.leader != leader) {
            known.remove(&key(log));
        }
    }

    /// Records that a quota held back an answer during a search: records that did not arrive may be intact.
    pub(super) fn record_throttled(&self) {
        self.throttled.store(true, Ordering::Release);
    }

    /// Allows further searches of a log.
    fn finish(&self, log: &Arc<PartitionLog>) {
        self.pending.lock().remove(&key(log));
    }
}

/// Adds a range, and joins it with those that it touches. Returns the joined range.
fn merge(ranges: &mut Vec<Range<Offset>>, new: Range<Offset>) -> Range<Offset> {
    let touches = |range: &mut Range<Offset>| range.start <= new.end && new.start <= range.end;
    let touching = ranges.extract_if(.., touches);
    let whole = touching.fold(new.clone(), |a, b| a.start.min(b.start)..a.end.max(b.end));
    let at = ranges.partition_point(|range| range.start < whole.start);
    ranges.insert(at, whole.clone());
    whole
}

/// Returns the number of offsets in the ranges.
fn total(ranges: &[Range<Offset>]) -> Offset {
    ranges.iter().map(|range| range.end - range.start).sum()
}

fn key(log: &Arc<PartitionLog>) -> LogKey {
    Arc::as_ptr(log).addr()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{event::Encoding, partition::TopicPartition, position::LogTag};

    fn log() -> Arc<PartitionLog> {
        let partition = TopicPartition {
            topic: "t".into(),
            partition: 0,
        };
        PartitionLog::new(partition, LogTag::from_bits(1, 1), Encoding::default(), 0)
    }

    #[test]
    fn readers_go_around_what_is_known() {
        let (damage, log, other) = (DamageTracker::default(), log(), log());
        assert_eq!(damage.clip(&log, (0, 1024)), (0, 1024));
        assert_eq!(damage.insert(&log, 100..200, Some(1)), (100..200, 100));
        assert_eq!(damage.insert(&log, 500..600, Some(1)), (500..600, 100));
        assert_eq!(damage.range_at(&log, 99), None);
        assert_eq!(damage.range_at(&log, 100), Some(100..200));
        assert_eq!(damage.range_at(&log, 200), None);
        assert_eq!(damage.range_at(&other, 100), None);
        assert_eq!(damage.clip(&log, (0, 1024)), (0, 100));
        assert_eq!(damage.clip(&log, (150, 1024)), (200, 500));
        assert_eq!(damage.clip(&log, (600, 1024)), (600, 1024));
    }

    #[test]
    fn ranges_that_touch_are_one() {
        let (damage, log) = (DamageTracker::default(), log());
        damage.insert(&log, 100..200, None);
        damage.insert(&log, 300..400, None);
        assert_eq!(damage.insert(&log, 200..300, None), (100..400, 100));
        assert_eq!(damage.insert(&log, 50..150, None), (50..400, 50));
        assert_eq!(damage.range_at(&log, 399), Some(50..400));
    }

    #[test]
    fn another_leader_has_another_disk() {
        let (damage, log) = (DamageTracker::default(), log());
        damage.insert(&log, 100..200, Some(1));
        damage.set_leader(&log, Some(1));
        damage.set_leader(&log, None);
        assert_eq!(damage.range_at(&log, 100), Some(100..200));
        damage.set_leader(&log, Some(2));
        assert_eq!(damage.range_at(&log, 100), None);
        damage.insert(&log, 100..200, Some(1));
        assert_eq!(damage.insert(&log, 300..400, Some(2)), (300..400, 100));
        assert_eq!(damage.range_at(&log, 100), None);
    }

    #[test]
    fn a_closed_cluster_looks_at_nothing_and_keeps_nobody_waiting() {
        let (damage, log) = (DamageTracker::default(), log());
        let (sender, receiver) = mpsc::channel();
        let reply = Box::new(move |outcome| assert_eq!(sender.send(outcome), Ok(())));
        damage.request_search(&log, 0, None, reply);
        assert_eq!(receiver.try_recv(), Ok(SearchOutcome::Unknown));
    }
}
