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
    pub(super) mark: LogPosition,
    /// The ring's entry in the total over all rings; `None` until the log is in a directory.
    pub(super) occupancy_guard: Option<OccupancyGuard<L>>,
}

impl<L> PageRing<L> {
    /// Creates an empty ring that begins at `mark`.
    pub(super) fn new(mark: LogPosition) -> Self {
        Self {
            pages: VecDeque::new(),
            start: mark.offset,
            next: mark.offset,
            mark,
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
            self.mark = LogPosition {
                offset: last.offset.saturating_add(1),
                timestamp: newest_timestamp(&page).or(self.mark.timestamp),
                log: Some(tag),
                epoch: Some(last.epoch).filter(|epoch| *epoch >= 0),
            };
        } else if page.is_unreadable() {
            // A client that starts at the end must start after offsets that cannot be read.
            self.mark.offset = page.next();
        }
        self.next = page.next();
        self.pages.push_back(Arc::new(page));
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

/// Returns the timestamp of the last record of `page` that has one.
fn newest_timestamp(page: &Page) -> Option<Timestamp> {
    let mut times = page.events().iter().rev().map(|event| event.timestamp);
    times.find(|time| *time >= 0)
}
