//! History pages in memory, and where a page that is not begins.

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
mod tests;
