//! Where a subscription stands, as a value: a lane publishes it, and a client goes on from it.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    ops::Range,
    sync::Arc,
};

use super::{
    Batch, Format, Source, Subscription, compose,
    gap::Gap,
    merge::Wish,
    part::{Asker, Part},
    roster::{Roster, TopicStates},
    texts::Texts,
};
use crate::{
    client::ClientKey,
    partition::{PartitionLog, TopicPartition},
    position::{IdForm, Offset, Place, Timestamp},
};

/// Where a subscription stands in every partition, filtered and skipped records included.
#[derive(Debug)]
pub(super) struct Standing {
    topics: TopicStates,
    pub(super) parts: Box<[Stand]>,
    /// Found, and not told yet: the parts stand behind them already.
    gaps: Vec<Gap>,
    /// Whether every part is in a log and nothing is left to tell: others may go on from here as from a place of their own.
    settled: bool,
}

/// Where it stands in one partition.
#[derive(Debug)]
pub(super) struct Stand {
    pub(super) partition: TopicPartition,
    /// What the id says.
    pub(super) place: Place,
    /// Whether it was ever one in a log that was current then.
    pub(super) was_read: bool,
    /// The log, and the next offset looked at; `None` while it is not determined.
    pub(super) at: Option<(Arc<PartitionLog>, Offset)>,
}

impl Standing {
    /// Nowhere, for lack of partitions.
    #[cfg(test)]
    pub(super) fn nowhere() -> Self {
        Self {
            topics: TopicStates::default(),
            parts: Box::default(),
            gaps: Vec::new(),
            settled: true,
        }
    }

    /// There in these logs.
    #[cfg(test)]
    pub(super) fn at(places: &[(&Arc<PartitionLog>, Offset)]) -> Self {
        let stands = places.iter().map(|(log, next)| Stand {
            partition: log.partition().clone(),
            place: Place::Latest,
            was_read: true,
            at: Some((Arc::clone(log), *next)),
        });
        Self {
            parts: stands.collect(),
            ..Self::nowhere()
        }
    }

    /// Whether a client that got to the same offsets by itself may go on from here.
    pub(super) fn is_settled(&self) -> bool {
        self.settled
    }

    /// Whether all the logs it speaks of are current still.
    pub(super) fn is_current(&self) -> bool {
        let logs = self.parts.iter().filter_map(|stand| stand.at.as_ref());
        logs.into_iter().all(|(log, _)| !log.is_replaced())
    }

    /// Returns where it stands in `log`, or in one that stood for the same log before; `None` if it stands in another, or in none.
    fn stand_in(&self, log: &PartitionLog) -> Option<&(Arc<PartitionLog>, Offset)> {
        let mut stands = self.parts.iter().filter_map(|stand| stand.at.as_ref());
        stands.find(|(own, _)| own.is_same_as(log))
    }

    /// Returns the offsets of `log` of which records may be among what leads here from `before`.
    pub(super) fn reads(&self, before: Option<&Self>, log: &PartitionLog) -> Range<Offset> {
        let from = before.and_then(|before| before.stand_in(log));
        match (from, self.stand_in(log)) {
            (Some((old, from)), Some((new, to))) if Arc::ptr_eq(old, new) => *from..*to,
            // It may have been cut off in between, and been read again.
            (_, Some((_, to))) => 0..*to,
            (Some((_, from)), None) => *from..Offset::MAX,
            (None, None) => 0..0,
        }
    }

    /// Whether there may be records among what leads here from `before` that have been deleted from `log`.
    pub(super) fn may_hold_deleted(&self, before: Option<&Self>, log: &PartitionLog) -> bool {
        let range = self.reads(before, log);
        range.start < range.end.min(log.start())
    }

    /// Whether nothing that comes behind it has been deleted from `log`.
    pub(super) fn is_ahead_of_deleted(&self, log: &Arc<PartitionLog>) -> bool {
        let stand = self.stand_in(log);
        stand.is_some_and(|(own, next)| Arc::ptr_eq(own, log) && *next >= log.start())
    }

    /// Whether it is where one begins who wants nothing that is past.
    pub(super) fn is_now(&self) -> bool {
        let at_end = |(log, next): &(Arc<PartitionLog>, Offset)| *next >= log.next();
        self.is_current()
            && self
                .parts
                .iter()
                .all(|stand| stand.at.as_ref().is_some_and(at_end))
    }

