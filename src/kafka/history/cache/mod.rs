//! Cache of history pages, bounded in bytes.
//!
//! It also says where a page that is missing starts and ends, so that clients at different offsets ask for the same page.
//!
//! Not here: the pages of the tail (`partition`), and requests for pages that are missing (`request_queue`).

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Instant,
};

use super::{
    fetcher_limit::FetcherLimit,
    log_key::{LogKey, key},
    time_index::TimeIndex,
};
use crate::{
    kafka::client::{
        config::{FETCH_BYTES, PAGE_BYTES, PAGE_RECORDS},
        large_records::LargeRecords,
    },
    partition::{Page, PartitionLog, history_records},
    position::{Offset, Timestamp},
};

/// The pages that were read recently, bounded in bytes. The least recently used page is evicted first.
#[derive(Debug)]
pub(super) struct PageCache {
    logs: HashMap<LogKey, LogPages>,
    /// Use number to page: the order of last use.
    uses: BTreeMap<u64, (LogKey, Offset)>,
    last_use: u64,
    bytes: usize,
    budget: usize,
    /// The largest recent record above the size of a page. The budget shrinks by what such records take while in flight.
    large: LargeRecords,
    /// Number of readers, each of which may hold a large record.
    readers: usize,
    /// Limit of the started partitions: what they have fetched ahead counts against the budget.
    fetcher_limit: Option<Arc<FetcherLimit>>,
}

/// Result of a cache lookup.
#[derive(Debug)]
pub(super) enum Lookup {
    /// The page that covers the offset.
    Hit(Arc<Page>),
    /// Not cached. A read of `from..to` covers the offset, unless the page gets too large and ends before it.
    Miss { from: Offset, to: Offset },
    /// The offset is below the log's start.
    Below,
}

/// Cached pages and known times of one log.
#[derive(Debug)]
struct LogPages {
    /// Keeps the address, and so the key, from being reused for another log.
    _log: Arc<PartitionLog>,
    pages: BTreeMap<Offset, CachedPage>,
    /// Pages end at multiples of this, so that clients at different offsets share them. It is a power of two. It is
    /// halved when a page ends early because its records are large, and doubled when twice the records would fit into one page.
    alignment: Offset,
    /// Pages that continue none start at multiples of this, so that one fetch covers the offset that a client wants. It is a
    /// power of two, at most `alignment`.
    start_alignment: Offset,
    /// Where the pages end that were read last, and how many bytes were read in a row up to there.
    runs: BTreeMap<Offset, usize>,
    times: TimeIndex,
}

#[derive(Debug)]
struct CachedPage {
    page: Arc<Page>,
    /// Number of the last use.
    used: u64,
}

impl PageCache {
    /// Creates an empty cache of at most `budget` bytes.
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

    /// Returns the cache with the bytes fetched ahead under `fetcher_limit` taken off its budget.
    pub(super) fn reserving(self, fetcher_limit: &Arc<FetcherLimit>) -> Self {
        Self {
            fetcher_limit: Some(Arc::clone(fetcher_limit)),
            ..self
        }
    }

    /// Returns the memory of the pages, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the page of `log` that covers `offset`, or the range to read for it. A hit counts as a use.
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

    /// Inserts a page. `cut` says that the page ended early for its size.
    pub(super) fn insert(&mut self, log: &Arc<PartitionLog>, page: &Arc<Page>, cut: bool) {
        let range = page.range();
        // Checked under the cache's lock: a log is marked as replaced before it is forgotten, so no page of it is inserted later.
        // Deleted offsets are not inserted either.
        if log.is_replaced() || range.is_empty() || range.start < log.start() {
            return;
        }
        if page.events().len() == 1 {
            // A record that fills a page is alone in it.
            self.large.record(page.bytes(), Instant::now());
        }
        let entry = self.log(log);
        entry.adapt_alignment(page, cut);
        entry.extend_run(page);
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

    /// Returns how many bytes were read in a row up to `offset`; 0 if no page that was read ends there.
    pub(super) fn run_at(&self, log: &Arc<PartitionLog>, offset: Offset) -> usize {
        let runs = self.logs.get(&key(log)).map(|log| &log.runs);
        runs.and_then(|runs| runs.get(&offset)).copied().unwrap_or(0)
    }

    /// Sets the number of readers.
    pub(super) fn set_readers(&mut self, readers: usize) {
        self.readers = readers;
    }

    /// Drops the pages that start below the log's start. If the log now starts inside a page, the rest of that page is dropped as
    /// well, and read again on demand.
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

    /// Records that the first record of the log at or after `time` is at `offset`.
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

    /// Drops all pages and times of a log.
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
            start_alignment: FIRST_START_ALIGNMENT,
            runs: BTreeMap::new(),
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
        let in_flight = history_records(self.readers);
        let budget = self
            .large
            .remaining_budget(self.budget, in_flight, Instant::now());
        let budget = budget.min(self.budget.saturating_sub(ahead));
        // Even the newest page goes if it is too large: the clients that wait have it already, and a later one reads it again.
        while self.bytes > budget
            && let Some((_, (key, start))) = self.uses.pop_first()
        {
            let entry = self.logs.get_mut(&key).and_then(|log| log.pages.remove(&start));
            self.bytes -= entry.map_or(0, |entry| cost(&entry.page));
        }
        // A log without pages may have been replaced, and keeps little more than its key and its times, which can be asked for
        // again.
        if self.logs.len() > self.uses.len() + IDLE_LOGS {
            self.logs.retain(|_, log| !log.pages.is_empty());
        }
    }
}

