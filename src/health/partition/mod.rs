//! The health of one partition that is read.

mod judge;

use std::{
    ops::Range,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

pub(super) use judge::JudgeContext;

use super::{
    fault::{FaultEvent, FaultSource, FaultTracker},
    fetch_statistics::{FetchStatistics, StableOffset},
    report::{PartitionReport, age},
    state::Verdict,
};

/// The cell of a partition. The tail, the topology and the statistics each write a part of it. A write takes a short lock, once
/// a batch.
#[derive(Debug)]
pub struct PartitionHealth(Mutex<PartitionFacts>);

/// A high watermark that was found by way of another broker's metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OtherWatermark {
    /// The broker whose metadata was used.
    pub via: i32,
    /// The high watermark that the leader in that metadata has told.
    pub high: i64,
}

#[derive(Debug)]
struct PartitionFacts {
    since: Instant,
    leader: Option<i32>,
    leaderless: Option<Instant>,
    reading: bool,
    event: Option<(Instant, i64)>,
    fetched: Option<Instant>,
    /// The newest statistics. Nothing is known before the first.
    fetching: FetchStatistics,
    /// When the high watermark last changed.
    high_since: Instant,
    /// Since when there have been records to read and none was read.
    behind: Option<Instant>,
    elsewhere: Option<(OtherWatermark, Instant)>,
    faults: FaultTracker,
    /// The offsets that could not be read, and were skipped.
    unreadable: Vec<Range<i64>>,
    stable: StableOffset,
    /// Since when the broker has answered without telling a watermark, which is how a leader refuses a fetch.
    refused: Option<Instant>,
    /// How many records were dropped and redacted. `None` if the topic has no rules for it.
    transformed: Option<(u64, u64)>,
}

impl PartitionHealth {
    pub(super) fn new(now: Instant) -> Self {
        Self(Mutex::new(PartitionFacts {
            since: now,
            leader: None,
            leaderless: Some(now),
            reading: false,
            event: None,
            fetched: None,
            fetching: FetchStatistics::default(),
            high_since: now,
            behind: None,
            elsewhere: None,
            faults: FaultTracker::default(),
            unreadable: Vec::new(),
            stable: StableOffset::default(),
            refused: None,
            transformed: None,
        }))
    }

    /// Records that these offsets cannot be read, and were skipped.
    pub fn record_unreadable(&self, range: Range<i64>) {
        let ranges = &mut self.0.lock().unreadable;
        ranges.retain(|known| known.end < range.start || range.end < known.start);
        if ranges.len() < MAX_RANGES {
            ranges.push(range);
        }
    }

    /// Returns for how long there have been records to read and none was read, although the broker answers.
    pub fn stuck_for(&self, now: Instant) -> Option<Duration> {
        let facts = self.0.lock();
        let heard = now.saturating_duration_since(facts.fetched?) < DEADLINE;
        Some(now.saturating_duration_since(facts.behind.filter(|_| heard)?))
    }

    /// Records that records arrived. `timestamp` is that of the newest, in ms since 1970.
    pub fn record_arrival(&self, timestamp: i64, at: Instant) {
        let mut facts = self.0.lock();
        facts.event = Some((at, timestamp));
        facts.fetched = facts.fetched.max(Some(at));
        facts.behind = None;
        facts.succeed(FaultSource::Tail);
    }

    /// Records that this many more records were dropped, and this many redacted.
    pub fn record_transformed(&self, dropped: u64, redacted: u64) {
        let mut facts = self.0.lock();
        let before = facts.transformed.unwrap_or_default();
        facts.transformed = Some((before.0 + dropped, before.1 + redacted));
    }

    /// Records that the tail begins to read the partition.
    pub fn start_reading(&self, at: Instant) {
        let mut facts = self.0.lock();
        facts.reading = true;
        // The log is a new one, and its first fetch has a deadline of its own.
        facts.since = at;
        facts.fetched = None;
        facts.unreadable.clear();
        facts.fetching = FetchStatistics::default();
        facts.high_since = at;
        facts.behind = None;
        facts.elsewhere = None;
        facts.refused = None;
        facts.stable = StableOffset::default();
    }

    /// Records that the tail has lost its position, and that the leader is asked for another.
    pub fn record_position_lost(&self, at: Instant) {
        let mut facts = self.0.lock();
        facts.reading = false;
        facts.since = at;
    }

    /// Records that an attempt failed: the error's name, and the error in words.
    pub fn record_fault(&self, side: FaultSource, name: &str, reason: &str, at: Instant) {
        self.0.lock().faults.fail(side, name, reason, at);
    }

    /// Records that an attempt succeeded.
    pub fn record_success(&self, side: FaultSource) {
        self.0.lock().succeed(side);
    }

    /// Returns the faults that have begun to persist, or ended, since the last call.
    pub fn fault_events(&self, now: Instant) -> Vec<FaultEvent> {
        self.0.lock().faults.fault_events(now)
    }

    /// Records the leader that the topology names.
    pub(super) fn set_leader(&self, leader: Option<i32>, at: Instant) {
        let mut facts = self.0.lock();
        facts.leader = leader;
        facts.leaderless = match leader {
            Some(_) => None,
            None => facts.leaderless.or(Some(at)),
        };
    }

