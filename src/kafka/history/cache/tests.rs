use super::*;
use crate::{
    event::{Encoding, Record},
    partition::{LogDirectory, PageBuilder, TopicPartition},
    position::LogTag,
};

fn log() -> Arc<PartitionLog> {
    let partition = TopicPartition {
        topic: "t".into(),
        partition: 0,
    };
    PartitionLog::new(partition, LogTag::from_bits(1, 1), Encoding::default(), 0)
}

fn set_start(log: &Arc<PartitionLog>, start: Offset) {
    LogDirectory::new().set_start(log, start);
}

fn page(from: Offset, to: Offset) -> Arc<Page> {
    let mut page = PageBuilder::new(from, Encoding::default());
    for offset in from..to {
        let _ = page.push(&Record::bare(offset, Some(b"{}")));
    }
    Arc::new(page.finish(to))
}

fn miss(cache: &mut PageCache, log: &Arc<PartitionLog>, offset: Offset) -> (Offset, Offset) {
    match cache.find(log, offset) {
        Lookup::Miss { from, to } => (from, to),
        other => panic!("{other:?}"),
    }
}

fn hit(cache: &mut PageCache, log: &Arc<PartitionLog>, offset: Offset) -> bool {
    matches!(cache.find(log, offset), Lookup::Hit(page) if page.range().contains(&offset))
}

#[test]
fn clients_cut_at_many_places_share_an_aligned_page() {
    let (mut cache, log) = (PageCache::new(1 << 20), log());
    assert_eq!(miss(&mut cache, &log, 1025), (1024, 2048));
    assert_eq!(miss(&mut cache, &log, 2047), (1984, 2048));
    cache.insert(&log, &page(1024, 2048), false);
    assert!(hit(&mut cache, &log, 1024) && hit(&mut cache, &log, 2047));
    assert_eq!(miss(&mut cache, &log, 2048), (2048, 3072));
}

#[test]
fn a_page_cut_short_is_gone_on_from_and_makes_the_grain_finer() {
    let (mut cache, log) = (PageCache::new(1 << 20), log());
    cache.insert(&log, &page(0, 300), true);
    assert_eq!(miss(&mut cache, &log, 300), (300, 512));
    assert_eq!(miss(&mut cache, &log, 900), (512, 1024));
    cache.insert(&log, &page(300, 500), true);
    assert_eq!(miss(&mut cache, &log, 900), (768, 1024));
}

#[test]
fn a_run_goes_on_over_what_was_fetched_behind_a_page_and_inserted_before_it() {
    let (mut cache, log) = (PageCache::new(1 << 20), log());
    cache.insert(&log, &page(0, 1024), false);
    let first = cache.run_at(&log, 1024);
    cache.insert(&log, &page(2048, 2500), true);
    cache.insert(&log, &page(1024, 2048), false);
    assert_eq!(cache.run_at(&log, 2048), 0);
    assert!(cache.run_at(&log, 2500) > 2 * first);
}

/// Reads a log of small records from its start to `end` as the readers do, with one record at `large` that fills a page alone.
/// Returns the number of pages that took.
fn replay(large: Offset, end: Offset) -> usize {
    let (mut cache, log) = (PageCache::new(64 << 20), log());
    let (mut at, mut pages) = (0, 0);
    while at < end {
        let (from, to) = miss(&mut cache, &log, at);
        let stop = match from {
            _ if from == large => large + 1,
            _ if from < large => large,
            _ => to,
        };
        cache.insert(&log, &page(from, to.min(stop)), stop < to);
        at = to.min(stop);
        pages += 1;
    }
    pages
}

#[test]
fn behind_one_large_record_a_replay_goes_back_to_full_pages() {
    let end = 100 * PAGE_RECORDS;
    for large in [0, 1, 5 * PAGE_RECORDS, 5 * PAGE_RECORDS + 700] {
        let pages = replay(large, end);
        assert!(pages <= 106, "{large}: {pages} pages for 100 full ones");
    }
}

#[test]
fn pages_of_large_records_stay_shared_at_a_grain_that_fits() {
    let (mut cache, log) = (PageCache::new(64 << 20), log());
    // Every page is cut after three records.
    for slot in 0..8 {
        let (from, _) = miss(&mut cache, &log, slot * PAGE_RECORDS + 900);
        cache.insert(&log, &page(from, from + 3), true);
    }
    let (from, to) = miss(&mut cache, &log, 20 * PAGE_RECORDS + 900);
    assert!(to - from <= 4, "{from}..{to}");
}

#[test]
fn the_largest_offset_there_is_overflows_nothing() {
    let (mut cache, log) = (PageCache::new(1 << 20), log());
    for offset in [Offset::MAX, Offset::MAX - 1, Offset::MAX - PAGE_RECORDS] {
        let (from, to) = miss(&mut cache, &log, offset);
        assert!(from <= offset && from < to, "{offset}: {from}..{to}");
    }
}

#[test]
fn a_start_that_turns_out_to_be_lower_is_believed() {
    let (mut cache, log) = (PageCache::new(1 << 20), log());
    set_start(&log, 1100);
    assert!(matches!(cache.find(&log, 600), Lookup::Below));
    set_start(&log, 500);
    assert_eq!(miss(&mut cache, &log, 510), (500, 1024));
}

