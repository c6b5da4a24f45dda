//! Where a subscription stands, as a value: a lane publishes it, and a client goes on from it.

use std::sync::Arc;

use super::{
    Format, Source, Subscription,
    gap::Gap,
    part::{Asker, Part},
    roster::{Roster, Topic},
};
use crate::{
    client::ClientKey,
    partition::{PartitionLog, TopicPartition},
    position::{IdForm, Offset, Place, Timestamp},
};

/// Where a subscription stands in every partition, filtered and skipped records included.
#[derive(Debug)]
pub(super) struct Standing {
    topics: Arc<[Topic]>,
    parts: Box<[Stand]>,
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
    /// The log, and the next offset looked at; `None` while it is not determined.
    pub(super) at: Option<(Arc<PartitionLog>, Offset)>,
}

impl Standing {
    /// Whether a client that got to the same offsets by itself may go on from here.
    pub(super) fn is_settled(&self) -> bool {
        self.settled
    }

    /// What it costs in memory, in bytes.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + self.parts.len() * size_of::<Stand>() + self.gaps.len() * size_of::<Gap>()
    }
}

impl Subscription {
    /// Goes on from `standing`, with whatever came since.
    pub(super) fn from_standing(
        source: &Source,
        standing: &Standing,
        (client, now): (ClientKey, Timestamp),
        (format, form): (Format, IdForm),
    ) -> Self {
        let asker = Asker::new(source, client, now);
        let parts = standing
            .parts
            .iter()
            .map(|stand| Part::at(stand, &asker))
            .collect();
        let roster = Roster::at(Arc::clone(&standing.topics), parts, now);
        let mut subscription = Self::of(asker, roster, format, form);
        subscription.gaps.clone_from(&standing.gaps);
        subscription
    }

    /// Where it stands now.
    pub(super) fn standing(&self) -> Standing {
        Standing {
            topics: Arc::clone(self.roster.topics()),
            parts: self.roster.parts.iter().map(Part::stand).collect(),
            gaps: self.gaps.clone(),
            settled: self.gaps.is_empty()
                && self.roster.is_known()
                && self.roster.parts.iter().all(Part::is_determined),
        }
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
