//! The total memory of all tail rings, and the order in which they evict pages.

use std::{
    cmp::Reverse,
    collections::BTreeMap,
    sync::{Arc, Weak},
};

use parking_lot::Mutex;

/// A running total over the rings of a directory, with the rings in eviction order. `L` owns a ring.
///
/// A change of one ring costs O(log n) for n rings. So thousands of partitions that get one record each do not cost a
/// pass over all rings.
#[derive(Debug)]
pub(super) struct Occupancy<L>(Mutex<OccupancyInner<L>>);

#[derive(Debug)]
struct OccupancyInner<L> {
    /// The rings by rank. The last one evicts next.
    order: BTreeMap<EvictionRank, Weak<L>>,
    /// The memory taken by all rings, in bytes.
    bytes: usize,
    /// Counts the changes, for [`EvictionRank::change`].
    changes: u64,
}

/// A ring's rank for eviction. The ring with the greatest rank evicts first.
///
/// Old pages are evicted before the newest page of any ring, because live clients are about to read that. Among newest
/// pages the largest goes first, and among those of similar size the one that arrived first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct EvictionRank {
    /// The size of all pages but the newest, in bytes.
    old_bytes: usize,
    /// The order of magnitude of the newest page: the binary logarithm of its bytes.
    newest: u32,
    change: Reverse<u64>,
}

/// What one ring holds, as its owner reports it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct RingUsage {
    /// The size of all its pages, in bytes.
    pub(super) bytes: usize,
    /// The size of its newest page, in bytes.
    pub(super) newest: usize,
}

/// One ring's entry in the total, removed on drop.
#[derive(Debug)]
pub(super) struct OccupancyGuard<L> {
    occupancy: Arc<Occupancy<L>>,
    log: Weak<L>,
    usage: RingUsage,
    rank: Option<EvictionRank>,
}

impl<L> Occupancy<L> {
    /// Returns the memory taken by all rings, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.0.lock().bytes
    }

    /// Returns the owner of the ring that evicts next, if all rings together take more than `budget` bytes.
    pub(super) fn next_to_evict(&self, budget: usize) -> Option<Arc<L>> {
        let mut rings = self.0.lock();
        while rings.bytes > budget
            && let Some(last) = rings.order.last_entry()
        {
            if let Some(log) = last.get().upgrade() {
                return Some(log);
            }
            // The owner is being dropped, and its guard takes its bytes off the total.
            last.remove();
        }
        None
    }
}

impl<L> Default for Occupancy<L> {
    fn default() -> Self {
        Self(Mutex::new(OccupancyInner {
            order: BTreeMap::new(),
            bytes: 0,
            changes: 0,
        }))
    }
}

impl<L> OccupancyGuard<L> {
    /// Creates the entry of a ring that is empty.
    pub(super) fn new(occupancy: &Arc<Occupancy<L>>, log: &Arc<L>) -> Self {
        Self {
            occupancy: Arc::clone(occupancy),
            log: Arc::downgrade(log),
            usage: RingUsage::default(),
            rank: None,
        }
    }

    /// Updates the entry to what the ring holds now.
    pub(super) fn set(&mut self, usage: RingUsage) {
        let mut rings = self.occupancy.0.lock();
        rings.bytes = rings.bytes - self.usage.bytes + usage.bytes;
        self.usage = usage;
        if let Some(rank) = self.rank.take() {
            rings.order.remove(&rank);
        }
        if usage.bytes > 0 {
            rings.changes += 1;
            let rank = EvictionRank {
                old_bytes: usage.bytes - usage.newest,
                newest: usage.newest.max(1).ilog2(),
                change: Reverse(rings.changes),
            };
            rings.order.insert(rank, Weak::clone(&self.log));
            self.rank = Some(rank);
        }
    }
}

