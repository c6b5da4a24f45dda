//! History pages in memory, and where a page that is not begins.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Instant,
};

use super::{fetchers::FetcherLimit, time_index::TimeIndex};
use crate::{
    kafka::client::{
        config::{PAGE_BYTES, PAGE_RECORDS},
        large_records::LargeRecords,
    },
    partition::{Page, PartitionLog, history_records},
    position::{Offset, Timestamp},
};

/// The pages read lately, bounded in bytes; the one not used for longest goes first.
#[derive(Debug)]
pub(super) struct PageCache {
    logs: HashMap<LogKey, LogPages>,
    /// Use -> page; uses are numbered.
    uses: BTreeMap<u64, (LogKey, Offset)>,
    last_use: u64,
    bytes: usize,
    budget: usize,
    /// How large single records were of late, and how many readers bring such.
    large: LargeRecords,
    readers: usize,
    /// Partitions that are kept started: what was fetched ahead of them takes its part of the budget.
    fetcher_limit: Option<Arc<FetcherLimit>>,
}

/// A log by identity: two logs of one partition are two keys, also when they bear one tag.
pub(super) type LogKey = usize;

/// What the cache has at an offset.
#[derive(Debug)]
pub(super) enum Lookup {
    /// The page that covers it.
    Hit(Arc<Page>),
    /// Nothing: read from `from` up to `to`, which covers it unless the page gets too large.
    Miss { from: Offset, to: Offset },
    /// It is below the log's start.
    Below,
}

#[derive(Debug)]
struct LogPages {
    /// Keeps the key from becoming another log's.
    _log: Arc<PartitionLog>,
    pages: BTreeMap<Offset, CachedPage>,
    /// Pages begin and end at multiples of this, so that clients cut at many places share them. A power of two, halved
    /// when records turn out to be so large that a page ends early, and doubled when twice the records would fit into one.
    alignment: Offset,
    times: TimeIndex,
}

#[derive(Debug)]
struct CachedPage {
    page: Arc<Page>,
    used: u64,
}

impl PageCache {
    /// An empty one of at most `budget` bytes.
    pub(super) fn new(budget: usize) -> Self {
        Self {
            logs: HashMap::new(),
            uses: BTreeMap::new(),
            last_use: 0,
            bytes: 0,
            budget,
            large: LargeRecords::default(),
            readers: 0,
            fetcher_limit: None,
        }
    }

    /// The same, which leaves of its budget what is fetched ahead.
    pub(super) fn reserving(self, fetcher_limit: &Arc<FetcherLimit>) -> Self {
        Self {
            fetcher_limit: Some(Arc::clone(fetcher_limit)),
            ..self
        }
    }

    /// The page of `log` that covers `offset`, or what to read for it.
    pub(super) fn find(&mut self, log: &Arc<PartitionLog>, offset: Offset) -> Lookup {
        let (key, start) = (key(log), log.start());
        if offset < start {
            return Lookup::Below;
        }
        let found = self.log(log).find(offset, start);
        if let Lookup::Hit(page) = &found {
            self.touch(key, page.range().start);
        }
        found
    }

    /// Takes a page. `cut` says that it ended early for its size.
    pub(super) fn insert(&mut self, log: &Arc<PartitionLog>, page: &Arc<Page>, cut: bool) {
        let range = page.range();
        // Looked at under the cache's lock: a log is replaced first and forgotten then, so nothing of it comes in later. Nor does
        // what has been deleted.
        if log.is_replaced() || range.is_empty() || range.start < log.start() {
            return;
        }
        if page.events().len() == 1 {
            // One that fills a page stands in it alone.
            self.large.record(page.bytes(), Instant::now());
        }
        let entry = self.log(log);
        entry.adapt_alignment(page, cut);
        let old = entry.pages.insert(
            range.start,
            CachedPage {
                page: Arc::clone(page),
                used: 0,
            },
        );
        self.bytes += cost(page);
        if let Some(old) = old {
            self.uses.remove(&old.used);
            self.bytes -= cost(&old.page);
        }
        self.touch(key(log), range.start);
        self.shrink();
    }

    /// Notes how many readers there are.
    pub(super) fn set_readers(&mut self, readers: usize) {
        self.readers = readers;
    }

    /// Drops what lies below the log's start. Of a page that begins there the rest goes as well: it is read again when somebody
    /// wants it.
    pub(super) fn drop_deleted(&mut self, log: &Arc<PartitionLog>) {
        let start = log.start();
        let Some(entry) = self.logs.get_mut(&key(log)) else {
            return;
        };
        let kept = entry.pages.split_off(&start);
        for entry in std::mem::replace(&mut entry.pages, kept).into_values() {
            self.uses.remove(&entry.used);
            self.bytes -= cost(&entry.page);
        }
    }

    /// Notes that the first record of the log at or after `time` is at `offset`.
    pub(super) fn note_time(&mut self, log: &Arc<PartitionLog>, time: Timestamp, offset: Offset) {
        if !log.is_replaced() {
            self.log(log).times.insert(time, offset);
        }
    }

    /// Returns an offset before which the log has no record of `time` or a later one, if one is known.
    pub(super) fn before_time(&self, log: &Arc<PartitionLog>, time: Timestamp) -> Option<Offset> {
        let times = &self.logs.get(&key(log))?.times;
        times.lower_bound(time).filter(|offset| *offset >= log.start())
    }

