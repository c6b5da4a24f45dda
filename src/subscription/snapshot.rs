//! Where a subscription stands, as a value: a lane publishes it, and a client goes on from it.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    ops::Range,
    sync::Arc,
};

use super::{
    Batch, EventFormat, LogSource, Subscription, batch_builder,
    gap::Gap,
    merge::StreamView,
    partition_reader::{PartitionReader, ReadContext},
    partition_set::{PartitionSet, TopicStates},
    tracker::BytesTracker,
};
use crate::{
    client::ClientKey,
    partition::{PartitionLog, TopicPartition},
    position::{IdForm, Offset, PartitionPosition, Timestamp},
};

/// Where a subscription stands in every partition, filtered and skipped records included.
#[derive(Debug)]
pub(super) struct Snapshot {
    topics: TopicStates,
    pub(super) parts: Box<[PartitionSnapshot]>,
    /// Found, and not told yet: the parts stand behind them already.
    gaps: Vec<Gap>,
    /// Whether every part is in a log and nothing is left to tell: others may go on from here as from a place of their own.
    resumable: bool,
}

/// Where it stands in one partition.
#[derive(Debug)]
pub(super) struct PartitionSnapshot {
    pub(super) partition: TopicPartition,
    /// What the id says.
    pub(super) place: PartitionPosition,
    /// Whether it was ever one in a log that was current then.
    pub(super) was_read: bool,
    /// The log, and the next offset looked at; `None` while it is not determined.
    pub(super) at: Option<(Arc<PartitionLog>, Offset)>,
}

impl Snapshot {
    /// Nowhere, for lack of partitions.
    #[cfg(test)]
    pub(super) fn nowhere() -> Self {
        Self {
            topics: TopicStates::default(),
            parts: Box::default(),
            gaps: Vec::new(),
            resumable: true,
        }
    }

    /// There in these logs.
    #[cfg(test)]
    pub(super) fn at(places: &[(&Arc<PartitionLog>, Offset)]) -> Self {
        let saved_partitions = places.iter().map(|(log, next)| PartitionSnapshot {
            partition: log.partition().clone(),
            place: PartitionPosition::Latest,
            was_read: true,
            at: Some((Arc::clone(log), *next)),
        });
        Self {
            parts: saved_partitions.collect(),
            ..Self::nowhere()
        }
    }

    /// Whether a client that got to the same offsets by itself may go on from here.
    pub(super) fn is_resumable(&self) -> bool {
        self.resumable
    }

    /// Whether all the logs it speaks of are current still.
    pub(super) fn is_current(&self) -> bool {
        let logs = self.parts.iter().filter_map(|saved| saved.at.as_ref());
        logs.into_iter().all(|(log, _)| !log.is_replaced())
    }

    /// Returns where it stands in `log`, or in one that stood for the same log before; `None` if it stands in another, or in none.
    fn position_in(&self, log: &PartitionLog) -> Option<&(Arc<PartitionLog>, Offset)> {
        let mut saved_partitions = self.parts.iter().filter_map(|saved| saved.at.as_ref());
        saved_partitions.find(|(own, _)| own.is_same_as(log))
    }

    /// Returns the offsets of `log` of which records may be among what leads here from `before`.
    pub(super) fn range_since(&self, before: Option<&Self>, log: &PartitionLog) -> Range<Offset> {
        let from = before.and_then(|before| before.position_in(log));
        match (from, self.position_in(log)) {
            (Some((old, from)), Some((new, to))) if Arc::ptr_eq(old, new) => *from..*to,
            // It may have been cut off in between, and been read again.
            (_, Some((_, to))) => 0..*to,
            (Some((_, from)), None) => *from..Offset::MAX,
            (None, None) => 0..0,
        }
    }

    /// Whether there may be records among what leads here from `before` that have been deleted from `log`.
    pub(super) fn may_hold_deleted(&self, before: Option<&Self>, log: &PartitionLog) -> bool {
        let range = self.range_since(before, log);
        range.start < range.end.min(log.start())
    }

    /// Whether nothing that comes behind it has been deleted from `log`.
    pub(super) fn is_ahead_of_deleted(&self, log: &Arc<PartitionLog>) -> bool {
        let saved = self.position_in(log);
        saved.is_some_and(|(own, next)| Arc::ptr_eq(own, log) && *next >= log.start())
    }

