//! The finished batches of one lane, and its head.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;

use super::{
    super::{Batch, Gap, snapshot::Snapshot, tracker::BytesTracker},
    budget::MemoryCost,
};
use crate::partition::PartitionLog;

/// The newest batches of a lane, by number, and what stands behind them.
///
/// Who is a few batches behind gets each with its own write, or its own part of one. So those that are small are joined, a run of
/// sixteen at a time, by the first who is far enough behind to need them, for all others who are.
#[derive(Debug, Default)]
pub(super) struct BatchRing {
    entries: VecDeque<RingEntry>,
    /// The number of the oldest batch that is here.
    first: u64,
    /// Where the lane stood before that batch, or before one that came earlier.
    begin: Option<Arc<Snapshot>>,
    /// What the entries cost.
    cost: MemoryCost,
    /// Where what it joins is counted, if anywhere.
    tracker: Option<Arc<BytesTracker>>,
    /// Where the lane stands behind the newest batch; `None` before it has looked, and once it is closed.
    snapshot: Option<Arc<Snapshot>>,
}

#[derive(Debug)]
struct RingEntry {
    entry_batches: JoinedBatches,
    /// Where this batch leads, whatever is joined to it.
    after: Arc<Snapshot>,
    cost: MemoryCost,
}

/// What a ring has for a client.
#[derive(Debug)]
pub(super) enum RingRead {
    /// The batch with the client's number, and perhaps more.
    Batches(JoinedBatches),
    /// Nothing yet; the lane stands there.
    Empty(Arc<Snapshot>),
    /// The batch has left the ring, or the lane is closed: the client goes on by itself.
    Gone,
}

/// A batch and those joined to it.
#[derive(Clone, Debug)]
pub(super) struct JoinedBatches {
    /// All of them, as one.
    pub(super) batch: Batch,
    /// How many they are.
    pub(super) count: u64,
    /// Where the last of them leads.
    pub(super) after: Arc<Snapshot>,
}

/// A lane's head: the number of its next batch, and where the lane stands before it.
#[derive(Clone, Debug)]
pub(super) struct LaneHead {
    pub(super) number: u64,
    pub(super) snapshot: Arc<Snapshot>,
}

impl BatchRing {
    /// An empty one, whose joined batches are counted among `tracker`.
    pub(super) fn new(tracker: &Arc<BytesTracker>) -> Self {
        Self {
            tracker: Some(Arc::clone(tracker)),
            ..Self::default()
        }
    }

    /// The head, if a client may go on from it.
    pub(super) fn head(&self) -> Option<LaneHead> {
        let snapshot = self
            .snapshot
            .as_ref()
            .filter(|snapshot| snapshot.is_resumable())?;
        Some(LaneHead {
            number: self.end(),
            snapshot: Arc::clone(snapshot),
        })
    }

    /// Returns the oldest place in the ring that a client is not beyond, if it may go on from there; `is_ahead` says whether a place is
    /// where the client is or ahead of it.
    pub(super) fn first_ahead(&self, is_ahead: impl Fn(&Snapshot) -> bool) -> Option<LaneHead> {
        self.snapshot.as_ref()?;
        let at = self.entries.partition_point(|entry| !is_ahead(&entry.after));
        let begins = self.begin.as_ref().filter(|begin| at == 0 && is_ahead(begin));
        let (number, snapshot) = match begins {
            Some(begin) => (self.first, begin),
            None => (self.first + at as u64 + 1, &self.entries.get(at)?.after),
        };
        snapshot.is_resumable().then(|| LaneHead {
            number,
            snapshot: Arc::clone(snapshot),
        })
    }

