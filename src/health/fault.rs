//! Faults that the readers of a partition meet, and the time after which they count.
//!
//! A single fault does not count: elections and restarts of brokers cause some, and the next attempt succeeds. A fault that
//! outlives [`PERSISTENT`] of attempts makes its partition failing, under the error's own name, until an attempt succeeds.
//!
//! The error may change meanwhile, as when the rights come back and a batch is damaged. The verdict names the last error, and counts
//! from the first one: nothing could be read since then. The log reports the end of the first error and the begin of the next one
//! when the next one alone has persisted, so that errors that alternate do not fill it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::state::{Verdict, seconds};

named! {
    /// The reader of a partition that met a fault. Its name says what the fault means.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum FaultSource {
        /// The tail, which reads at the log's end all the time.
        Tail = "cannot be read",
        /// The readers of history, which read on demand.
        History = "its history cannot be read",
        /// The requests to the leader for the log's first and last offset.
        Bounds = "its leader does not report the start and end of the log",
        /// The requests for the metadata of the topic.
        Topology = "the cluster does not describe its topic",
    }
}

/// A fault that has begun to count, or has ended. Each is one line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FaultEvent {
    /// The fault has persisted.
    Begun {
        /// The reader that met it.
        side: FaultSource,
        /// The error's name, such as `TOPIC_AUTHORIZATION_FAILED`.
        name: Arc<str>,
        /// The error in words.
        reason: String,
        /// How long ago the fault was first met. If another error preceded it and was logged, how long ago this one replaced it.
        lasts: Duration,
    },
    /// An attempt has succeeded, or no attempts are made any more, or another error has taken its place.
    Ended {
        /// The reader that had met it.
        side: FaultSource,
        /// The error's name.
        name: Arc<str>,
    },
}

/// The fault of each reader, until an attempt succeeds.
#[derive(Debug, Default)]
pub(super) struct FaultTracker([FaultRecord; FaultSource::ALL.len()]);

#[derive(Debug, Default)]
struct FaultRecord {
    current: Option<OngoingFault>,
    /// The name under which a fault was reported, until its end is reported too.
    reported: Option<Arc<str>>,
}

#[derive(Debug)]
struct OngoingFault {
    name: Arc<str>,
    reason: String,
    /// When attempts began to fail, with whatever error.
    since: Instant,
    /// When attempts began to fail with this error.
    renamed: Instant,
    last: Instant,
}

impl FaultTracker {
    /// Records that an attempt failed.
    pub(super) fn fail(&mut self, side: FaultSource, name: &str, reason: &str, at: Instant) {
        let current = &mut self.0[side as usize].current;
        let (since, renamed) = match current {
            Some(fault) if fault.is_forgotten(side, at) => (at, at),
            Some(fault) if *fault.name == *name => (fault.since, fault.renamed),
            Some(fault) => (fault.since, at),
            None => (at, at),
        };
        *current = Some(OngoingFault {
            name: name.into(),
            reason: reason.into(),
            since,
            renamed,
            last: at,
        });
    }

    /// Records that an attempt succeeded.
    pub(super) fn succeed(&mut self, side: FaultSource) {
        self.0[side as usize].current = None;
    }

    /// Returns when this reader last failed. Returns `None` if it has succeeded since.
    pub(super) fn last_failure(&self, side: FaultSource) -> Option<Instant> {
        self.0[side as usize].current.as_ref().map(|it| it.last)
    }

    /// Returns the verdict on the fault of one reader, if it persists.
    pub(super) fn judge(&self, side: FaultSource, now: Instant) -> Option<Verdict> {
        let fault = self.0[side as usize].persistent(side, now)?;
        let (what, lasts) = (side.name(), seconds(now.saturating_duration_since(fault.since)));
        Some(Verdict::failing(match side {
            // The reason is about the topic, and explains the error.
            FaultSource::Topology => format!("{}, for {lasts}: {}", fault.reason, fault.name),
            _ if fault.reason.is_empty() => format!("{what}, for {lasts}: {}", fault.name),
            _ => format!("{what}, for {lasts}: {}: {}", fault.name, fault.reason),
        }))
    }

    /// Returns the name of the first fault that persists.
    pub(super) fn name(&self, now: Instant) -> Option<&Arc<str>> {
        let mut records = FaultSource::ALL.into_iter().zip(&self.0);
        let fault = records.find_map(|(side, record)| record.persistent(side, now));
        fault.map(|fault| &fault.name)
    }

    /// Returns the begin and the end of each fault once.
    pub(super) fn fault_events(&mut self, now: Instant) -> Vec<FaultEvent> {
        let records = FaultSource::ALL.into_iter().zip(&mut self.0);
        let events = records.flat_map(|(side, record)| record.fault_events(side, now));
        events.collect()
    }
}