    /// Drops all that is known of a log.
    pub(super) fn forget(&mut self, log: &Arc<PartitionLog>) {
        for entry in self
            .logs
            .remove(&key(log))
            .into_iter()
            .flat_map(|log| log.pages.into_values())
        {
            self.uses.remove(&entry.used);
            self.bytes -= cost(&entry.page);
        }
    }

    fn log(&mut self, log: &Arc<PartitionLog>) -> &mut LogPages {
        self.logs.entry(key(log)).or_insert_with(|| LogPages {
            _log: Arc::clone(log),
            pages: BTreeMap::new(),
            alignment: PAGE_RECORDS,
            times: TimeIndex::default(),
        })
    }

    fn touch(&mut self, key: LogKey, start: Offset) {
        let Some(entry) = self.logs.get_mut(&key).and_then(|log| log.pages.get_mut(&start)) else {
            return;
        };
        self.last_use += 1;
        self.uses.remove(&entry.used);
        self.uses.insert(self.last_use, (key, start));
        entry.used = self.last_use;
    }

    fn shrink(&mut self) {
        let ahead = self
            .fetcher_limit
            .as_ref()
            .map_or(0, |fetcher_limit| fetcher_limit.bytes());
        let on_their_way = history_records(self.readers);
        let budget = self
            .large
            .remaining_budget(self.budget, on_their_way, Instant::now());
        let budget = budget.min(self.budget.saturating_sub(ahead));
        // The newest page too, if it is too large: all who wait for it have it, and who comes later reads it again.
        while self.bytes > budget
            && let Some((_, (key, start))) = self.uses.pop_first()
        {
            let entry = self.logs.get_mut(&key).and_then(|log| log.pages.remove(&start));
            self.bytes -= entry.map_or(0, |entry| cost(&entry.page));
        }
        // A log without pages, which may be replaced by now, is worth little more than its name: what else is known of it is found out
        // again.
        if self.logs.len() > self.uses.len() + IDLE_LOGS {
            self.logs.retain(|_, log| !log.pages.is_empty());
        }
    }
}

impl LogPages {
    /// Fits the grain to the size of the records, of which one large one among small ones says little.
    fn adapt_alignment(&mut self, page: &Page, cut: bool) {
        let range = page.range();
        if cut {
            self.alignment = (self.alignment / 2).max(1);
        } else if range.end - range.start >= self.alignment && page.bytes() * 2 <= PAGE_BYTES {
            self.alignment = (self.alignment * 2).min(PAGE_RECORDS);
        }
    }

    /// What there is at `offset` in a log that starts at `start`.
    fn find(&self, offset: Offset, start: Offset) -> Lookup {
        let slot = offset - offset.rem_euclid(self.alignment);
        let before = self
            .pages
            .range(..=offset)
            .next_back()
            .map(|(_, entry)| &entry.page);
        if let Some(page) = before
            && page.next() > offset
        {
            return Lookup::Hit(Arc::clone(page));
        }
        let covered = before.map_or(slot, |page| page.next());
        let after = self
            .pages
            .range(offset.saturating_add(1)..)
            .next()
            .map(|(start, _)| *start);
        // An offset that a client made up may be the largest there is.
        let end = slot.saturating_add(self.alignment);
        Lookup::Miss {
            from: slot.max(covered).max(start),
            to: after.map_or(end, |after| after.min(end)),
        }
    }
}

/// Names `log` as long as somebody holds it.
pub(super) fn key(log: &Arc<PartitionLog>) -> LogKey {
    Arc::as_ptr(log).addr()
}

/// What a page costs here, in bytes.
fn cost(page: &Page) -> usize {
    page.bytes() + ENTRY_OVERHEAD
}

/// What a page's places in the cache cost, in bytes: one among the uses, and one among the pages of its log, which has a node of
/// eleven for itself where each of thousands of partitions has one page.
const ENTRY_OVERHEAD: usize = 384;

/// Logs without pages that are not worth a sweep.
const IDLE_LOGS: usize = 1024;

#[cfg(test)]
mod model;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event::{Encoding, Headers, Record},
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
            let _ = page.push(&Record {
                offset,
                timestamp: 0,
                epoch: 0,
                key: None,
                headers: Headers::default(),
                value: Some(b"{}"),
                canary: false,
            });
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
        assert_eq!(miss(&mut cache, &log, 2047), (1024, 2048));
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

    /// Reads a log of small records from its start to `end` as the readers do, with one record at `large` that fills a page
    /// alone; how many pages that took.
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
        // Every page is cut behind three records.
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
        assert_eq!(miss(&mut cache, &log, 600), (500, 1024));
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
        assert_eq!(miss(&mut cache, &log, 1200), (1100, 2048));
    }

    #[test]
    fn what_has_been_deleted_is_dropped_and_does_not_come_in_again() {
        let (mut cache, log) = (PageCache::new(1 << 20), log());
        for page in [page(0, 1024), page(1024, 2048), page(2048, 3072)] {
            cache.insert(&log, &page, false);
        }
        set_start(&log, 1500);
        cache.drop_deleted(&log);
        assert_eq!(miss(&mut cache, &log, 1600), (1500, 2048));
        assert!(hit(&mut cache, &log, 2048));
        assert_eq!((cache.bytes, cache.uses.len()), (cost(&page(2048, 3072)), 1));
        cache.insert(&log, &page(1024, 2048), false);
        assert_eq!(miss(&mut cache, &log, 1600), (1500, 2048));
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
}
