//! The ring of one lane: its finished batches, and its head.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;

use super::{
    super::{Batch, BytesTracker, Gap, Snapshot},
    budget::MemoryCost,
    shared_head::SharedHead,
};
use crate::partition::PartitionLog;

/// The newest batches of a lane, by number, and the positions after them.
///
/// A client that is a few batches behind would need one write for each of them, or one part of a vectored write. So
/// small batches are joined, in runs of sixteen, by the first client that is far enough behind to need them, for all
/// others that are.
#[derive(Debug, Default)]
pub(super) struct BatchRing {
    entries: VecDeque<RingEntry>,
    /// The number of the oldest batch in the ring.
    first: u64,
    /// The position of the lane before that batch, or before an earlier one.
    begin: Option<Arc<Snapshot>>,
    /// The memory taken by the entries.
    cost: MemoryCost,
    /// Counts the bytes of joined batches, if set.
    tracker: Option<Arc<BytesTracker>>,
    /// The position of the lane after the newest batch; `None` before the lane's first poll, and once it is closed.
    snapshot: Option<Arc<Snapshot>>,
    /// The head with which the lane moves, if it has a dispatcher.
    shared_head: Option<Arc<SharedHead>>,
    /// The round of that head to which `snapshot` belongs.
    round: u64,
}

#[derive(Debug)]
struct RingEntry {
    joined: JoinedBatches,
    /// The position after this batch alone, whatever is joined to it.
    after: Arc<Snapshot>,
    cost: MemoryCost,
}

/// What a ring has for a client.
#[derive(Debug)]
pub(super) enum RingRead {
    /// The batch with the requested number, and perhaps others joined to it.
    Batches(JoinedBatches),
    /// No batch yet. The lane is at this position.
    Empty(Arc<Snapshot>),
    /// The batch has left the ring, or the lane is closed. The client must continue with a subscription of its own.
    Gone,
}

/// A batch, and those joined to it.
#[derive(Clone, Debug)]
pub(super) struct JoinedBatches {
    /// All of them as one batch.
    pub(super) batch: Batch,
    /// How many they are.
    pub(super) count: u64,
    /// The position after the last of them.
    pub(super) after: Arc<Snapshot>,
}

/// The head of a lane: the number of its next batch, and the lane's position before it.
#[derive(Clone, Debug)]
pub(super) struct LaneHead {
    pub(super) number: u64,
    pub(super) snapshot: Arc<Snapshot>,
}

impl BatchRing {
    /// Creates an empty ring, whose joined batches are counted by `tracker`.
    pub(super) fn new(tracker: &Arc<BytesTracker>) -> Self {
        Self {
            tracker: Some(Arc::clone(tracker)),
            ..Self::default()
        }
    }

    /// Returns the head, if a client can continue from it.
    pub(super) fn head(&self) -> Option<LaneHead> {
        let snapshot = self.position().filter(|snapshot| snapshot.resumable)?;
        Some(LaneHead {
            number: self.end(),
            snapshot,
        })
    }

    /// Returns the position of the lane, behind all batches and perhaps further.
    fn position(&self) -> Option<Arc<Snapshot>> {
        let own = self.snapshot.as_ref()?;
        let shared = self.shared_head.as_ref();
        let later = shared.and_then(|head| head.snapshot_since(self.round));
        Some(later.unwrap_or_else(|| Arc::clone(own)))
    }

    /// Continues from this head, and moves with it from now on.
    pub(super) fn follow(&mut self, head: &Arc<SharedHead>) {
        self.round = head.round();
        self.snapshot = head.snapshot();
        self.shared_head = Some(Arc::clone(head));
    }

    /// Returns the oldest position in the ring that is not behind a client, if the client can continue from it.
    /// `is_ahead` tells whether a position is the client's or ahead of it.
    pub(super) fn first_ahead(&self, is_ahead: impl Fn(&Snapshot) -> bool) -> Option<LaneHead> {
        self.snapshot.as_ref()?;
        let at = self.entries.partition_point(|entry| !is_ahead(&entry.after));
        let begins = self.begin.as_ref().filter(|begin| at == 0 && is_ahead(begin));
        let (number, snapshot) = match begins {
            Some(begin) => (self.first, begin),
            None => (self.first + at as u64 + 1, &self.entries.get(at)?.after),
        };
        snapshot.resumable.then(|| LaneHead {
            number,
            snapshot: Arc::clone(snapshot),
        })
    }

