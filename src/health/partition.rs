//! One partition that is read.

use std::{
    ops::Range,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::{
    fault::{FaultEvent, FaultSource, FaultTracker, PERSISTENT},
    report::{PartitionReport, age},
    stable::StableOffset,
    state::{Verdict, seconds},
};

/// The cell of a partition. The tail, the topology and the statistics write it, each its own part; a write is a short lock
/// once a batch.
#[derive(Debug)]
pub struct PartitionHealth(Mutex<PartitionFacts>);

/// What librdkafka's statistics tell of a partition that the tail reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchStatistics {
    /// The broker that is asked; `None` while there is none.
    pub broker: Option<i32>,
    /// Whether that broker has answered anything since the last statistics.
    pub heard: bool,
    /// The offset that is asked for next.
    pub next: Option<i64>,
    /// The high watermark that the broker told last.
    pub high: Option<i64>,
    /// The last stable offset, up to which we read.
    pub stable: Option<i64>,
    /// The log start offset.
    pub start: Option<i64>,
}

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

/// What a partition is judged by besides its own facts.
pub(super) struct JudgeContext<'a> {
    /// How a sentence names a broker.
    pub(super) naming: &'a BrokerNaming<'a>,
    /// Whether a broker has answered lately.
    pub(super) answers: &'a dyn Fn(i32) -> bool,
    /// How long a broker makes us wait for the sake of a quota, if it has lately.
    pub(super) throttles: &'a dyn Fn(i32) -> Option<Duration>,
    /// For how long a transaction may be open; `None` for as long as it likes.
    pub(super) transaction_patience: Option<Duration>,
}

/// How a sentence names a broker.
pub(super) type BrokerNaming<'a> = dyn Fn(i32) -> String + 'a;

impl PartitionFacts {
    fn forget_watermarks(&mut self, at: Instant) {
        self.fetching = None;
        self.high_since = at;
        self.behind = None;
        self.elsewhere = None;
        self.refused = None;
        self.stable = StableOffset::default();
    }

    /// What moves elsewhere while we stand still, once our statistics had the time to catch up with it.
    fn stalled(&self, now: Instant) -> Option<OtherWatermark> {
        let (elsewhere, at) = self.elsewhere?;
        let confirmed = now.saturating_duration_since(at) >= CONFIRM && self.high_since <= at;
        (confirmed && self.fetching?.high? < elsewhere.high).then_some(elsewhere)
    }

    fn judge(&self, around: &JudgeContext<'_>, now: Instant) -> Verdict {
        let naming = around.naming;
        self.unled(now)
            .or_else(|| self.faults.judge(FaultSource::Bounds, now))
            .or_else(|| self.unread(naming, now))
            .or_else(|| self.starved(around, now))
            .or_else(|| self.stall(naming, now))
            .or_else(|| self.faults.judge(FaultSource::Tail, now))
            .or_else(|| self.unfetched(around, now))
            .or_else(|| self.refused(naming, now))
            .or_else(|| self.stuck(around, now))
            .or_else(|| self.history(around, now))
            .or_else(|| self.damaged())
            .or_else(|| {
                let high = self.fetching.and_then(|it| it.high);
                self.stable.judge(high, around.transaction_patience, now)
            })
            .unwrap_or_else(|| self.fine(now))
    }

    fn unled(&self, now: Instant) -> Option<Verdict> {
        let age = now.saturating_duration_since(self.leaderless?);
        Some(match self.reading || age >= DEADLINE {
            true if age < ELECTION => return None,
            true => Verdict::failing(format!(
                "no broker leads it, for {}: its replicas are down, not in sync, or on a disk that is offline",
                seconds(age)
            )),
            false => Verdict::starting(age, "no broker leads it yet"),
        })
    }

    fn unread(&self, naming: &BrokerNaming<'_>, now: Instant) -> Option<Verdict> {
        if self.reading {
            return None;
        }
        let age = now.saturating_duration_since(self.since);
        let leader = self.leader.map(naming).unwrap_or_default();
        let what = format!("its leader, {leader}, has not told where the log begins and ends");
        Some(match age < DEADLINE {
            true => Verdict::starting(age, what),
            false => Verdict::failing(format!("{what}, for {}", seconds(age))),
        })
    }

    fn stall(&self, naming: &BrokerNaming<'_>, now: Instant) -> Option<Verdict> {
        let elsewhere = self.stalled(now)?;
        let fetching = self.fetching?;
        Some(Verdict::failing(format!(
            "stalled: {} says for {} that the log ends at {}; whom {} names as leader says {}",
            fetching.broker.map_or_else(|| "nobody".to_owned(), naming),
            seconds(now.saturating_duration_since(self.high_since)),
            fetching.high?,
            naming(elsewhere.via),
            elsewhere.high,
        )))
    }

    fn unfetched(&self, around: &JudgeContext<'_>, now: Instant) -> Option<Verdict> {
        let age = now.saturating_duration_since(self.fetched.unwrap_or(self.since));
        let broker = self.fetching.and_then(|it| it.broker).or(self.leader);
        let answers = broker.is_some_and(around.answers);
        let broker = broker.map_or_else(|| "no broker".to_owned(), around.naming);
        match self.fetched {
            _ if age < DEADLINE && self.fetched.is_some() => None,
            None if age < DEADLINE => Some(Verdict::starting(age, format!("the first fetch from {broker}"))),
            _ if answers => Some(Verdict::failing(format!(
                "nothing was fetched for {}, although {broker} answers other questions{}",
                seconds(age),
                self.throttling(around)
            ))),
            _ => Some(Verdict::failing(format!(
                "nothing was fetched for {}: {broker} does not answer",
                seconds(age)
            ))),
        }
    }

