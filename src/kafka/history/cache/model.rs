//! Model test of the history cache's budget: records of any size, thousands of partitions, pages of one record, logs that are
//! replaced, and data fetched ahead.

use std::collections::BTreeSet;

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{
    event::{Encoding, Payload, Record, Tombstones},
    partition::{LogDirectory, PageBuilder, TopicPartition},
    position::LogTag,
};

/// An event for the log of a partition.
#[derive(Clone, Debug)]
enum CacheOp {
    /// Inserts a page at `at` with `records` records of `size` bytes each, followed by a hole.
    Insert {
        partition: usize,
        at: Offset,
        records: usize,
        size: usize,
        hole: Offset,
        cut: bool,
    },
    /// A client looks up an offset.
    Find { partition: usize, at: Offset },
    /// Retention moves the log's start.
    Expire { partition: usize, start: Offset },
    /// The topic is deleted and created again.
    Replace { partition: usize },
    /// This number of partitions is kept started.
    OpenFetchers { partitions: usize },
}

const PARTITIONS: usize = 3000;

/// Base64 is the encoding that costs the most memory.
const BASE64: Encoding = Encoding {
    payload: Payload::Base64,
    tombstones: Tombstones::Skip,
};

fn step() -> impl Strategy<Value = CacheOp> {
    let partition = prop_oneof![0usize..3, 0..PARTITIONS];
    let at = prop_oneof![4 => 0i64..5_000, 1 => Offset::MAX - 2_000..=Offset::MAX];
    let insert = |records, size| {
        let partition_and_offset = (
            prop_oneof![0usize..3, 0..PARTITIONS],
            prop_oneof![9 => 0i64..5_000, 1 => Offset::MAX - 2_000..Offset::MAX],
        );
        (
            partition_and_offset,
            records,
            size,
            prop_oneof![Just(0i64), 1i64..4_000],
            any::<bool>(),
        )
            .prop_map(|((partition, at), records, size, hole, cut)| CacheOp::Insert {
                partition,
                at,
                records,
                size,
                hole,
                cut,
            })
    };
    prop_oneof![
        6 => insert(0usize..200, 0usize..100),
        3 => insert(1usize..2, 0usize..2_000),
        1 => insert(1usize..3, 100_000usize..300_000),
        6 => (partition.clone(), at.clone()).prop_map(|(partition, at)| CacheOp::Find { partition, at }),
        1 => (partition.clone(), at).prop_map(|(partition, start)| CacheOp::Expire { partition, start }),
        1 => partition.prop_map(|partition| CacheOp::Replace { partition }),
        1 => (0usize..4).prop_map(|partitions| CacheOp::OpenFetchers { partitions }),
    ]
}

fn log(partition: usize) -> Arc<PartitionLog> {
    let partition = TopicPartition {
        topic: "edits".into(),
        partition: partition as i32,
    };
    PartitionLog::new(partition, LogTag::from_bits(1, 1), BASE64, 0)
}

fn page(at: Offset, records: usize, size: usize, hole: Offset) -> Arc<Page> {
    let mut page = PageBuilder::new(at, BASE64);
    let value = vec![b'x'; size];
    let end = at.saturating_add(records as Offset);
    for offset in at..end {
        let record = Record::bare(offset, Some(&value));
        assert_eq!(page.push(&record), Ok(()));
    }
    Arc::new(page.finish(end.saturating_add(hole)))
}

/// Returns the total cost of the cached pages, counted one by one.
fn kept(cache: &PageCache) -> usize {
    let pages = cache.logs.values().flat_map(|log| log.pages.values());
    pages.map(|entry| cost(&entry.page)).sum()
}