    /// Whether it is where one begins who wants nothing that is past.
    pub(super) fn is_live(&self) -> bool {
        let at_end = |(log, next): &(Arc<PartitionLog>, Offset)| *next >= log.next();
        self.is_current()
            && self
                .parts
                .iter()
                .all(|saved| saved.at.as_ref().is_some_and(at_end))
    }

    /// Returns a batch that says nothing but this place, as ids in `form` say it; `None` while it is no place to resume from.
    pub(super) fn checkpoint(
        &self,
        format: EventFormat,
        form: IdForm,
        tracker: Option<&Arc<BytesTracker>>,
    ) -> Option<Batch> {
        if !self.gaps.is_empty() {
            return None;
        }
        let entries = self.parts.iter().map(|saved| {
            let TopicPartition { topic, partition } = &saved.partition;
            (Arc::clone(topic), *partition, saved.place)
        });
        let absent = self.topics.entries_of_absent(|topic| {
            let parts = &self.parts;
            parts
                .binary_search_by(|saved| (*saved.partition.topic).cmp(topic))
                .is_ok()
        });
        batch_builder::checkpoint(format, form, entries.chain(absent).collect(), tracker)
    }

    /// The same for all that [are the same](Self::is_equivalent).
    pub(super) fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for saved in &self.parts {
            saved.next().hash(&mut hasher);
            if let PartitionPosition::At(mark) = saved.place {
                (mark.timestamp, mark.epoch).hash(&mut hasher);
            }
        }
        hasher.finish()
    }

    /// Whether a client here and one there are to be told the same from now on, if they wish the same.
    pub(super) fn is_equivalent(&self, other: &Self) -> bool {
        self.resumable
            && other.resumable
            && self.all_partitions(other, |own, other| {
                own.next() == other.next() && own.place == other.place
            })
    }

    /// Whether a client came here from `before` without being told of anything but events.
    pub(super) fn continues_from(&self, before: &Self) -> bool {
        self.resumable && self.all_partitions(before, |own, before| own.next() >= before.next())
    }

    fn all_partitions(
        &self,
        other: &Self,
        holds: impl Fn(&PartitionSnapshot, &PartitionSnapshot) -> bool,
    ) -> bool {
        let pairs = self.parts.iter().zip(&other.parts);
        self.parts.len() == other.parts.len()
            && pairs.into_iter().all(|(own, other)| {
                own.partition == other.partition && own.is_in_log_of(other) && holds(own, other)
            })
    }

    /// What it costs in memory, in bytes.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.parts.len() * size_of::<PartitionSnapshot>()
            + self.gaps.len() * size_of::<Gap>()
    }
}

impl PartitionSnapshot {
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
    /// Goes on from `snapshot`, with whatever came since.
    pub(super) fn from_snapshot(
        source: &LogSource,
        snapshot: &Snapshot,
        (client, now): (ClientKey, Timestamp),
        view: StreamView,
    ) -> Self {
        let read_context = ReadContext::new(source, client, now);
        let parts = snapshot
            .parts
            .iter()
            .map(|saved| PartitionReader::at(saved, &read_context))
            .collect();
        let partition_set = PartitionSet::at(snapshot.topics.clone(), parts, now);
        let mut subscription = Self::of(read_context, partition_set, view);
        subscription.gaps.clone_from(&snapshot.gaps);
        subscription
    }