impl LogPages {
    /// Adapts the alignment to the size of the records. One large record among small ones has little effect.
    fn adapt_alignment(&mut self, page: &Page, cut: bool) {
        let range = page.range();
        if cut {
            self.alignment = (self.alignment / 2).max(1);
        } else if range.end - range.start >= self.alignment && page.bytes() * 2 <= PAGE_BYTES {
            self.alignment = (self.alignment * 2).min(PAGE_RECORDS);
        }
        if !page.events().is_empty() {
            let fitting = (START_BYTES * page.events().len() / page.bytes().max(1)).max(1);
            self.start_alignment = (1 << fitting.ilog2()).min(self.alignment);
        }
    }

    /// Records that the log was read in a row up to the end of `page`.
    fn extend_run(&mut self, page: &Page) {
        let before = self.runs.remove(&page.range().start).unwrap_or(0);
        let (mut end, mut bytes) = (page.next(), before.saturating_add(page.bytes()));
        // What was fetched behind the page has been inserted before it. A client that has to begin there would otherwise begin with
        // small fetches again.
        while let Some(following) = self.pages.get(&end) {
            self.runs.remove(&end);
            end = following.page.next();
            bytes = bytes.saturating_add(following.page.bytes());
        }
        let run = self.runs.entry(end).or_insert(0);
        *run = (*run).max(bytes);
        if self.runs.len() > MAX_RUNS {
            self.runs.pop_first();
        }
    }

    /// Looks up `offset` in a log that starts at `start`.
    fn find(&self, offset: Offset, start: Offset) -> Lookup {
        let slot = offset - offset.rem_euclid(self.alignment);
        let first = match self.runs.contains_key(&offset) {
            true => offset,
            false => offset - offset.rem_euclid(self.start_alignment),
        };
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
        let covered = before.map_or(first, |page| page.next());
        let after = self
            .pages
            .range(offset.saturating_add(1)..)
            .next()
            .map(|(start, _)| *start);
        // Saturating, because an offset that a client made up may be the largest possible.
        let end = slot.saturating_add(self.alignment);
        Lookup::Miss {
            from: first.max(covered).max(start),
            to: after.map_or(end, |after| after.min(end)),
        }
    }
}

/// Returns the memory that a page costs in the cache, in bytes.
fn cost(page: &Page) -> usize {
    page.bytes() + ENTRY_OVERHEAD
}

/// Memory of a page's entries in the cache, in bytes: one entry in `uses` and one in `pages`. With one page in each of thousands
/// of partitions, the latter takes a B-tree node of eleven entries for itself.
const ENTRY_OVERHEAD: usize = 384;

/// Bytes of the records between a multiple of `start_alignment` and the next one: a quarter of a fetch, as what is before the
/// offset of the client that asks first is read for others only.
const START_BYTES: usize = FETCH_BYTES / 4;

/// The start alignment while the size of the records is not known. They have 1 KB and more in most logs.
const FIRST_START_ALIGNMENT: Offset = 64;

/// Runs that are kept of a log. Each costs 40 bytes or less; of more than this, those at its start are forgotten.
const MAX_RUNS: usize = 2048;

/// Logs without pages that are tolerated before they are swept.
const IDLE_LOGS: usize = 1024;

#[cfg(test)]
mod model;

#[cfg(test)]
mod tests;