    /// Records the statistics of librdkafka.
    pub fn record_statistics(&self, now: FetchStatistics, at: Instant) {
        let mut facts = self.0.lock();
        if now.heard {
            facts.fetched = facts.fetched.max(Some(at));
        }
        let before = std::mem::replace(&mut facts.fetching, now);
        if before.high != now.high {
            facts.high_since = at;
            facts.elsewhere = None;
        }
        facts.stable.record(now, at);
        let refuses = now.heard && now.high.is_none();
        facts.refused = facts.refused.or(Some(at)).filter(|_| refuses);
        // A leader that refuses fetches tells no watermark. A leader whose records cannot be parsed tells one, and our offset
        // stands still.
        let moves = now.unread() == Some(0) || before.next != now.next;
        let failed = facts.faults.last_failure(FaultSource::Tail);
        let settled = failed.is_some_and(|last| at.saturating_duration_since(last) >= SETTLED);
        if now.heard && now.high.is_some() && moves && settled {
            facts.succeed(FaultSource::Tail);
        }
        let stuck = now.unread().is_some_and(|lag| lag > 0) && before.next == now.next;
        facts.behind = facts.behind.or(Some(at)).filter(|_| stuck);
    }

    /// Returns when the high watermark last changed, its value, and the broker that is fetched from. Returns `None` if unknown.
    pub fn still_since(&self) -> Option<(Instant, i64, Option<i32>)> {
        let facts = self.0.lock();
        Some((facts.high_since, facts.fetching.high?, facts.fetching.broker))
    }

    /// Returns the log start offset, if the broker that is fetched from has answered since `then`.
    pub fn start_told_since(&self, then: Instant) -> Option<i64> {
        let facts = self.0.lock();
        facts.fetched.filter(|at| *at > then)?;
        facts.fetching.start
    }

    /// Records a watermark that was found by way of another broker's metadata.
    pub fn seen_elsewhere(&self, elsewhere: OtherWatermark, at: Instant) {
        let mut facts = self.0.lock();
        let ahead = facts.fetching.high.is_some_and(|high| high < elsewhere.high);
        let first = facts.elsewhere.map_or(at, |(_, first)| first);
        // A broker with stale metadata sees nothing wrong. So a watermark is replaced only by another one ahead of ours.
        if ahead {
            facts.elsewhere = Some((elsewhere, first));
        }
    }

    /// Returns the broker that is fetched from if the partition is stalled: that broker's end of the log stands still, while the
    /// leader that another broker names has a longer log.
    pub fn stalled_at(&self, now: Instant) -> Option<i32> {
        let facts = self.0.lock();
        facts.stalled(now)?;
        facts.fetching.broker
    }

    /// Returns when the last event arrived, and since when events could have arrived.
    pub(super) fn last_event(&self) -> (Option<Instant>, Instant) {
        let facts = self.0.lock();
        (facts.event.map(|(at, _)| at), facts.since)
    }

    pub(super) fn report(
        &self,
        topic: &str,
        partition: i32,
        context: &JudgeContext<'_>,
        now: Instant,
    ) -> PartitionReport {
        let facts = self.0.lock();
        let Verdict { state, reason } = facts.judge(context, now);
        let fetching = facts.fetching;
        let stalled = facts.stalled(now).filter(|_| facts.throttled(context).is_none());
        PartitionReport {
            topic: topic.to_owned(),
            partition,
            state,
            reason,
            error: facts.faults.name(now).map(ToString::to_string),
            leader: facts.leader,
            fetched_from: fetching.broker,
            last_event_age_seconds: age(facts.event.map(|(at, _)| at), now),
            last_event_timestamp: facts.event.map(|(_, timestamp)| timestamp),
            last_fetch_age_seconds: age(facts.fetched, now),
            next_offset: fetching.next,
            high_watermark: fetching.high,
            lag: facts.lag(),
            last_stable_offset: fetching.stable,
            last_stable_offset_age_seconds: facts.stable.age(now).as_millis() as f64 / 1000.0,
            log_start_offset: fetching.start,
            memory_bytes: None,
            dropped_records: facts.transformed.map(|(dropped, _)| dropped),
            redacted_records: facts.transformed.map(|(_, redacted)| redacted),
            stalled: stalled.is_some(),
            stalled_for_seconds: stalled.and_then(|_| age(Some(facts.high_since), now)),
        }
    }
}

impl PartitionFacts {
    fn succeed(&mut self, side: FaultSource) {
        // While the tail could not read, the log moved elsewhere only. That is no stall once it reads again.
        if side == FaultSource::Tail && self.faults.last_failure(side).is_some() {
            self.elsewhere = None;
        }
        self.faults.succeed(side);
    }
}

/// A busy broker that has not answered for this long will not answer: it is twice the time that a request may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// The most ranges that are kept of a partition. A disk with more should be replaced.
const MAX_RANGES: usize = 64;

/// Statistics are up to a second old. Those that come this long after a fault are about fetches that came after it.
const SETTLED: Duration = Duration::from_secs(3);
