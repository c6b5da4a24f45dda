//! One partition that is read.

mod judge;

use std::{
    ops::Range,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

pub(super) use judge::JudgeContext;

use super::{
    fault::{FaultEvent, FaultSource, FaultTracker},
    fetch_statistics::FetchStatistics,
    report::{PartitionReport, age},
    stable::StableOffset,
    state::Verdict,
};

/// The cell of a partition. The tail, the topology and the statistics write it, each its own part; a write is a short lock
/// once a batch.
#[derive(Debug)]
pub struct PartitionHealth(Mutex<PartitionFacts>);

/// What another broker's view of the cluster leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OtherWatermark {
    /// The broker whose metadata was believed.
    pub via: i32,
    /// The high watermark of whoever that metadata names as leader.
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
    fetching: Option<FetchStatistics>,
    /// Since when the high watermark is what it is.
    high_since: Instant,
    /// Since when there is something to read and nothing is read.
    behind: Option<Instant>,
    elsewhere: Option<(OtherWatermark, Instant)>,
    faults: FaultTracker,
    /// Offsets that could not be read, and were skipped.
    unreadable: Vec<Range<i64>>,
    stable: StableOffset,
    /// Since when its broker answers and tells no watermark, which is how a leader refuses a fetch.
    refused: Option<Instant>,
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
            fetching: None,
            high_since: now,
            behind: None,
            elsewhere: None,
            faults: FaultTracker::default(),
            unreadable: Vec::new(),
            stable: StableOffset::default(),
            refused: None,
        }))
    }

    /// These offsets cannot be read, and were skipped.
    pub fn record_unreadable(&self, range: Range<i64>) {
        let ranges = &mut self.0.lock().unreadable;
        ranges.retain(|known| known.end < range.start || range.end < known.start);
        if ranges.len() < MAX_RANGES {
            ranges.push(range);
        }
    }

    /// For how long there has been something to read, and an answering broker, and nothing was read.
    pub fn stuck_for(&self, now: Instant) -> Option<Duration> {
        let facts = self.0.lock();
        let heard = now.saturating_duration_since(facts.fetched?) < DEADLINE;
        Some(now.saturating_duration_since(facts.behind.filter(|_| heard)?))
    }

    /// Records came in; the newest bears this timestamp, in ms since 1970.
    pub fn record_arrival(&self, timestamp: i64, at: Instant) {
        let mut facts = self.0.lock();
        facts.event = Some((at, timestamp));
        facts.fetched = facts.fetched.max(Some(at));
        facts.behind = None;
        facts.faults.succeed(FaultSource::Tail);
    }

    /// The tail begins to read it.
    pub fn start_reading(&self, at: Instant) {
        let mut facts = self.0.lock();
        facts.reading = true;
        // A new log, and a new deadline for its first fetch.
        facts.since = at;
        facts.fetched = None;
        facts.unreadable.clear();
        facts.forget_watermarks(at);
    }

    /// The tail has lost its place, and the leader is asked for another.
    pub fn record_position_lost(&self, at: Instant) {
        let mut facts = self.0.lock();
        facts.reading = false;
        facts.since = at;
    }

    /// Notes that a try to read it failed: the error's name, and the error in words.
    pub fn record_fault(&self, side: FaultSource, name: &str, reason: &str, at: Instant) {
        self.0.lock().faults.fail(side, name, reason, at);
    }

    /// Notes that a try to read it succeeded.
    pub fn record_success(&self, side: FaultSource) {
        self.0.lock().faults.succeed(side);
    }

    /// Returns the faults that have begun to persist, or ended, since the last call.
    pub fn fault_events(&self, now: Instant) -> Vec<FaultEvent> {
        self.0.lock().faults.fault_events(now)
    }

    /// The topology names this leader.
    pub(super) fn set_leader(&self, leader: Option<i32>, at: Instant) {
        let mut facts = self.0.lock();
        facts.leader = leader;
        facts.leaderless = match leader {
            Some(_) => None,
            None => facts.leaderless.or(Some(at)),
        };
    }

    /// Statistics came.
    pub fn record_statistics(&self, now: FetchStatistics, at: Instant) {
        let mut facts = self.0.lock();
        if now.heard {
            facts.fetched = facts.fetched.max(Some(at));
        }
        let before = facts.fetching.replace(now);
        if before.and_then(|before| before.high) != now.high {
            facts.high_since = at;
            facts.elsewhere = None;
        }
        facts.stable.look(now, at);
        let refuses = now.heard && now.high.is_none();
        facts.refused = facts.refused.or(Some(at)).filter(|_| refuses);
        // A leader that refuses tells no watermark; one whose records cannot be taken apart does, and we stand still.
        let moves = now.unread() == Some(0) || before.and_then(|it| it.next) != now.next;
        let failed = facts.faults.last_failure(FaultSource::Tail);
        let settled = failed.is_some_and(|last| at.saturating_duration_since(last) >= SETTLED);
        if now.heard && now.high.is_some() && moves && settled {
            facts.faults.succeed(FaultSource::Tail);
        }
        let stuck = now.unread().is_some_and(|lag| lag > 0) && before.and_then(|it| it.next) == now.next;
        facts.behind = facts.behind.or(Some(at)).filter(|_| stuck);
    }

    /// Since when its high watermark stands still, what it is, and the broker it is fetched from; `None` while unknown.
    pub fn still_since(&self) -> Option<(Instant, i64, Option<i32>)> {
        let facts = self.0.lock();
        let fetching = facts.fetching?;
        Some((facts.high_since, fetching.high?, fetching.broker))
    }

    /// Returns where its broker said that the log starts, if it has told since then.
    pub fn start_told_since(&self, then: Instant) -> Option<i64> {
        let facts = self.0.lock();
        facts.fetched.filter(|at| *at > then)?;
        facts.fetching?.start
    }

    /// Another broker's metadata was believed, and led to this.
    pub fn seen_elsewhere(&self, elsewhere: OtherWatermark, at: Instant) {
        let mut facts = self.0.lock();
        let ahead = facts
            .fetching
            .and_then(|it| it.high)
            .is_some_and(|high| high < elsewhere.high);
        let first = facts.elsewhere.map_or(at, |(_, first)| first);
        // The one that leads us astray sees nothing wrong, so only news of being behind replaces news of it.
        if ahead {
            facts.elsewhere = Some((elsewhere, first));
        }
    }

    /// Returns the broker that it is fetched from if the partition is stalled: that broker's end of the log stands still, while the leader
    /// that another broker names has a longer log.
    pub fn stalled_at(&self, now: Instant) -> Option<i32> {
        let facts = self.0.lock();
        facts.stalled(now)?;
        facts.fetching?.broker
    }

    /// When an event last came in, and since when it could have.
    pub(super) fn last_event(&self) -> (Option<Instant>, Instant) {
        let facts = self.0.lock();
        (facts.event.map(|(at, _)| at), facts.since)
    }

    pub(super) fn report(
        &self,
        topic: &str,
        partition: i32,
        around: &JudgeContext<'_>,
        now: Instant,
    ) -> PartitionReport {
        let facts = self.0.lock();
        let Verdict { state, reason } = facts.judge(around, now);
        let fetching = facts.fetching;
        let stalled = facts.stalled(now).filter(|_| facts.throttled(around).is_none());
        PartitionReport {
            topic: topic.to_owned(),
            partition,
            state,
            reason,
            error: facts.faults.name(now).map(ToString::to_string),
            leader: facts.leader,
            fetched_from: fetching.and_then(|it| it.broker),
            last_event_age_seconds: age(facts.event.map(|(at, _)| at), now),
            last_event_timestamp: facts.event.map(|(_, timestamp)| timestamp),
            last_fetch_age_seconds: age(facts.fetched, now),
            next_offset: fetching.and_then(|it| it.next),
            high_watermark: fetching.and_then(|it| it.high),
            lag: facts.lag(),
            last_stable_offset: fetching.and_then(|it| it.stable),
            last_stable_offset_age_seconds: facts.stable.age(now).as_millis() as f64 / 1000.0,
            log_start_offset: fetching.and_then(|it| it.start),
            memory_bytes: None,
            stalled: stalled.is_some(),
            stalled_for_seconds: stalled.and_then(|_| age(Some(facts.high_since), now)),
        }
    }
}

impl PartitionFacts {
    fn forget_watermarks(&mut self, at: Instant) {
        self.fetching = None;
        self.high_since = at;
        self.behind = None;
        self.elsewhere = None;
        self.refused = None;
        self.stable = StableOffset::default();
    }
}

/// An answer that a busy broker owes for longer than this it does not give: twice what a request may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// Ranges that are kept of a partition; a disk that has more is to be replaced.
const MAX_RANGES: usize = 64;

/// Statistics that come so long after a fault tell of fetches that came after it: they are up to a second old.
const SETTLED: Duration = Duration::from_secs(3);
