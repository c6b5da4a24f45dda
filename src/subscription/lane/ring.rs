//! The finished batches of one lane, and its head.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;

use super::{
    super::{Batch, Gap, standing::Standing, texts::Texts},
    budget::Cost,
};
use crate::partition::PartitionLog;

/// The newest batches of a lane, by number, and what stands behind them.
///
/// Who is a few batches behind gets each with its own write, or its own part of one. So those that are small are joined, a run of
/// sixteen at a time, by the first who is far enough behind to need them, for all others who are.
#[derive(Debug, Default)]
pub(super) struct Ring {
    entries: VecDeque<Entry>,
    /// The number of the oldest batch that is here.
    first: u64,
    /// Where the lane stood before that batch, or before one that came earlier.
    begin: Option<Arc<Standing>>,
    /// What the entries cost.
    cost: Cost,
    /// Where what it joins is counted, if anywhere.
    texts: Option<Arc<Texts>>,
    /// Where the lane stands behind the newest batch; `None` before it has looked, and once it is closed.
    standing: Option<Arc<Standing>>,
}

#[derive(Debug)]
struct Entry {
    taken: Batches,
    /// Where this batch leads, whatever is joined to it.
    after: Arc<Standing>,
    cost: Cost,
}

/// What a ring has for a client.
#[derive(Debug)]
pub(super) enum Taken {
    /// The batch with the client's number, and perhaps more.
    Batches(Batches),
    /// Nothing yet; the lane stands there.
    Nothing(Arc<Standing>),
    /// The batch has left the ring, or the lane is closed: the client goes on by itself.
    Gone,
}

/// A batch and those joined to it.
#[derive(Clone, Debug)]
pub(super) struct Batches {
    /// All of them, as one.
    pub(super) batch: Batch,
    /// How many they are.
    pub(super) count: u64,
    /// Where the last of them leads.
    pub(super) after: Arc<Standing>,
}

/// A lane's head: the number of its next batch, and where the lane stands before it.
#[derive(Clone, Debug)]
pub(super) struct Head {
    pub(super) number: u64,
    pub(super) standing: Arc<Standing>,
}

impl Ring {
    /// An empty one, whose joined batches are counted among `texts`.
    pub(super) fn new(texts: &Arc<Texts>) -> Self {
        Self {
            texts: Some(Arc::clone(texts)),
            ..Self::default()
        }
    }

    /// The head, if a client may go on from it.
    pub(super) fn head(&self) -> Option<Head> {
        let standing = self.standing.as_ref().filter(|standing| standing.is_settled())?;
        Some(Head {
            number: self.end(),
            standing: Arc::clone(standing),
        })
    }

    /// Returns the oldest place in the ring that a client is not beyond, if it may go on from there; `is_ahead` says whether a place is
    /// where the client is or ahead of it.
    pub(super) fn first_ahead(&self, is_ahead: impl Fn(&Standing) -> bool) -> Option<Head> {
        self.standing.as_ref()?;
        let at = self.entries.partition_point(|entry| !is_ahead(&entry.after));
        let begins = self.begin.as_ref().filter(|begin| at == 0 && is_ahead(begin));
        let (number, standing) = match begins {
            Some(begin) => (self.first, begin),
            None => (self.first + at as u64 + 1, &self.entries.get(at)?.after),
        };
        standing.is_settled().then(|| Head {
            number,
            standing: Arc::clone(standing),
        })
    }

    /// The number of the next batch.
    pub(super) fn end(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    /// Whether one who wants the batch `number` next is in time for it.
    pub(super) fn reaches(&self, number: u64) -> bool {
        self.standing.is_some() && number >= self.first
    }

    /// What there is for one who wants the batch `number`, which is not beyond the head's.
    pub(super) fn take(&mut self, number: u64) -> Taken {
        let Some(index) = number.checked_sub(self.first) else {
            return Taken::Gone;
        };
        if self.end() >= number.saturating_add(WORTH_IT) {
            self.join(number);
        }
        match (self.entries.get(index as usize), &self.standing) {
            (Some(entry), _) => Taken::Batches(entry.taken.clone()),
            (None, Some(standing)) => Taken::Nothing(Arc::clone(standing)),
            (None, None) => Taken::Gone,
        }
    }

    /// Moves the head without a batch.
    pub(super) fn stand(&mut self, standing: Arc<Standing>) {
        self.standing = Some(standing);
    }

    /// Adds a batch and moves the head behind it, in `budget` bytes at most: the oldest batches make room, and one that has
    /// none is missed by everybody. What the ring costs more now, and what it costs less.
    pub(super) fn push(&mut self, batch: Batch, after: Arc<Standing>, budget: usize) -> (Cost, Cost) {
        let cost = cost(&batch, &after);
        let before = self.standing.replace(Arc::clone(&after));
        let freed = self.trim(budget.saturating_sub(cost.total()));
        if cost.total() > budget {
            self.first += 1;
            self.begin = Some(after);
            return (Cost::default(), freed);
        }
        if self.entries.is_empty() {
            self.begin = before;
        }
        self.cost += cost;
        let taken = Batches {
            batch,
            count: 1,
            after,
        };
        let after = Arc::clone(&taken.after);
        self.entries.push_back(Entry { taken, after, cost });
        (cost, freed)
    }

    /// Drops the oldest batches until the rest costs at most `budget` bytes; what that freed. Those that are joined go together,
    /// as their bytes do.
    pub(super) fn trim(&mut self, budget: usize) -> Cost {
        self.drop_while(|ring| ring.cost.total() > budget)
    }

    fn drop_while(&mut self, is_too_much: impl Fn(&Self) -> bool) -> Cost {
        let mut freed = Cost::default();
        let mut is_within = false;
        while (is_within || is_too_much(self))
            && let Some(entry) = self.entries.pop_front()
        {
            self.cost -= entry.cost;
            freed += entry.cost;
            self.first += 1;
            is_within = entry.taken.count > 1;
            self.begin = Some(entry.after);
        }
        if self.entries.is_empty() {
            // What many small batches took need not be kept for few large ones.
            self.entries.shrink_to(FEW);
        }
        freed
    }

    /// Drops the batches in which records may be that have been deleted from `log`, and all before them; what that freed.
    pub(super) fn drop_deleted(&mut self, log: &Arc<PartitionLog>) -> Cost {
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
            None => Cost::default(),
        }
    }

