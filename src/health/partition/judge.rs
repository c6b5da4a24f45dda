//! The verdict on one partition, from its facts and those of its brokers.

use std::time::{Duration, Instant};

use super::{DEADLINE, OtherWatermark, PartitionFacts};
use crate::health::{
    fault::{FaultSource, PERSISTENT},
    state::{Verdict, seconds},
};

/// The facts from outside a partition that its verdict needs.
pub(in crate::health) struct JudgeContext<'a> {
    /// Returns how a sentence names a broker.
    pub(in crate::health) naming: &'a BrokerNaming<'a>,
    /// Returns whether a broker has answered lately.
    pub(in crate::health) answers: &'a dyn Fn(i32) -> bool,
    /// Returns how long a broker makes us wait because of a quota, if it has lately.
    pub(in crate::health) throttles: &'a dyn Fn(i32) -> Option<Duration>,
    /// For how long a transaction may be open. `None` for any time.
    pub(in crate::health) transaction_patience: Option<Duration>,
}

/// A function from a broker's id to its name in a sentence.
pub(in crate::health) type BrokerNaming<'a> = dyn Fn(i32) -> String + 'a;

impl PartitionFacts {
    /// Returns the other watermark if the log moves there while it stands still here. Our statistics get the time to catch up
    /// first. While the tail meets an error, it is this that keeps the watermark where it is: the tail may have stopped fetching.
    pub(super) fn stalled(&self, now: Instant) -> Option<OtherWatermark> {
        if self.faults.last_failure(FaultSource::Tail).is_some() {
            return None;
        }
        let (elsewhere, at) = self.elsewhere?;
        let confirmed = now.saturating_duration_since(at) >= CONFIRM && self.high_since <= at;
        (confirmed && self.fetching.high? < elsewhere.high).then_some(elsewhere)
    }

    pub(super) fn judge(&self, context: &JudgeContext<'_>, now: Instant) -> Verdict {
        let naming = context.naming;
        self.no_leader(now)
            .or_else(|| self.faults.judge(FaultSource::Bounds, now))
            .or_else(|| self.bounds_unknown(naming, now))
            .or_else(|| self.starved(context, now))
            .or_else(|| self.stall(naming, now))
            .or_else(|| self.faults.judge(FaultSource::Tail, now))
            .or_else(|| self.unfetched(context, now))
            .or_else(|| self.refused(naming, now))
            .or_else(|| self.stuck(context, now))
            .or_else(|| self.history(context, now))
            .or_else(|| self.skipped())
            .or_else(|| {
                let patience = context.transaction_patience;
                self.stable.judge(self.fetching.high, patience, now)
            })
            .unwrap_or_else(|| self.healthy(now))
    }

    fn no_leader(&self, now: Instant) -> Option<Verdict> {
        let age = now.saturating_duration_since(self.leaderless?);
        Some(match self.reading || age >= DEADLINE {
            true if age < ELECTION => return None,
            true => Verdict::failing(format!(
                "it has had no leader for {}: its replicas are down, not in sync, or on an offline disk",
                seconds(age)
            )),
            false => Verdict::starting(age, "it has no leader yet"),
        })
    }

    fn bounds_unknown(&self, naming: &BrokerNaming<'_>, now: Instant) -> Option<Verdict> {
        if self.reading {
            return None;
        }
        let age = now.saturating_duration_since(self.since);
        let leader = self.leader.map(naming).unwrap_or_default();
        let what = format!("its leader, {leader}, has not reported the start and end of the log");
        Some(match age < DEADLINE {
            true => Verdict::starting(age, what),
            false => Verdict::failing(format!("{what}, for {}", seconds(age))),
        })
    }

    fn stall(&self, naming: &BrokerNaming<'_>, now: Instant) -> Option<Verdict> {
        let elsewhere = self.stalled(now)?;
        let broker = self.fetching.broker;
        Some(Verdict::failing(format!(
            "stalled: {} has reported for {} that the log ends at {}; the leader that {} names reports {}",
            broker.map_or_else(|| "no broker".to_owned(), naming),
            seconds(now.saturating_duration_since(self.high_since)),
            self.fetching.high?,
            naming(elsewhere.via),
            elsewhere.high,
        )))
    }