    /// Returns a batch that says nothing but this place, as ids in `form` say it; `None` while it is no place to resume from.
    pub(super) fn checkpoint(
        &self,
        format: Format,
        form: IdForm,
        texts: Option<&Arc<Texts>>,
    ) -> Option<Batch> {
        if !self.gaps.is_empty() {
            return None;
        }
        let entries = self.parts.iter().map(|stand| {
            let TopicPartition { topic, partition } = &stand.partition;
            (Arc::clone(topic), *partition, stand.place)
        });
        let absent = self.topics.entries_of_absent(|topic| {
            let parts = &self.parts;
            parts
                .binary_search_by(|stand| (*stand.partition.topic).cmp(topic))
                .is_ok()
        });
        compose::checkpoint(format, form, entries.chain(absent).collect(), texts)
    }

    /// The same for all that [are the same](Self::is_same).
    pub(super) fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for stand in &self.parts {
            stand.next().hash(&mut hasher);
            if let Place::At(mark) = stand.place {
                (mark.timestamp, mark.epoch).hash(&mut hasher);
            }
        }
        hasher.finish()
    }

    /// Whether a client here and one there are to be told the same from now on, if they wish the same.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.settled
            && other.settled
            && self.each(other, |own, other| {
                own.next() == other.next() && own.place == other.place
            })
    }

    /// Whether a client came here from `before` without being told of anything but events.
    pub(super) fn goes_on_from(&self, before: &Self) -> bool {
        self.settled && self.each(before, |own, before| own.next() >= before.next())
    }

    fn each(&self, other: &Self, holds: impl Fn(&Stand, &Stand) -> bool) -> bool {
        let pairs = self.parts.iter().zip(&other.parts);
        self.parts.len() == other.parts.len()
            && pairs.into_iter().all(|(own, other)| {
                own.partition == other.partition && own.is_in_log_of(other) && holds(own, other)
            })
    }

    /// What it costs in memory, in bytes.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + self.parts.len() * size_of::<Stand>() + self.gaps.len() * size_of::<Gap>()
    }
}

impl Stand {
    fn next(&self) -> Option<Offset> {
        self.at.as_ref().map(|(_, next)| *next)
    }

    fn is_in_log_of(&self, other: &Self) -> bool {
        match (&self.at, &other.at) {
            (Some((own, _)), Some((other, _))) => Arc::ptr_eq(own, other),
            _ => false,
        }
    }
}

impl Subscription {
    /// Goes on from `standing`, with whatever came since.
    pub(super) fn from_standing(
        source: &Source,
        standing: &Standing,
        (client, now): (ClientKey, Timestamp),
        wish: Wish,
    ) -> Self {
        let asker = Asker::new(source, client, now);
        let parts = standing
            .parts
            .iter()
            .map(|stand| Part::at(stand, &asker))
            .collect();
        let roster = Roster::at(standing.topics.clone(), parts, now);
        let mut subscription = Self::of(asker, roster, wish);
        subscription.gaps.clone_from(&standing.gaps);
        subscription
    }

    /// Where it stands now.
    pub(super) fn standing(&self) -> Standing {
        Standing {
            topics: self.roster.topics().clone(),
            parts: self.roster.parts.iter().map(Part::stand).collect(),
            gaps: self.gaps.clone(),
            settled: self.gaps.is_empty() && self.is_determined(),
        }
    }

    /// Whether it has come to the end of every partition, as far as the tail has read it.
    pub(super) fn is_at_end(&self) -> bool {
        let at_end = |part: &Part| {
            part.cursor()
                .is_some_and(|cursor| cursor.next() >= cursor.log().next())
        };
        self.roster.is_known() && self.roster.parts.iter().all(at_end)
    }

    /// Whether going on leads it to `other`, which is settled: the same partitions in the same logs, none of them behind it,
    /// and each with as good a proof.
    pub(super) fn leads_to(&self, other: &Standing) -> bool {
        self.compare(other, |own, other| own <= other)
    }

    /// Whether it stands exactly at `other`, which is settled, and has told all.
    pub(super) fn stands_at(&self, other: &Standing) -> bool {
        self.gaps.is_empty() && self.compare(other, |own, other| own == other)
    }