impl FaultRecord {
    fn persistent(&self, side: FaultSource, now: Instant) -> Option<&OngoingFault> {
        self.current.as_ref().filter(|fault| fault.persists(side, now))
    }

    fn fault_events(&mut self, side: FaultSource, now: Instant) -> Vec<FaultEvent> {
        let begun = match (self.persistent(side, now), &self.reported) {
            (Some(fault), None) => Some(fault.begun(side, fault.since, now)),
            (Some(fault), Some(name)) if fault.has_replaced(name, side, now) => {
                Some(fault.begun(side, fault.renamed, now))
            }
            (Some(_), Some(_)) => return Vec::new(),
            (None, _) => None,
        };
        let name = begun.as_ref().map(FaultEvent::name).cloned();
        let before = std::mem::replace(&mut self.reported, name);
        let ended = before.map(|name| FaultEvent::Ended { side, name });
        ended.into_iter().chain(begun).collect()
    }
}

impl FaultEvent {
    fn name(&self) -> &Arc<str> {
        match self {
            Self::Begun { name, .. } | Self::Ended { name, .. } => name,
        }
    }
}

impl OngoingFault {
    fn begun(&self, side: FaultSource, since: Instant, now: Instant) -> FaultEvent {
        FaultEvent::Begun {
            side,
            name: Arc::clone(&self.name),
            reason: self.reason.clone(),
            lasts: now.saturating_duration_since(since),
        }
    }

    /// Returns whether this error alone has persisted, and is another than `reported`.
    fn has_replaced(&self, reported: &str, side: FaultSource, now: Instant) -> bool {
        *self.name != *reported && self.persists_since(self.renamed, side, now)
    }

    fn persists(&self, side: FaultSource, now: Instant) -> bool {
        self.persists_since(self.since, side, now)
    }

    fn persists_since(&self, since: Instant, side: FaultSource, now: Instant) -> bool {
        match side {
            // These readers try all the time, and librdkafka repeats some errors only when they change.
            FaultSource::Tail | FaultSource::Topology => now.saturating_duration_since(since) >= PERSISTENT,
            // These readers work on demand: no further fault may mean no further attempt.
            FaultSource::History | FaultSource::Bounds => {
                let tried = self.last.saturating_duration_since(since);
                let lasts = now.saturating_duration_since(since);
                let rests = now.saturating_duration_since(self.last) < MAX_REST;
                let wanted = tried >= PERSISTENT || (tried >= TRIED && rests && lasts >= PERSISTENT);
                wanted && !self.is_forgotten(side, now)
            }
        }
    }

    fn is_forgotten(&self, side: FaultSource, now: Instant) -> bool {
        matches!(side, FaultSource::History | FaultSource::Bounds)
            && now.saturating_duration_since(self.last) >= FORGOTTEN
    }
}

/// How long a fault must last to count. Elections take one or two seconds, and a broker that restarts refuses for some more.
/// An operator is to read of a lasting fault within 10 s of its begin.
pub(super) const PERSISTENT: Duration = Duration::from_secs(9);

/// For how long attempts must have failed for a fault to count before the next attempt, while attempts become rare.
const TRIED: Duration = Duration::from_secs(5);

/// The longest time between two attempts on demand: the longest pause, and the time that an answer may take.
const MAX_REST: Duration = Duration::from_secs(7);