    fn unfetched(&self, context: &JudgeContext<'_>, now: Instant) -> Option<Verdict> {
        let age = now.saturating_duration_since(self.fetched.unwrap_or(self.since));
        let broker = self.fetching.broker.or(self.leader);
        let answers = broker.is_some_and(context.answers);
        let broker = broker.map_or_else(|| "no broker".to_owned(), context.naming);
        if age < DEADLINE {
            let first = || Verdict::starting(age, format!("waiting for the first fetch from {broker}"));
            return self.fetched.is_none().then(first);
        }
        let (age, quota) = (seconds(age), self.throttling(context));
        Some(Verdict::failing(match answers {
            true => {
                format!("nothing was fetched for {age}, although {broker} answers other requests{quota}")
            }
            false => format!("nothing was fetched for {age}: {broker} does not answer"),
        }))
    }

    /// Returns the verdict on a leader that refuses every fetch. librdkafka does not report some errors and only tries again: for
    /// example, if the leader does not know the epoch, or is no longer the leader although metadata says so.
    fn refused(&self, naming: &BrokerNaming<'_>, now: Instant) -> Option<Verdict> {
        let age = now.saturating_duration_since(self.refused?);
        let broker = self.fetching.broker;
        let broker = broker.map_or_else(|| "its broker".to_owned(), naming);
        (self.reading && age >= PERSISTENT).then(|| {
            let age = seconds(age);
            Verdict::failing(format!("{broker} answers, and has refused each fetch for {age}"))
        })
    }

    fn stuck(&self, context: &JudgeContext<'_>, now: Instant) -> Option<Verdict> {
        let age = now.saturating_duration_since(self.behind?);
        let unread = self.fetching.unread()?;
        (age >= DEADLINE).then(|| self.none_read(unread, age, context))
    }

    /// Returns the verdict on the faults that readers of history have met.
    fn history(&self, context: &JudgeContext<'_>, now: Instant) -> Option<Verdict> {
        let Verdict { state, reason } = self.faults.judge(FaultSource::History, now)?;
        Some(Verdict::new(state, reason + &self.throttling(context)))
    }

    /// Returns the verdict on a quota so small that no fetch is answered at all. Then even the high watermark stands still, and
    /// only clients that ask without fetching learn that there is more.
    fn starved(&self, context: &JudgeContext<'_>, now: Instant) -> Option<Verdict> {
        self.stalled(now).and(self.throttled(context))?;
        let age = now.saturating_duration_since(self.high_since);
        Some(self.none_read(self.lag()?, age, context))
    }

    /// Returns the verdict on records that wait while none has been read for this long.
    fn none_read(&self, waiting: i64, age: Duration, context: &JudgeContext<'_>) -> Verdict {
        let (age, quota) = (seconds(age), self.throttling(context));
        Verdict::failing(format!(
            "{waiting} records wait, and none was read for {age}{quota}"
        ))
    }

    /// Returns how many offsets lie between the next one to read and the end of the log, by the highest watermark that is known.
    pub(super) fn lag(&self) -> Option<i64> {
        let lag = self.fetching.lag()?;
        let elsewhere = self.elsewhere.map_or(0, |(elsewhere, _)| elsewhere.high);
        Some(lag.max(elsewhere - self.fetching.next?))
    }

    /// Returns the broker that is fetched from, and how long it makes us wait, if it has lately.
    pub(super) fn throttled(&self, context: &JudgeContext<'_>) -> Option<(i32, Duration)> {
        let broker = self.fetching.broker.or(self.leader)?;
        Some((broker, (context.throttles)(broker)?))
    }

    /// Returns the end of a sentence that names throttling as a possible cause. Returns an empty string without throttling.
    fn throttling(&self, context: &JudgeContext<'_>) -> String {
        let Some((broker, pause)) = self.throttled(context) else {
            return String::new();
        };
        let broker = (context.naming)(broker);
        format!(
            ": {broker} throttles riverhead, by up to {} per answer",
            seconds(pause)
        )
    }

    /// Returns the verdict on offsets that could not be read and are not yet below the log start offset.
    fn skipped(&self) -> Option<Verdict> {
        let start = self.fetching.start.unwrap_or(0);
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

    fn healthy(&self, now: Instant) -> Verdict {
        Verdict::ok(match self.event {
            Some((at, _)) => format!(
                "read; the last event came {} ago",
                seconds(now.saturating_duration_since(at))
            ),
            None => "read; no event has come yet".to_owned(),
        })
    }
}

/// Elections take one or two seconds, and come with every restart of a broker.
const ELECTION: Duration = Duration::from_secs(5);

/// Within this time a watermark that moved elsewhere has moved here too, statistics included, unless it never will.
const CONFIRM: Duration = Duration::from_secs(5);

/// The most ranges in a sentence. A longer one is not read.
const MAX_NAMED: usize = 5;