impl<L> Drop for OccupancyGuard<L> {
    fn drop(&mut self) {
        self.set(RingUsage::default());
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;
    use crate::{
        event::{Encoding, Payload, Record, Tombstones},
        partition::{LogDirectory, LogRead, Page, PageBuilder, PartitionLog, TopicPartition},
        position::{LogTag, Offset},
    };

    const BASE64: Encoding = Encoding {
        payload: Payload::Base64,
        tombstones: Tombstones::Skip,
    };

    fn put(directory: &LogDirectory, partition: usize) -> Arc<PartitionLog> {
        let partition = TopicPartition {
            topic: "edits".into(),
            partition: partition as i32,
        };
        let log = PartitionLog::new(partition, LogTag::from_bits(1, 1), BASE64, 0);
        directory.put(Arc::clone(&log));
        log
    }

    /// Builds a page of `records` records of `size` bytes each, starting at the end of the log.
    fn page(log: &PartitionLog, records: usize, size: usize) -> Page {
        let mut page = PageBuilder::new(log.next(), BASE64);
        let value = vec![b'x'; size];
        for offset in (log.next()..).take(records) {
            let record = Record::bare(offset, Some(&value));
            page.push(&record).expect("base64 takes all bytes");
        }
        let next = page.next();
        page.finish(next)
    }

    fn append(log: &PartitionLog, records: usize, size: usize) {
        log.append(page(log, records, size));
    }

    fn has(log: &PartitionLog, offset: Offset) -> bool {
        matches!(log.read(offset), LogRead::Page(page) if page.range().contains(&offset))
    }

    #[test]
    fn one_record_that_takes_most_of_the_budget_does_not_end_the_shedding() {
        let (directory, budget) = (LogDirectory::new(), 64 * 1024);
        let (quiet, busy) = (put(&directory, 0), put(&directory, 1));
        append(&quiet, 1, budget * 45 / 100);
        for _ in 0..100 {
            append(&busy, 10, 1000);
            directory.evict_to(budget);
            assert!(directory.bytes() <= budget, "{}", directory.bytes());
        }
        assert!(has(&quiet, 0), "old pages of others go first");
        assert!(has(&busy, 999));
    }

    #[test]
    fn newest_pages_go_too_the_large_and_the_first_of_them_first() {
        let (directory, budget) = (LogDirectory::new(), 64 * 1024);
        let logs: Vec<_> = (0..40).map(|partition| put(&directory, partition)).collect();
        logs[3..].iter().for_each(|log| append(log, 1, 10));
        for log in &logs[..3] {
            append(log, 1, budget / 4);
            directory.evict_to(budget);
        }
        let has = |at: usize| has(&logs[at], 0);
        assert_eq!([has(0), has(1), has(2)], [false, true, true]);
        assert!((3..40).all(has), "what is small is worth its room");
        assert!(logs[0].is_history(0) && matches!(logs[0].read(1), LogRead::Ahead));
    }

    #[test]
    fn what_is_larger_than_the_budget_is_history_at_once_and_the_log_goes_on() {
        let directory = LogDirectory::new();
        let log = put(&directory, 0);
        append(&log, 1, 5000);
        directory.evict_to(4096);
        assert_eq!((directory.bytes(), log.bytes()), (0, 0));
        assert!(log.is_history(0));
        append(&log, 1, 10);
        directory.evict_to(4096);
        assert!(has(&log, 1) && log.is_history(0));
        assert_eq!(log.end().offset, 2);
    }

    #[test]
    fn a_log_that_is_replaced_or_withdrawn_or_dropped_is_no_part_of_the_total() {
        let directory = LogDirectory::new();
        let replaced = put(&directory, 0);
        append(&replaced, 1, 100);
        let current = put(&directory, 0);
        assert_eq!(directory.bytes(), 0);
        append(&replaced, 1, 100);
        append(&current, 1, 100);
        assert_eq!(directory.bytes(), current.bytes());
        directory.remove_logs("edits");
        assert_eq!(directory.bytes(), 0);
        let occupancy = Arc::<Occupancy<PartitionLog>>::default();
        let own = PartitionLog::new(current.partition().clone(), current.tag(), BASE64, 0);
        append(&own, 1, 100);
        own.join_occupancy(&occupancy);
        assert_eq!(occupancy.bytes(), own.bytes());
        drop(own);
        assert_eq!(occupancy.bytes(), 0);
        assert!(occupancy.0.lock().order.is_empty());
    }

    #[test]
    fn thousands_of_rings_of_one_page_hold_the_budget_with_a_large_record_among_them() {
        let (directory, budget) = (LogDirectory::new(), 1 << 20);
        let logs: Vec<_> = (0..5_000).map(|partition| put(&directory, partition)).collect();
        for round in 0..3 {
            for (number, log) in logs.iter().enumerate() {
                let size = if number == 1_000 * round { budget / 3 } else { 200 };
                append(log, 1, size);
                directory.evict_to(budget);
                assert!(directory.bytes() <= budget, "{} of {budget}", directory.bytes());
            }
        }
        let counted: usize = logs.iter().map(|log| log.bytes()).sum();
        assert_eq!(directory.bytes(), counted);
        assert!(counted > budget / 2, "{counted}: too much was shed");
        assert!(has(&logs[4_999], 2), "the newest of all stays");
    }

    #[test]
    fn a_page_of_one_small_record_is_counted_for_what_it_takes() {
        let directory = LogDirectory::new();
        let log = put(&directory, 0);
        append(&log, 1, 3);
        // The page in its `Arc`, its event and the text of that, and the pointer's place in the ring, which begins with four.
        let real = 16 + size_of::<Page>() + size_of::<crate::event::Event>() + 4 + 4 * size_of::<usize>();
        assert!(log.bytes() >= real, "{} of {real}", log.bytes());
    }

    /// A step of the property test.
    #[derive(Clone, Debug)]
    enum RingStep {
        Append {
            records: usize,
            size: usize,
        },
        Replace,
        /// The tail skips this many offsets.
        Skip(Offset),
    }

    fn step() -> impl Strategy<Value = RingStep> {
        let append =
            |sizes| (1usize..20, sizes).prop_map(|(records, size)| RingStep::Append { records, size });
        prop_oneof![
            8 => append(0usize..200),
            2 => append(1000usize..5000),
            1 => (20_000usize..100_000).prop_map(|size| RingStep::Append { records: 1, size }),
            1 => Just(RingStep::Replace),
            1 => (1i64..50).prop_map(RingStep::Skip),
        ]
    }

    proptest! {
        /// Checks the budget for random records in random partitions.
        #[test]
        fn the_rings_hold_their_budget_and_no_offset_is_lost(
            steps in vec((0usize..200, step()), 1..400),
            budget in prop_oneof![Just(1usize), 1000usize..80_000],
            partitions in 1usize..200,
        ) {
            let directory = LogDirectory::new();
            let mut logs: Vec<_> = (0..partitions).map(|partition| put(&directory, partition)).collect();
            for (partition, step) in steps {
                let partition = partition % partitions;
                let log = &mut logs[partition];
                match step {
                    RingStep::Append { records, size } => append(log, records, size),
                    RingStep::Replace => *log = put(&directory, partition),
                    RingStep::Skip(by) => {
                        let next = log.next() + by;
                        log.append(PageBuilder::new(next, BASE64).finish(next + 1));
                    }
                }
                let log = Arc::clone(log);
                directory.evict_to(budget);
                prop_assert!(directory.bytes() <= budget);
                prop_assert_eq!(directory.bytes(), logs.iter().map(|log| log.bytes()).sum::<usize>());
                let pages = |log: &PartitionLog| (0..log.next()).filter(|at| has(log, *at)).count();
                prop_assert_eq!(log.bytes() == 0, pages(&log) == 0);
                for offset in 0..log.next() {
                    prop_assert!(has(&log, offset) || log.is_history(offset));
                }
                prop_assert!(matches!(log.read(log.next()), LogRead::Ahead));
            }
        }
    }
}