#[test]
fn the_next_page_is_not_read_twice_and_holes_count_as_covered() {
    let (mut cache, log) = (PageCache::new(1 << 20), log());
    cache.insert(&log, &page(512, 1024), false);
    assert_eq!(miss(&mut cache, &log, 5), (0, 512));
    let holes = PageBuilder::new(1024, Encoding::default()).finish(5000);
    cache.insert(&log, &Arc::new(holes), false);
    assert!(hit(&mut cache, &log, 4999));
    assert_eq!(miss(&mut cache, &log, 5000), (5000, 5120));
}

#[test]
fn nothing_is_read_below_a_start_that_has_moved() {
    let (mut cache, log) = (PageCache::new(1 << 20), log());
    set_start(&log, 1100);
    assert!(matches!(cache.find(&log, 1099), Lookup::Below));
    assert_eq!(miss(&mut cache, &log, 1110), (1100, 2048));
}

#[test]
fn what_has_been_deleted_is_dropped_and_does_not_come_in_again() {
    let (mut cache, log) = (PageCache::new(1 << 20), log());
    for page in [page(0, 1024), page(1024, 2048), page(2048, 3072)] {
        cache.insert(&log, &page, false);
    }
    set_start(&log, 1500);
    cache.drop_deleted(&log);
    assert_eq!(miss(&mut cache, &log, 1510), (1500, 2048));
    assert!(hit(&mut cache, &log, 2048));
    assert_eq!((cache.bytes, cache.uses.len()), (cost(&page(2048, 3072)), 1));
    cache.insert(&log, &page(1024, 2048), false);
    assert_eq!(miss(&mut cache, &log, 1510), (1500, 2048));
}

#[test]
fn the_page_not_used_for_longest_goes_first_and_bytes_add_up() {
    let size = cost(&page(0, 100));
    let (mut cache, log) = (PageCache::new(2 * size), log());
    cache.insert(&log, &page(0, 100), false);
    cache.insert(&log, &page(1024, 1124), false);
    assert!(hit(&mut cache, &log, 0));
    cache.insert(&log, &page(2048, 2148), false);
    assert!(hit(&mut cache, &log, 0) && !hit(&mut cache, &log, 1024) && hit(&mut cache, &log, 2048));
    cache.insert(&log, &page(0, 100), false);
    assert_eq!(cache.bytes, 2 * size);
    cache.forget(&log);
    assert_eq!((cache.bytes, cache.uses.len(), cache.logs.len()), (0, 0, 0));
}

#[test]
fn a_replaced_log_takes_no_page() {
    let (mut cache, directory, old) = (PageCache::new(1 << 20), LogDirectory::new(), log());
    directory.put(Arc::clone(&old));
    cache.insert(&old, &page(0, 100), false);
    directory.put(log());
    cache.forget(&old);
    cache.insert(&old, &page(0, 100), false);
    assert!(!hit(&mut cache, &old, 0));
}

#[test]
fn a_place_is_read_from_shortly_before_it_and_one_that_is_read_on_from_where_the_last_page_ended() {
    let (mut cache, log) = (PageCache::new(1 << 20), log());
    let (from, _) = miss(&mut cache, &log, 1_000_000);
    assert!(
        (1_000_000 - FIRST_START_ALIGNMENT..=1_000_000).contains(&from),
        "{from}"
    );
    // A page that ends where its fetch did.
    cache.insert(&log, &page(1_000_000, 1_000_321), false);
    assert_eq!(cache.run_at(&log, 1_000_000), 0);
    let run = cache.run_at(&log, 1_000_321);
    assert!(run > 0);
    // The cache is too small for what comes meanwhile.
    for other in 0..100 {
        cache.insert(
            &log,
            &page(other * PAGE_RECORDS, other * PAGE_RECORDS + 1000),
            false,
        );
    }
    assert!(!hit(&mut cache, &log, 1_000_000));
    assert_eq!(miss(&mut cache, &log, 1_000_321).0, 1_000_321);
    cache.insert(&log, &page(1_000_321, 1_000_400), false);
    assert!(cache.run_at(&log, 1_000_400) > run, "it goes on");
    assert_eq!(cache.run_at(&log, 1_000_321), 0, "it has gone on from there");
}

#[test]
fn a_fetch_from_the_start_of_a_slot_reaches_the_place_whatever_the_size_of_the_records() {
    for size in [1, 100, 700, 5_000, 100_000] {
        let (mut cache, log) = (PageCache::new(1 << 20), log());
        let mut first = PageBuilder::new(0, Encoding::default());
        let value = format!("{{\"n\":\"{}\"}}", "x".repeat(size));
        for offset in 0..10 {
            assert_eq!(first.push(&Record::bare(offset, Some(value.as_bytes()))), Ok(()));
        }
        cache.insert(&log, &Arc::new(first.finish(10)), false);
        for offset in 500_000..501_000 {
            let (from, _) = miss(&mut cache, &log, offset);
            assert!(
                (offset - from) as usize * size <= START_BYTES,
                "{size}: {from}..{offset}"
            );
        }
    }
}