    /// Goes no further than `limit` in each partition, or as far as it can; `limit` is one it [leads to](Self::leads_to).
    pub(super) fn set_limit(&mut self, limit: Option<&Standing>) {
        for (index, part) in self.roster.parts.iter_mut().enumerate() {
            let stand = limit.and_then(|limit| limit.parts.get(index)?.at.as_ref());
            part.set_limit(stand.map_or(Offset::MAX, |(_, next)| *next));
        }
    }

    fn compare(&self, other: &Standing, holds: impl Fn(Offset, Offset) -> bool) -> bool {
        let same = |(part, stand): (&Part, &Stand)| match (part.cursor(), &stand.at) {
            (Some(cursor), Some((log, next))) => {
                vouches_for(&stand.place, &part.place)
                    && Arc::ptr_eq(cursor.log(), log)
                    && holds(cursor.next(), *next)
            }
            _ => false,
        };
        let parts = &self.roster.parts;
        self.roster.is_known() && parts.len() == other.parts.len() && parts.iter().zip(&other.parts).all(same)
    }
}

/// Whether a client at `own`, with nothing but a hole between it and `other`, is told as much from there on when the log
/// turns out to be another: an epoch proves it, and without one the offset must be in range.
fn vouches_for(other: &Place, own: &Place) -> bool {
    match (other, own) {
        (Place::At(other), Place::At(own)) => {
            other.epoch.is_some() || (own.epoch.is_none() && other.offset <= own.offset)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Poll, Waker};

    use super::*;
    use crate::{
        partition::Directory,
        subscription::{Coding, Reason, Request, no_history::NoHistory},
    };

    fn partition() -> TopicPartition {
        TopicPartition {
            topic: "edits".into(),
            partition: 0,
        }
    }

    fn source() -> Source {
        let directory = Directory::new();
        let tag = crate::position::LogTag::new("cluster", &[1; 16]);
        directory.put(PartitionLog::new(partition(), tag, Default::default(), 7));
        Source {
            directory,
            history: Arc::new(NoHistory),
        }
    }

    fn live(source: &Source) -> Subscription {
        of_topics(source, &["edits"])
    }

    fn of_topics(source: &Source, topics: &[&str]) -> Subscription {
        let request = Request {
            topics: topics.iter().copied().collect(),
            position: None,
            since: None,
            form: IdForm::Json,
            format: Format::Sse,
            coding: Coding::Identity,
            filter: None,
            shows_canaries: false,
            client: ClientKey::of([192, 0, 2, 7].into()),
            now: 0,
        };
        let mut subscription = Subscription::start(source, request);
        let mut context = std::task::Context::from_waker(Waker::noop());
        assert!(subscription.poll_batch(&mut context).is_pending());
        subscription
    }

    #[test]
    fn a_place_names_the_topics_that_are_absent_as_the_ids_of_events_do() {
        let source = source();
        source.directory.set_absent(&"later".into());
        let standing = of_topics(&source, &["edits", "later"]).standing();
        let batch = standing.checkpoint(Format::Sse, IdForm::Json, None).unwrap();
        let text = String::from_utf8_lossy(&batch.bytes);
        let later = r#"{"topic":"later","partition":0,"offset":-2}]"#;
        assert!(text.contains(later), "{text}");
    }

    #[test]
    fn a_gap_that_is_not_told_yet_keeps_others_away_and_is_told_by_who_goes_on_from_there() {
        let source = source();
        let mut subscription = live(&source);
        assert!(subscription.standing().is_settled());
        assert!(subscription.stands_at(&subscription.standing()));
        subscription.gaps.push(Gap {
            partition: partition(),
            requested: Some(3),
            resumed: Some(7),
            reason: Reason::Truncated,
        });
        let standing = subscription.standing();
        assert!(!standing.is_settled());
        assert!(!subscription.stands_at(&standing));

        let wish = Wish {
            format: Format::Sse,
            form: IdForm::Json,
            filter: None,
            shows_canaries: false,
        };
        let client = (ClientKey::of([192, 0, 2, 8].into()), 0);
        let mut other = Subscription::from_standing(&source, &standing, client, wish);
        let mut context = std::task::Context::from_waker(Waker::noop());
        let Poll::Ready(batch) = other.poll_batch(&mut context) else {
            panic!("nothing was told")
        };
        assert_eq!(batch.gaps, subscription.gaps);
        assert!(other.stands_at(&live(&source).standing()));
    }
}