    /// What its entries cost.
    #[cfg(test)]
    pub(super) fn cost(&self) -> Cost {
        self.cost
    }

    /// Drops everything, and sends everybody away; what that freed.
    pub(super) fn close(&mut self) -> Cost {
        self.standing = None;
        self.trim(0)
    }

    /// Joins the run of the batch `number`, if it is whole and may be.
    fn join(&mut self, number: u64) {
        let start = number - number % RUN;
        let index = |number: u64| number.saturating_sub(self.first) as usize;
        let (from, to) = (index(start), index(start + RUN));
        if to > self.entries.len() || !may_be_joined(self.entries.range(from..to)) {
            return;
        }
        let pieces: Vec<&[u8]> = self
            .entries
            .range(from..to)
            .map(|entry| &*entry.taken.batch.bytes)
            .collect();
        let joined = match &self.texts {
            Some(texts) => texts.count(pieces.concat()),
            None => Bytes::from(pieces.concat()),
        };
        share(&joined, self.entries.range_mut(from..to));
    }
}

/// Gives each of a run what is left of it from there on; `joined` is all they hold.
fn share<'a>(joined: &Bytes, run: impl DoubleEndedIterator<Item = &'a mut Entry>) {
    let mut rest: Option<Batches> = None;
    let mut start = joined.len();
    for Entry { taken, .. } in run.rev() {
        start -= taken.batch.bytes.len();
        taken.batch.bytes = joined.slice(start..);
        if let Some(rest) = rest {
            taken.batch.events += rest.batch.events;
            taken.count += rest.count;
            taken.after = rest.after;
        }
        rest = Some(taken.clone());
    }
}

/// Whether these are small, plain and single.
fn may_be_joined<'a>(run: impl IntoIterator<Item = &'a Entry>) -> bool {
    let mut bytes = 0;
    run.into_iter().all(|Entry { taken, .. }| {
        bytes += taken.batch.bytes.len();
        bytes <= JOINED && taken.batch.is_plain() && taken.count == 1
    })
}

/// What a batch costs in a ring.
fn cost(batch: &Batch, after: &Standing) -> Cost {
    let packed = batch.packed.as_ref().map_or(0, |packed| packed.bytes.len());
    Cost {
        text: batch.size() + packed,
        beside: after.bytes() + batch.gaps.len() * size_of::<Gap>() + ENTRY,
    }
}

/// What an entry costs beside what it holds, in bytes: twice its size, for a queue that grows by doubling, and what texts and
/// standings cost as allocations.
const ENTRY: usize = 2 * size_of::<Entry>() + 128;

/// Entries whose room an empty ring keeps.
const FEW: usize = 16;

/// Batches in a run; runs begin at multiples of it.
const RUN: u64 = 16;

/// How many batches behind the head one is who has a run joined. Below that most are up to date, and it would be for nobody.
const WORTH_IT: u64 = 8;