    /// Where it stands now.
    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot {
            topics: self.partition_set.topics().clone(),
            parts: self
                .partition_set
                .parts
                .iter()
                .map(PartitionReader::snapshot)
                .collect(),
            gaps: self.gaps.clone(),
            resumable: self.gaps.is_empty() && self.is_determined(),
        }
    }

    /// Whether it has come to the end of every partition, as far as the tail has read it.
    pub(super) fn is_at_end(&self) -> bool {
        let at_end = |part: &PartitionReader| {
            part.cursor()
                .is_some_and(|cursor| cursor.next() >= cursor.log().next())
        };
        self.partition_set.is_known() && self.partition_set.parts.iter().all(at_end)
    }

    /// Whether going on leads it to `other`, which is settled: the same partitions in the same logs, none of them behind it,
    /// and each with as good a proof.
    pub(super) fn can_reach(&self, other: &Snapshot) -> bool {
        self.compare(other, |own, other| own <= other)
    }

    /// Whether it stands exactly at `other`, which is settled, and has told all.
    pub(super) fn is_at(&self, other: &Snapshot) -> bool {
        self.gaps.is_empty() && self.compare(other, |own, other| own == other)
    }

    /// Goes no further than `limit` in each partition, or as far as it can; `limit` is one it [leads to](Self::can_reach).
    pub(super) fn set_limit(&mut self, limit: Option<&Snapshot>) {
        for (index, part) in self.partition_set.parts.iter_mut().enumerate() {
            let saved = limit.and_then(|limit| limit.parts.get(index)?.at.as_ref());
            part.set_limit(saved.map_or(Offset::MAX, |(_, next)| *next));
        }
    }

    fn compare(&self, other: &Snapshot, holds: impl Fn(Offset, Offset) -> bool) -> bool {
        let same = |(part, saved): (&PartitionReader, &PartitionSnapshot)| match (part.cursor(), &saved.at) {
            (Some(cursor), Some((log, next))) => {
                has_equal_proof(&saved.place, &part.place)
                    && Arc::ptr_eq(cursor.log(), log)
                    && holds(cursor.next(), *next)
            }
            _ => false,
        };
        let parts = &self.partition_set.parts;
        self.partition_set.is_known()
            && parts.len() == other.parts.len()
            && parts.iter().zip(&other.parts).all(same)
    }
}

/// Whether a client at `own`, with nothing but a hole between it and `other`, is told as much from there on when the log
/// turns out to be another: an epoch proves it, and without one the offset must be in range.
fn has_equal_proof(other: &PartitionPosition, own: &PartitionPosition) -> bool {
    match (other, own) {
        (PartitionPosition::At(other), PartitionPosition::At(own)) => {
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
        partition::LogDirectory,
        subscription::{ContentCoding, GapReason, SubscribeRequest, no_history::NoHistory},
    };

    fn partition() -> TopicPartition {
        TopicPartition {
            topic: "edits".into(),
            partition: 0,
        }
    }

    fn source() -> LogSource {
        let directory = LogDirectory::new();
        let tag = crate::position::LogTag::new("cluster", &[1; 16]);
        directory.put(PartitionLog::new(partition(), tag, Default::default(), 7));
        LogSource {
            directory,
            history: Arc::new(NoHistory),
        }
    }

    fn live(source: &LogSource) -> Subscription {
        of_topics(source, &["edits"])
    }

    fn of_topics(source: &LogSource, topics: &[&str]) -> Subscription {
        let request = SubscribeRequest {
            topics: topics.iter().copied().collect(),
            position: None,
            since: None,
            form: IdForm::Json,
            format: EventFormat::Sse,
            coding: ContentCoding::Identity,
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
        let snapshot = of_topics(&source, &["edits", "later"]).snapshot();
        let batch = snapshot.checkpoint(EventFormat::Sse, IdForm::Json, None).unwrap();
        let text = String::from_utf8_lossy(&batch.bytes);
        let later = r#"{"topic":"later","partition":0,"offset":-2}]"#;
        assert!(text.contains(later), "{text}");
    }

    #[test]
    fn a_gap_that_is_not_told_yet_keeps_others_away_and_is_told_by_who_goes_on_from_there() {
        let source = source();
        let mut subscription = live(&source);
        assert!(subscription.snapshot().is_resumable());
        assert!(subscription.is_at(&subscription.snapshot()));
        subscription.gaps.push(Gap {
            partition: partition(),
            requested: Some(3),
            resumed: Some(7),
            reason: GapReason::Truncated,
        });
        let snapshot = subscription.snapshot();
        assert!(!snapshot.is_resumable());
        assert!(!subscription.is_at(&snapshot));

        let view = StreamView {
            format: EventFormat::Sse,
            form: IdForm::Json,
            filter: None,
            shows_canaries: false,
        };
        let client = (ClientKey::of([192, 0, 2, 8].into()), 0);
        let mut other = Subscription::from_snapshot(&source, &snapshot, client, view);
        let mut context = std::task::Context::from_waker(Waker::noop());
        let Poll::Ready(batch) = other.poll_batch(&mut context) else {
            panic!("nothing was told")
        };
        assert_eq!(batch.gaps, subscription.gaps);
        assert!(other.is_at(&live(&source).snapshot()));
    }
}