/// A fault of history that was not met for this long may be over, so it no longer counts. Reads on demand are tried again every
/// 5 s at least.
const FORGOTTEN: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "TOPIC_AUTHORIZATION_FAILED";

    fn at(start: Instant, second: u64) -> Instant {
        start + Duration::from_secs(second)
    }

    #[test]
    fn a_fault_that_is_told_once_persists_until_the_tail_reads_again() {
        let (mut faults, start) = (FaultTracker::default(), Instant::now());
        faults.fail(FaultSource::Tail, NAME, "not allowed", start);
        assert_eq!(faults.judge(FaultSource::Tail, at(start, 8)), None, "an election");
        let verdict = faults.judge(FaultSource::Tail, at(start, 10)).expect("a verdict");
        assert_eq!(
            verdict.reason,
            "cannot be read, for 10 s: TOPIC_AUTHORIZATION_FAILED: not allowed"
        );
        assert_eq!(faults.name(at(start, 10)).map(|name| &**name), Some(NAME));
        faults.succeed(FaultSource::Tail);
        assert_eq!(faults.judge(FaultSource::Tail, at(start, 60)), None);
    }

    #[test]
    fn a_fault_that_a_success_interrupts_begins_anew() {
        let (mut faults, start) = (FaultTracker::default(), Instant::now());
        for second in [0, 6, 12, 18] {
            faults.fail(FaultSource::Tail, NAME, "", at(start, second));
            assert_eq!(faults.judge(FaultSource::Tail, at(start, second + 5)), None);
            faults.succeed(FaultSource::Tail);
        }
    }

    #[test]
    fn one_failed_read_of_history_says_nothing_and_tries_for_ten_seconds_do() {
        let (mut faults, start) = (FaultTracker::default(), Instant::now());
        faults.fail(FaultSource::History, NAME, "", start);
        assert_eq!(
            faults.judge(FaultSource::History, at(start, 30)),
            None,
            "no attempt since then"
        );
        for second in [4, 10] {
            faults.fail(FaultSource::History, NAME, "", at(start, second));
        }
        let verdict = faults
            .judge(FaultSource::History, at(start, 11))
            .expect("a verdict");
        assert!(verdict.reason.starts_with("its history"), "{}", verdict.reason);
        assert_eq!(
            faults.judge(FaultSource::History, at(start, 70)),
            None,
            "no attempt for a minute"
        );
        faults.fail(FaultSource::History, NAME, "", at(start, 71));
        assert_eq!(
            faults.judge(FaultSource::History, at(start, 72)),
            None,
            "this is a new fault"
        );
    }

    #[test]
    fn tries_that_grow_rare_do_not_put_off_what_is_told_within_ten_seconds() {
        let (mut faults, start) = (FaultTracker::default(), Instant::now());
        let millis = |millis| start + Duration::from_millis(millis);
        for at in [0, 100, 300, 700, 1_500, 3_100, 6_300] {
            faults.fail(FaultSource::History, NAME, "", millis(at));
        }
        assert_eq!(faults.judge(FaultSource::History, millis(8_000)), None);
        assert!(faults.judge(FaultSource::History, millis(9_500)).is_some());
        assert_eq!(
            faults.judge(FaultSource::History, millis(14_000)),
            None,
            "no client waits any more"
        );
    }

    #[test]
    fn begin_and_end_are_told_once_each() {
        let (mut faults, start) = (FaultTracker::default(), Instant::now());
        faults.fail(FaultSource::Tail, NAME, "", start);
        assert_eq!(faults.fault_events(at(start, 5)), []);
        let begun = faults.fault_events(at(start, 10));
        assert!(matches!(&begun[..], [FaultEvent::Begun { .. }]), "{begun:?}");
        faults.fail(FaultSource::Tail, "OTHER", "", at(start, 11));
        assert_eq!(faults.fault_events(at(start, 12)), []);
        faults.succeed(FaultSource::Tail);
        let side = FaultSource::Tail;
        let name = NAME.into();
        assert_eq!(
            faults.fault_events(at(start, 13)),
            [FaultEvent::Ended { side, name }]
        );
        assert_eq!(faults.fault_events(at(start, 14)), []);
    }

    /// Rights that come back, and a batch that is damaged.
    #[test]
    fn an_error_that_takes_the_place_of_another_ends_it_in_the_log_and_counts_from_the_first() {
        let (mut faults, start) = (FaultTracker::default(), Instant::now());
        let side = FaultSource::Tail;
        faults.fail(side, NAME, "", start);
        assert_eq!(faults.fault_events(at(start, 10)).len(), 1);
        faults.fail(side, "BAD_MESSAGE", "CRC32C", at(start, 20));
        assert_eq!(faults.fault_events(at(start, 21)), []);
        let verdict = faults.judge(side, at(start, 21)).expect("a verdict");
        assert_eq!(verdict.reason, "cannot be read, for 21 s: BAD_MESSAGE: CRC32C");
        assert_eq!(
            faults.name(at(start, 21)).map(|name| &**name),
            Some("BAD_MESSAGE")
        );
        assert_eq!(
            faults.fault_events(at(start, 30)),
            [
                FaultEvent::Ended {
                    side,
                    name: NAME.into()
                },
                FaultEvent::Begun {
                    side,
                    name: "BAD_MESSAGE".into(),
                    reason: "CRC32C".to_owned(),
                    lasts: Duration::from_secs(10),
                },
            ]
        );
        assert_eq!(faults.fault_events(at(start, 40)), []);
        faults.succeed(side);
        let name = "BAD_MESSAGE".into();
        assert_eq!(
            faults.fault_events(at(start, 41)),
            [FaultEvent::Ended { side, name }]
        );
    }

    #[test]
    fn errors_that_alternate_are_one_fault_in_the_log() {
        let (mut faults, start) = (FaultTracker::default(), Instant::now());
        let mut told = 0;
        for second in 0..60 {
            let name = if second % 4 < 2 { NAME } else { "BAD_MESSAGE" };
            faults.fail(FaultSource::History, name, "", at(start, second));
            told += faults.fault_events(at(start, second)).len();
        }
        assert_eq!(told, 1);
    }
}