/// The most bytes of a joined run: who waits for its socket in the midst of one holds all of it.
const JOINED: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::{
        event::Encoding,
        partition::{Directory, TopicPartition},
        position::LogTag,
        subscription::{Packed, tests::gap},
    };

    const SMALL: usize = JOINED / RUN as usize;

    fn batch(number: u64, length: usize) -> Batch {
        Batch {
            bytes: vec![number as u8; length].into(),
            large: None,
            events: 1,
            gaps: Vec::new(),
            packed: None,
        }
    }

    fn push(ring: &mut Ring, batch: Batch, budget: usize) -> Arc<Standing> {
        let after = Arc::new(Standing::nowhere());
        ring.push(batch, Arc::clone(&after), budget);
        after
    }

    /// A ring of so many small batches.
    fn ring(batches: u64) -> Ring {
        let mut ring = Ring::default();
        for number in 0..batches {
            push(&mut ring, batch(number, SMALL), usize::MAX);
        }
        ring
    }

    fn count(ring: &mut Ring, number: u64) -> Option<u64> {
        match ring.take(number) {
            Taken::Batches(batches) => Some(batches.count),
            Taken::Nothing(_) | Taken::Gone => None,
        }
    }

    #[test]
    fn who_is_behind_gets_the_rest_of_a_run_at_once_and_who_is_not_does_not() {
        let mut ring = ring(3 * RUN - 1);
        assert_eq!(count(&mut ring, RUN + 3), Some(RUN - 3));
        assert_eq!(count(&mut ring, 2 * RUN - 1), Some(1));
        assert_eq!(count(&mut ring, 2 * RUN), Some(1), "not whole");
        assert_eq!(count(&mut ring, 3 * RUN - 1), None, "the end");
        assert_eq!(count(&mut super::tests::ring(RUN), RUN - WORTH_IT + 1), Some(1));
    }

    #[test]
    fn what_is_large_or_packed_or_tells_of_a_gap_stays_single() {
        let packed = Packed {
            bytes: Bytes::new(),
            number: 0,
            begins: true,
        };
        let odd = [
            batch(0, SMALL + 1),
            Batch {
                packed: Some(packed),
                ..batch(0, 1)
            },
            Batch {
                gaps: vec![gap()],
                ..batch(0, 1)
            },
        ];
        for odd in odd {
            let mut ring = ring(RUN - 1);
            push(&mut ring, odd, usize::MAX);
            assert_eq!(count(&mut ring, 0), Some(1));
        }
    }

    #[test]
    fn what_may_hold_a_deleted_record_leaves_with_all_before_it_and_no_more() {
        let directory = Directory::new();
        let log = |partition| {
            let partition = TopicPartition {
                topic: "t".into(),
                partition,
            };
            PartitionLog::new(partition, LogTag::from_bits(1, 1), Encoding::default(), 0)
        };
        let [log, other] = [log(0), log(1)];
        for (start, left) in [(0, 40), (1, 39), (10, 30), (20, 20), (39, 1), (40, 0), (99, 0)] {
            for joined in [false, true] {
                let mut ring = Ring::default();
                ring.stand(Arc::new(Standing::at(&[(&log, 0), (&other, 0)])));
                for number in 0..40 {
                    let after = Standing::at(&[(&log, number as i64 + 1), (&other, 0)]);
                    ring.push(batch(number, 1), Arc::new(after), usize::MAX);
                }
                if joined {
                    ring.take(16);
                }
                directory.set_start(&log, start);
                let freed = ring.drop_deleted(&log);
                // Those that are joined leave together.
                let left = match (joined, start) {
                    (true, 17..32) => 8,
                    _ => left,
                };
                assert_eq!(ring.entries.len(), left, "from {start}, joined: {joined}");
                assert_eq!(freed == Cost::default(), left == 40);
                assert_eq!(ring.end(), 40);
                assert_eq!(ring.drop_deleted(&other), Cost::default(), "of it nothing was");
            }
        }
    }

    proptest! {
        /// Clients anywhere take whenever they like, while batches come, and go.
        #[test]
        fn all_get_every_batch_in_order_until_it_has_left_and_the_bytes_are_accounted_for(
            steps in vec((0usize..4, 1usize..2 * SMALL, 0usize..4), 1..300),
            budget in SMALL..100 * SMALL,
        ) {
            let (mut ring, mut pushed, mut clients) = (Ring::default(), Vec::new(), [0u64; 4]);
            ring.stand(Arc::new(Standing::nowhere()));
            for (what, length, client) in steps {
                if what < 3 {
                    let number = pushed.len() as u64;
                    // Mostly small ones, so that there are runs.
                    let batch = batch(number, if what == 0 { length } else { 1 + length % 40 });
                    pushed.push((batch.bytes.clone(), push(&mut ring, batch, budget)));
                    continue;
                }
                let number = clients[client];
                match ring.take(number) {
                    Taken::Nothing(_) => prop_assert_eq!(number, pushed.len() as u64),
                    Taken::Gone => {
                        prop_assert!(number < ring.first);
                        clients[client] = ring.end();
                    }
                    Taken::Batches(Batches { batch, count, after }) => {
                        let all = &pushed[number as usize..(number + count) as usize];
                        let bytes: Vec<_> = all.iter().flat_map(|(bytes, _)| bytes.to_vec()).collect();
                        prop_assert_eq!(&*batch.bytes, bytes);
                        prop_assert_eq!(u64::from(batch.events), count);
                        prop_assert!(Arc::ptr_eq(&after, &all[all.len() - 1].1));
                        clients[client] = number + count;
                    }
                }
                prop_assert!(ring.cost.total() <= budget);
                let costs = ring.entries.iter().map(|entry| entry.cost.total());
                prop_assert_eq!(ring.cost.total(), costs.sum::<usize>());
                prop_assert_eq!(ring.end(), pushed.len() as u64);
            }
            ring.close();
            prop_assert_eq!((ring.cost, ring.entries.len()), (Cost::default(), 0));
        }
    }
}