    /// The number of the next batch.
    pub(super) fn end(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    /// Whether one who wants the batch `number` next is in time for it.
    pub(super) fn reaches(&self, number: u64) -> bool {
        self.snapshot.is_some() && number >= self.first
    }

    /// What there is for one who wants the batch `number`, which is not beyond the head's.
    pub(super) fn take(&mut self, number: u64) -> RingRead {
        let Some(index) = number.checked_sub(self.first) else {
            return RingRead::Gone;
        };
        if self.end() >= number.saturating_add(MIN_LAG_TO_JOIN) {
            self.join(number);
        }
        match (self.entries.get(index as usize), &self.snapshot) {
            (Some(entry), _) => RingRead::Batches(entry.entry_batches.clone()),
            (None, Some(snapshot)) => RingRead::Empty(Arc::clone(snapshot)),
            (None, None) => RingRead::Gone,
        }
    }

    /// Moves the head without a batch.
    pub(super) fn set_head(&mut self, snapshot: Arc<Snapshot>) {
        self.snapshot = Some(snapshot);
    }

    /// Adds a batch and moves the head behind it, in `budget` bytes at most: the oldest batches make room, and one that has
    /// none is missed by everybody. What the ring costs more now, and what it costs less.
    pub(super) fn push(
        &mut self,
        batch: Batch,
        after: Arc<Snapshot>,
        budget: usize,
    ) -> (MemoryCost, MemoryCost) {
        let cost = cost(&batch, &after);
        let before = self.snapshot.replace(Arc::clone(&after));
        let freed = self.trim(budget.saturating_sub(cost.total()));
        if cost.total() > budget {
            self.first += 1;
            self.begin = Some(after);
            return (MemoryCost::default(), freed);
        }
        if self.entries.is_empty() {
            self.begin = before;
        }
        self.cost += cost;
        let entry_batches = JoinedBatches {
            batch,
            count: 1,
            after,
        };
        let after = Arc::clone(&entry_batches.after);
        self.entries.push_back(RingEntry {
            entry_batches,
            after,
            cost,
        });
        (cost, freed)
    }

    /// Drops the oldest batches until the rest costs at most `budget` bytes; what that freed. Those that are joined go together,
    /// as their bytes do.
    pub(super) fn trim(&mut self, budget: usize) -> MemoryCost {
        self.drop_while(|ring| ring.cost.total() > budget)
    }

    fn drop_while(&mut self, is_too_much: impl Fn(&Self) -> bool) -> MemoryCost {
        let mut freed = MemoryCost::default();
        let mut is_within = false;
        while (is_within || is_too_much(self))
            && let Some(entry) = self.entries.pop_front()
        {
            self.cost -= entry.cost;
            freed += entry.cost;
            self.first += 1;
            is_within = entry.entry_batches.count > 1;
            self.begin = Some(entry.after);
        }
        if self.entries.is_empty() {
            // What many small batches took need not be kept for few large ones.
            self.entries.shrink_to(KEPT_CAPACITY);
        }
        freed
    }

    /// Drops the batches in which records may be that have been deleted from `log`, and all before them; what that freed.
    pub(super) fn drop_deleted(&mut self, log: &Arc<PartitionLog>) -> MemoryCost {
        let mut before = self.begin.as_ref();
        let mut last = None;
        for (number, entry) in (self.first..).zip(&self.entries) {
            let after = &entry.after;
            if after.may_hold_deleted(before.map(|it| &**it), log) {
                last = Some(number);
            } else if before.is_some_and(|before| before.is_ahead_of_deleted(log)) {
                // Nothing that comes behind it lies below the start.
                break;
            }
            before = Some(after);
        }
        match last {
            Some(last) => self.drop_while(|ring| ring.first <= last),
            None => MemoryCost::default(),
        }
    }

    /// What its entries cost.
    #[cfg(test)]
    pub(super) fn cost(&self) -> MemoryCost {
        self.cost
    }

    /// Drops everything, and sends everybody away; what that freed.
    pub(super) fn close(&mut self) -> MemoryCost {
        self.snapshot = None;
        self.trim(0)
    }

    /// Joins the run of the batch `number`, if it is whole and may be.
    fn join(&mut self, number: u64) {
        let start = number - number % RUN_LEN;
        let index = |number: u64| number.saturating_sub(self.first) as usize;
        let (from, to) = (index(start), index(start + RUN_LEN));
        if to > self.entries.len() || !may_be_joined(self.entries.range(from..to)) {
            return;
        }
        let pieces: Vec<&[u8]> = self
            .entries
            .range(from..to)
            .map(|entry| &*entry.entry_batches.batch.bytes)
            .collect();
        let joined = match &self.tracker {
            Some(tracker) => tracker.track(pieces.concat()),
            None => Bytes::from(pieces.concat()),
        };
        share(&joined, self.entries.range_mut(from..to));
    }
}

/// Gives each of a run what is left of it from there on; `joined` is all they hold.
fn share<'a>(joined: &Bytes, run: impl DoubleEndedIterator<Item = &'a mut RingEntry>) {
    let mut rest: Option<JoinedBatches> = None;
    let mut start = joined.len();
    for RingEntry { entry_batches, .. } in run.rev() {
        start -= entry_batches.batch.bytes.len();
        entry_batches.batch.bytes = joined.slice(start..);
        if let Some(rest) = rest {
            entry_batches.batch.events += rest.batch.events;
            entry_batches.count += rest.count;
            entry_batches.after = rest.after;
        }
        rest = Some(entry_batches.clone());
    }
}

/// Whether these are small, plain and single.
fn may_be_joined<'a>(run: impl IntoIterator<Item = &'a RingEntry>) -> bool {
    let mut bytes = 0;
    run.into_iter().all(|RingEntry { entry_batches, .. }| {
        bytes += entry_batches.batch.bytes.len();
        bytes <= MAX_JOINED_BYTES && entry_batches.batch.is_plain() && entry_batches.count == 1
    })
}

/// What a batch costs in a ring.
fn cost(batch: &Batch, after: &Snapshot) -> MemoryCost {
    let packed = batch.packed.as_ref().map_or(0, |packed| packed.bytes.len());
    MemoryCost {
        payload: batch.size() + packed,
        overhead: after.bytes() + batch.gaps.len() * size_of::<Gap>() + ENTRY_OVERHEAD,
    }
}

/// What an entry costs beside what it holds, in bytes: twice its size, for a queue that grows by doubling, and what texts and
/// standings cost as allocations.
const ENTRY_OVERHEAD: usize = 2 * size_of::<RingEntry>() + 128;

/// Entries whose room an empty ring keeps.
const KEPT_CAPACITY: usize = 16;

/// Batches in a run; runs begin at multiples of it.
const RUN_LEN: u64 = 16;

/// How many batches behind the head one is who has a run joined. Below that most are up to date, and it would be for nobody.
const MIN_LAG_TO_JOIN: u64 = 8;

/// The most bytes of a joined run: who waits for its socket in the midst of one holds all of it.
const MAX_JOINED_BYTES: usize = 16 * 1024;

#[cfg(test)]
mod tests;
