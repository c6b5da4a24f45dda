//! Ranges of a log that its broker has and nobody can read: a batch with a failed checksum, a header that leads nowhere, a
//! record that does not parse.
//!
//! librdkafka stands still at such a place, often without an error, and does not tell where it ends. What counts is that
//! answers come, the log goes on, and the position does not move. Whoever meets that, the tail or a reader of history,
//! [suspects](DamageTracker::request_search) the place; a thread with a client of its own makes sure and finds the next offset that can be read
//! ([`search`]). The range is then known to all readers of that log, who go around it and tell their clients.
//!
//! Not here: what a client is told (`subscription::part`).

mod probe;
mod search;
mod searcher;

pub(super) use probe::{MAX_OFFSET_GAP, is_damage, is_implausible_offset};
pub(super) use searcher::spawn;

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

/// What is known to be unreadable in the logs of one cluster, and the way to have a place looked at.
#[derive(Default)]
pub(super) struct DamageTracker {
    known: Mutex<HashMap<LogKey, DamagedLog>>,
    /// Whether anything is: nearly always nothing, and then nobody takes the lock.
    any: AtomicBool,
    /// The logs that are being looked at, or wait for it.
    pending: Mutex<HashSet<LogKey>>,
    /// Whether a quota held back an answer to a search.
    throttled: AtomicBool,
    /// Gone before the thread has started, and when the cluster is closed.
    requests: Mutex<Option<mpsc::SyncSender<SearchRequest>>>,
}

/// A log by identity.
type LogKey = usize;

struct DamagedLog {
    /// Keeps the key from becoming another log's.
    log: Weak<PartitionLog>,
    /// Sorted, and apart from each other.
    ranges: Vec<Range<Offset>>,
    /// The broker they were found on. Another one has another disk.
    leader: Option<i32>,
}

/// A place where reading does not go on.
struct SearchRequest {
    log: Arc<PartitionLog>,
    from: Offset,
    /// What librdkafka said, if anything.
    code: Option<RDKafkaErrorCode>,
    reply: OutcomeCallback,
}

/// Who hears what came of a suspicion. It is called once, on the searching thread or at once.
pub(super) type OutcomeCallback = Box<dyn FnOnce(SearchOutcome) + Send>;

/// What came of a suspicion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SearchOutcome {
    /// Nothing of these offsets can be read.
    Unreadable(Range<Offset>),
    /// It can be read, or the brokers did not answer: try again, after a pause.
    Unknown,
}

impl DamageTracker {
    /// Looks at no more places.
    pub(super) fn close(&self) {
        self.requests.lock().take();
    }

    fn is_closed(&self) -> bool {
        self.requests.lock().is_none()
    }

    /// Has a place looked at where reading does not go on. Until there is an answer, more suspicions of the same log are
    /// answered with [`SearchOutcome::Unknown`].
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

    /// Whether a place may wait to be looked at. A broker that is mute is mute for all its partitions, so a mere silence does not
    /// stand in the way of what librdkafka has said is damaged.
    fn admit(&self, log: &Arc<PartitionLog>, is_said: bool) -> bool {
        let mut pending = self.pending.lock();
        (is_said || pending.is_empty()) && pending.insert(key(log))
    }

    /// The unreadable range that `offset` lies in, as far as is known.
    pub(super) fn range_at(&self, log: &Arc<PartitionLog>, offset: Offset) -> Option<Range<Offset>> {
        let any = self.any.load(Ordering::Acquire);
        let known = any.then(|| self.known.lock())?;
        let ranges = &known.get(&key(log))?.ranges;
        ranges.iter().find(|range| range.contains(&offset)).cloned()
    }

    /// The part of `from..to` that a read can have: it begins behind a range that `from` lies in, and ends before the next.
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

    /// Notes a range found on `leader`; what is known around it then, and how many offsets of it are news. Ranges found on
    /// another broker are forgotten.
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

    /// Forgets what was found on a broker that does not lead the partition any more: the next one's disk may be whole.
    pub(super) fn set_leader(&self, log: &Arc<PartitionLog>, leader: Option<i32>) {
        if leader.is_none() || !self.any.load(Ordering::Acquire) {
            return;
        }
        let mut known = self.known.lock();
        if known.get(&key(log)).is_some_and(|known| known.leader != leader) {
            known.remove(&key(log));
        }
    }

    /// Notes that a quota held back an answer to a search: what did not come may be whole.
    pub(super) fn record_throttled(&self) {
        self.throttled.store(true, Ordering::Release);
    }

    fn finish(&self, log: &Arc<PartitionLog>) {
        self.pending.lock().remove(&key(log));
    }
}

/// Adds a range, and joins those that touch it; the range that came of it.
fn merge(ranges: &mut Vec<Range<Offset>>, new: Range<Offset>) -> Range<Offset> {
    let touches = |range: &mut Range<Offset>| range.start <= new.end && new.start <= range.end;
    let touching: Vec<_> = ranges.extract_if(.., touches).collect();
    let start = touching.iter().map(|range| range.start).min();
    let end = touching.iter().map(|range| range.end).max();
    let whole =
        start.map_or(new.start, |start| start.min(new.start))..end.map_or(new.end, |end| end.max(new.end));
    let at = ranges.partition_point(|range| range.start < whole.start);
    ranges.insert(at, whole.clone());
    whole
}

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