    /// Returns the number of the next batch.
    pub(super) fn end(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    /// Returns whether the ring is open, and batch `number` is in it or still to come.
    pub(super) fn reaches(&self, number: u64) -> bool {
        self.snapshot.is_some() && number >= self.first
    }

    /// Returns what there is for a client that wants batch `number`, which must not be beyond the head's.
    pub(super) fn take(&mut self, number: u64) -> RingRead {
        let Some(index) = number.checked_sub(self.first) else {
            return RingRead::Gone;
        };
        if self.end() >= number.saturating_add(MIN_LAG_TO_JOIN) {
            self.join(number);
        }
        match self.entries.get(index as usize) {
            Some(entry) => RingRead::Batches(entry.joined.clone()),
            None => self.position().map_or(RingRead::Gone, RingRead::Empty),
        }
    }

    /// Moves the head without adding a batch.
    pub(super) fn set_head(&mut self, snapshot: Arc<Snapshot>) {
        self.snapshot = Some(snapshot);
    }

    /// Adds a batch and moves the head behind it. The oldest batches are dropped until all fit into `budget` bytes. A
    /// batch that alone is too large is not added, and all clients miss it. Returns the memory added and the memory
    /// freed.
    pub(super) fn push(
        &mut self,
        batch: Batch,
        after: Arc<Snapshot>,
        budget: usize,
    ) -> (MemoryCost, MemoryCost) {
        let cost = cost(&batch, &after);
        let before = self.position();
        self.snapshot = Some(Arc::clone(&after));
        // The round that has not ended yet.
        self.round = self.shared_head.as_ref().map_or(0, |head| head.round() + 1);
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
        let joined = JoinedBatches {
            batch,
            count: 1,
            after,
        };
        let after = Arc::clone(&joined.after);
        self.entries.push_back(RingEntry { joined, after, cost });
        (cost, freed)
    }

    /// Drops the oldest batches until the rest takes at most `budget` bytes. Returns the memory freed. Joined batches
    /// are dropped together, because their bytes are one allocation.
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
            is_within = entry.joined.count > 1;
            self.begin = Some(entry.after);
        }
        if self.entries.is_empty() {
            // A capacity for many small batches need not be kept for few large ones.
            self.entries.shrink_to(KEPT_CAPACITY);
        }
        freed
    }

    /// Drops the batches that may contain records deleted from `log`, and all before them. Returns the memory freed.
    pub(super) fn drop_deleted(&mut self, log: &Arc<PartitionLog>) -> MemoryCost {
        let mut before = self.begin.as_ref();
        let mut last = None;
        for (number, entry) in (self.first..).zip(&self.entries) {
            let after = &entry.after;
            if after.may_hold_deleted(before.map(|it| &**it), log) {
                last = Some(number);
            } else if before.is_some_and(|before| before.is_ahead_of_deleted(log)) {
                // No later batch has records below the log start.
                break;
            }
            before = Some(after);
        }
        match last {
            Some(last) => self.drop_while(|ring| ring.first <= last),
            None => MemoryCost::default(),
        }
    }

    /// Returns the memory taken by the entries.
    #[cfg(test)]
    pub(super) fn cost(&self) -> MemoryCost {
        self.cost
    }

    /// Drops all batches. Clients then find the ring closed. Returns the memory freed.
    pub(super) fn close(&mut self) -> MemoryCost {
        self.snapshot = None;
        self.trim(0)
    }

    /// Joins the run that contains batch `number`, if it is complete and may be joined.
    fn join(&mut self, number: u64) {
        let start = number - number % RUN_LEN;
        let index = |number: u64| number.saturating_sub(self.first) as usize;
        let (from, to) = (index(start), index(start + RUN_LEN));
        if to > self.entries.len() || !may_be_joined(self.entries.range(from..to)) {
            return;
        }
        let run = self.entries.range(from..to);
        let pieces: Vec<&[u8]> = run.map(|entry| &*entry.joined.batch.bytes).collect();
        let joined = match &self.tracker {
            Some(tracker) => tracker.track(pieces.concat()),
            None => Bytes::from(pieces.concat()),
        };
        share(&joined, self.entries.range_mut(from..to));
    }
}

/// Gives each entry of a run the rest of `whole`, the bytes of the whole run, from its own start on.
fn share<'a>(whole: &Bytes, run: impl DoubleEndedIterator<Item = &'a mut RingEntry>) {
    let mut rest: Option<JoinedBatches> = None;
    let mut start = whole.len();
    for RingEntry { joined, .. } in run.rev() {
        start -= joined.batch.bytes.len();
        joined.batch.bytes = whole.slice(start..);
        if let Some(rest) = rest {
            joined.batch.events += rest.batch.events;
            joined.count += rest.count;
            joined.after = rest.after;
        }
        rest = Some(joined.clone());
    }
}

/// Returns whether these batches are small, plain and not joined yet.
fn may_be_joined<'a>(run: impl IntoIterator<Item = &'a RingEntry>) -> bool {
    let mut bytes = 0;
    run.into_iter().all(|RingEntry { joined, .. }| {
        bytes += joined.batch.bytes.len();
        bytes <= MAX_JOINED_BYTES && joined.batch.is_plain() && joined.count == 1
    })
}

/// Returns the memory taken by a batch in a ring.
fn cost(batch: &Batch, after: &Snapshot) -> MemoryCost {
    let packed = batch.packed.as_ref().map_or(0, |packed| packed.bytes.len());
    MemoryCost {
        payload: batch.size() + packed,
        overhead: after.bytes() + batch.gaps.len() * size_of::<Gap>() + ENTRY_OVERHEAD,
    }
}

/// The memory of an entry beside its contents, in bytes: twice its size, because the queue grows by doubling, and the
/// allocations of texts and snapshots.
const ENTRY_OVERHEAD: usize = 2 * size_of::<RingEntry>() + 128;

/// The number of entries for which an empty ring keeps room.
const KEPT_CAPACITY: usize = 16;

/// The number of batches in a run. Runs begin at multiples of it.
const RUN_LEN: u64 = 16;

/// How many batches behind the head a client must be to have a run joined. Most clients are less far behind, and have
/// no use for a joined run.
const MIN_LAG_TO_JOIN: u64 = 8;

/// The most bytes of a joined run. A client whose socket blocks in the middle of a run holds all of it.
const MAX_JOINED_BYTES: usize = 16 * 1024;

#[cfg(test)]
mod tests;