/// Checks that the cache holds nothing twice, counts exactly what it holds, and stays within its budget.
fn check(cache: &PageCache, budget: usize) -> Result<(), TestCaseError> {
    prop_assert_eq!(cache.bytes, kept(cache));
    prop_assert!(cache.bytes <= budget, "{} of {}", cache.bytes, budget);
    let used: BTreeSet<_> = cache
        .logs
        .values()
        .flat_map(|log| log.pages.values().map(|entry| entry.used))
        .collect();
    prop_assert!(used.iter().eq(cache.uses.keys()));
    prop_assert!(
        cache
            .logs
            .values()
            .all(|log| (1..=PAGE_RECORDS).contains(&log.alignment))
    );
    prop_assert!(
        cache
            .logs
            .values()
            .all(|log| (1..=PAGE_RECORDS).contains(&log.start_alignment) && log.runs.len() <= MAX_RUNS)
    );
    Ok(())
}

proptest! {
    #[test]
    fn the_cache_holds_its_budget_whatever_comes(
        steps in vec(step(), 1..200),
        budget in prop_oneof![Just(0usize), 500usize..5_000, 50_000usize..500_000, Just(8 << 20)],
    ) {
        let directory = LogDirectory::new();
        let fetcher_limit = FetcherLimit::new(budget);
        let mut cache = PageCache::new(budget).reserving(&fetcher_limit);
        let mut logs: HashMap<usize, Arc<PartitionLog>> = HashMap::new();
        for step in steps {
            let mut get = |partition| Arc::clone(logs.entry(partition).or_insert_with(|| {
                let log = log(partition);
                directory.put(Arc::clone(&log));
                log
            }));
            match step {
                CacheOp::Insert { partition, at, records, size, hole, cut } => {
                    cache.insert(&get(partition), &page(at, records, size, hole), cut);
                }
                CacheOp::Find { partition, at } => match cache.find(&get(partition), at) {
                    Lookup::Hit(page) => prop_assert!(page.range().contains(&at)),
                    Lookup::Miss { from, to } => prop_assert!(from <= at && (from < to || at == Offset::MAX)),
                    Lookup::Below => {}
                },
                CacheOp::Expire { partition, start } => {
                    let log = get(partition);
                    directory.set_start(&log, start);
                    cache.drop_deleted(&log);
                    let pages = cache.logs.get(&key(&log)).into_iter().flat_map(|log| log.pages.keys());
                    prop_assert!(pages.min().is_none_or(|first| *first >= start));
                }
                CacheOp::Replace { partition } => {
                    let old = get(partition);
                    let new = log(partition);
                    directory.put(Arc::clone(&new));
                    logs.insert(partition, new);
                    cache.forget(&old);
                    cache.insert(&old, &page(0, 10, 10, 0), false);
                    prop_assert!(cache.logs.get(&key(&old)).is_none_or(|log| log.pages.is_empty()));
                }
                CacheOp::OpenFetchers { partitions } => {
                    fetcher_limit.reserved.store(partitions << 21, std::sync::atomic::Ordering::Relaxed);
                    cache.shrink();
                }
            }
            check(&cache, budget.saturating_sub(fetcher_limit.bytes()))?;
        }
        for log in logs.values() {
            cache.forget(log);
        }
        prop_assert_eq!((cache.bytes, cache.uses.len()), (0, 0));
    }
}

#[test]
fn a_page_of_each_of_thousands_of_partitions_costs_no_more_than_is_counted() {
    let (mut cache, logs): (_, Vec<_>) = (PageCache::new(1 << 20), (0..20_000).map(log).collect());
    for log in &logs {
        cache.insert(log, &page(0, 1, 1, 0), false);
    }
    assert!(cache.bytes <= 1 << 20);
    // The B-tree node of a page's entry, and the page itself: an `Arc` of its struct, a box of one event, and an arena.
    let real = 11 * (size_of::<Offset>() + size_of::<CachedPage>())
        + 16
        + size_of::<Page>()
        + 16
        + size_of::<crate::event::Event>();
    assert!(cost(&page(0, 1, 1, 0)) >= real, "{real}");
    assert!(cache.uses.len() < 2_000, "{} pages", cache.uses.len());
}