    /// Some errors librdkafka keeps to itself and tries again: such as that the leader knows no such epoch, or that it leads no
    /// more although metadata says so.
    fn refused(&self, naming: &BrokerNaming<'_>, now: Instant) -> Option<Verdict> {
        let age = now.saturating_duration_since(self.refused?);
        let broker = self
            .fetching?
            .broker
            .map_or_else(|| "its broker".to_owned(), naming);
        (self.reading && age >= PERSISTENT).then(|| {
            Verdict::failing(format!(
                "{broker} answers, and has refused each fetch for {}",
                seconds(age)
            ))
        })
    }

    fn stuck(&self, around: &JudgeContext<'_>, now: Instant) -> Option<Verdict> {
        let age = now.saturating_duration_since(self.behind?);
        let unread = self.fetching?.unread()?;
        (age >= DEADLINE).then(|| {
            Verdict::failing(format!(
                "{unread} records wait, and none was read for {}{}",
                seconds(age),
                self.throttling(around)
            ))
        })
    }

    /// Returns what those who read history have met.
    fn history(&self, around: &JudgeContext<'_>, now: Instant) -> Option<Verdict> {
        let Verdict { state, reason } = self.faults.judge(FaultSource::History, now)?;
        Some(Verdict::new(state, reason + &self.throttling(around)))
    }

    /// A quota may be so small that no fetch is answered at all: then even the high watermark stands still, and only those who ask
    /// without fetching learn that there is more.
    fn starved(&self, around: &JudgeContext<'_>, now: Instant) -> Option<Verdict> {
        self.stalled(now).and(self.throttled(around))?;
        Some(Verdict::failing(format!(
            "{} records wait, and none was read for {}{}",
            self.lag()?,
            seconds(now.saturating_duration_since(self.high_since)),
            self.throttling(around)
        )))
    }

    /// Returns how many offsets lie between what was read and the end of the log, as far as anybody has told.
    fn lag(&self) -> Option<i64> {
        let lag = self.fetching?.lag()?;
        let elsewhere = self.elsewhere.map_or(0, |(elsewhere, _)| elsewhere.high);
        Some(lag.max(elsewhere - self.fetching?.next?))
    }

    /// Returns the broker that is fetched from and how long it makes us wait, if it has lately.
    fn throttled(&self, around: &JudgeContext<'_>) -> Option<(i32, Duration)> {
        let broker = self.fetching.and_then(|it| it.broker).or(self.leader)?;
        Some((broker, (around.throttles)(broker)?))
    }

    /// Returns the end of a sentence, if a quota may be behind what it says.
    fn throttling(&self, around: &JudgeContext<'_>) -> String {
        self.throttled(around)
            .map_or_else(String::new, |(broker, pause)| {
                let broker = (around.naming)(broker);
                format!(": {broker} throttles us, up to {} an answer", seconds(pause))
            })
    }

    /// What could not be read, until it is below the log's start.
    fn damaged(&self) -> Option<Verdict> {
        let start = self.fetching.and_then(|it| it.start).unwrap_or(0);
        let ranges = self.unreadable.iter().filter(|range| range.end > start);
        let mut named: Vec<_> = ranges
            .map(|range| format!("{} to {}", range.start, range.end - 1))
            .collect();
        let more = named.len().saturating_sub(MAX_NAMED);
        named.truncate(MAX_NAMED);
        if more > 0 {
            named.push(format!("{more} more ranges"));
        }
        (!named.is_empty()).then(|| {
            Verdict::degraded(format!(
                "the broker has offsets {} and they cannot be read: clients are told of a gap",
                named.join(", ")
            ))
        })
    }

    fn fine(&self, now: Instant) -> Verdict {
        Verdict::ok(match self.event {
            Some((at, _)) => format!(
                "read; the last event came {} ago",
                seconds(now.saturating_duration_since(at))
            ),
            None => "read; no event has come yet".to_owned(),
        })
    }
}

impl FetchStatistics {
    /// Returns how many offsets lie between what was read and the end of the log.
    pub fn lag(&self) -> Option<i64> {
        Some((self.high? - self.next?).max(0))
    }

    /// Returns how many offsets wait to be read, which is less than the lag while a transaction is open.
    pub fn unread(&self) -> Option<i64> {
        Some((self.stable.or(self.high)? - self.next?).max(0))
    }
}

/// An answer that a busy broker owes for longer than this it does not give: twice what a request may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// Ranges that are kept of a partition; a disk that has more is to be replaced.
const MAX_RANGES: usize = 64;

/// A sentence that names more is not read.
const MAX_NAMED: usize = 5;

/// Elections take one or two seconds, and come with every restart of a broker.
const ELECTION: Duration = Duration::from_secs(5);

/// Statistics that come so long after a fault tell of fetches that came after it: they are up to a second old.
const SETTLED: Duration = Duration::from_secs(3);

/// What moved elsewhere has moved here too within this long, statistics included, unless we are not going to see it.
const CONFIRM: Duration = Duration::from_secs(5);
