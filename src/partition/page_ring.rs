//! The newest pages of one log, in memory.

use std::{collections::VecDeque, sync::Arc};

use super::{Page, occupancy::OccupancyGuard};
use crate::position::{LogPosition, LogTag, Offset, Timestamp};

/// The newest pages of one log, sorted by offset. `L` is the log.
#[derive(Debug)]
pub(super) struct PageRing<L> {
    pub(super) pages: VecDeque<Arc<Page>>,
    /// The first offset that the ring covers.
    pub(super) start: Offset,
    /// The first offset after the ring.
    pub(super) next: Offset,
    /// What is known of the record before `next`. The timestamp is that of the last record that had one.
    pub(super) end: LogPosition,
    /// The ring's entry in the total over all rings; `None` until the log is in a directory.
    pub(super) occupancy_guard: Option<OccupancyGuard<L>>,
}

impl<L> PageRing<L> {
    /// Creates an empty ring that begins and ends at `end`.
    pub(super) fn new(end: LogPosition) -> Self {
        Self {
            pages: VecDeque::new(),
            start: end.offset,
            next: end.offset,
            end,
            occupancy_guard: None,
        }
    }

    /// Returns the page that covers `offset`, which must be below the end of the ring; `None` if the ring begins after
    /// it.
    pub(super) fn page_at(&self, offset: Offset) -> Option<Arc<Page>> {
        if offset < self.start {
            return None;
        }
        let index = self.pages.partition_point(|page| page.next() <= offset);
        self.pages.get(index).cloned()
    }

    /// Appends a page of the log `tag`.
    pub(super) fn push(&mut self, page: Page, tag: LogTag) {
        if let Some(last) = page.events().last() {
            self.end = LogPosition {
                offset: last.offset.saturating_add(1),
                timestamp: newest_timestamp(&page).or(self.end.timestamp),
                log: Some(tag),
                epoch: Some(last.epoch).filter(|epoch| *epoch >= 0),
            };
        } else if page.is_unreadable() {
            // A client that starts at the end must start after offsets that cannot be read.
            self.end.offset = page.next();
        }
        self.next = page.next();
        self.pages.push_back(Arc::new(page));
    }

    /// Replaces the small pages right before the newest one by a page with all their events, once there are
    /// [`MERGED_PAGES`] of them. Returns by how many bytes the ring is smaller now.
    ///
    /// Where records come one by one, each is a page of its own: three allocations that stay for as long as the ring has
    /// it, among those of requests that end within milliseconds. In an hour of hostile requests, the holes that these
    /// left between the records took as much memory as the records. The newest page is left alone, because readers are
    /// about to share it.
    pub(super) fn merge_small(&mut self) -> usize {
        let end = self.pages.len().saturating_sub(1);
        let Some(start) = end.checked_sub(MERGED_PAGES) else {
            return 0;
        };
        if !self.pages.range(start..end).all(|page| page.is_small()) {
            return 0;
        }
        let merged: Vec<_> = self.pages.drain(start..end).collect();
        let page = Page::merged(&merged);
        let before: usize = merged.iter().map(|page| page.bytes()).sum();
        let saved = before - page.bytes();
        self.pages.insert(start, Arc::new(page));
        saved
    }

    /// Returns the bytes of the newest page.
    pub(super) fn newest_bytes(&self) -> usize {
        self.pages.back().map_or(0, |page| page.bytes())
    }

    /// Drops what lies below `start`, which must be within the ring. Returns how many bytes are left.
    pub(super) fn cut(&mut self, start: Offset) -> usize {
        self.start = start;
        while self.pages.front().is_some_and(|page| page.next() <= start) {
            self.pages.pop_front();
        }
        if let Some(page) = self.pages.front_mut()
            && let Some(rest) = page.without_deleted(start)
        {
            *page = Arc::new(rest);
        }
        self.pages.iter().map(|page| page.bytes()).sum()
    }
}

/// The number of small pages that become one. Its events are copied once: what comes of it is hardly ever small.
const MERGED_PAGES: usize = 16;

/// Returns the timestamp of the last record of `page` that has one.
fn newest_timestamp(page: &Page) -> Option<Timestamp> {
    let mut times = page.events().iter().rev().map(|event| event.timestamp);
    times.find(|time| *time >= 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event::{Encoding, Record},
        partition::PageBuilder,
    };

    fn ring() -> PageRing<()> {
        PageRing::new(LogPosition {
            offset: 10,
            timestamp: None,
            log: None,
            epoch: None,
        })
    }

    /// Appends a page as a log does. Returns by how much the ring's bytes have grown.
    fn push(ring: &mut PageRing<()>, page: Page) -> isize {
        ring.push(page, LogTag::from_bits(1, 1));
        ring.newest_bytes() as isize - ring.merge_small() as isize
    }

    /// Builds a page of `records` records of `size` bytes each, which begins where the ring ends.
    fn page(ring: &PageRing<()>, records: usize, size: usize) -> Page {
        let mut page = PageBuilder::new(ring.next, Encoding::default());
        let value = format!("[\"{}\"]", "x".repeat(size));
        for offset in (ring.next..).take(records) {
            let pushed = page.push(&Record::bare(offset, Some(value.as_bytes())));
            pushed.expect("a JSON array");
        }
        let next = page.next();
        page.finish(next)
    }

    #[test]
    fn records_that_come_one_by_one_are_not_a_page_each_for_long() {
        let mut ring = ring();
        let mut bytes = 0;
        for _ in 0..1000 {
            let page = page(&ring, 1, 200);
            bytes += push(&mut ring, page);
            let newest = ring.pages.back().expect("a page");
            assert_eq!(newest.events().len(), 1, "the newest is as it came");
        }
        assert!(
            ring.pages.len() < 1000 / MERGED_PAGES + 1 + MERGED_PAGES,
            "{}",
            ring.pages.len()
        );
        let held: usize = ring.pages.iter().map(|page| page.bytes()).sum();
        assert_eq!(bytes, held as isize);
        for offset in 10..1010 {
            let page = ring.page_at(offset).expect("in the ring");
            let event = page.at(offset).expect("no hole");
            assert_eq!(page.lines(event).len(), 200 + "data: [\"\"]\n".len());
        }
    }

    #[test]
    fn pages_that_are_not_small_and_those_that_cannot_be_read_stay_as_they_are() {
        let mut ring = ring();
        let sizes = [(1, 200); 15]
            .into_iter()
            .chain([(1, 5000)])
            .chain([(1, 200); 15]);
        for (records, size) in sizes {
            let page = page(&ring, records, size);
            push(&mut ring, page);
        }
        let damaged = Page::unreadable(ring.next..ring.next + 10);
        push(&mut ring, damaged);
        for _ in 0..40 {
            let page = page(&ring, 16, 1);
            push(&mut ring, page);
        }
        assert_eq!(ring.pages.len(), 15 + 1 + 15 + 1 + 40);
        let damaged = ring.page_at(10 + 31);
        assert!(damaged.is_some_and(|page| page.is_unreadable()));
    }
}
