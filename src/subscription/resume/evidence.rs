//! Evidence about a log: the record before an offset, where an epoch begins, and the bounds of the log.

use std::sync::Arc;

use super::ResumeResolver;
use crate::{
    event::Event,
    partition::{Bounds, HistoryError, LogRead, Page},
    position::{Epoch, Offset, Timestamp},
};

/// What the log has right before an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PrecedingRecord {
    /// A record.
    Record { epoch: Epoch, timestamp: Timestamp },
    /// No record: it was compacted away, or is a transaction marker, or cannot be read.
    Hole(Hole),
    /// The log does not cover the offset, at either end.
    OutOfRange,
}

/// What is known of a position with no record right before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Hole {
    /// The epoch of the last record before the position, if there is one nearby.
    pub(super) newest: Option<Epoch>,
    /// The start of unreadable offsets between that record and the position, if there are any.
    pub(super) unreadable: Option<Offset>,
    /// Whether there is no record nearby, although the log begins further back.
    pub(super) is_long: bool,
}

impl ResumeResolver {
    /// Returns what is known of the record right before `offset`.
    pub(super) async fn before(&self, offset: Offset) -> Result<PrecedingRecord, HistoryError> {
        let at = offset - 1;
        if at < 0 {
            return Ok(PrecedingRecord::OutOfRange);
        }
        match self.page(at).await {
            Ok(page) if page.range().contains(&at) => match page.at(at) {
                Some(event) => Ok(PrecedingRecord::Record {
                    epoch: event.epoch,
                    timestamp: event.timestamp,
                }),
                None => Ok(PrecedingRecord::Hole(self.hole_before(at, page).await?)),
            },
            Ok(_) | Err(HistoryError::OutOfRange) => Ok(PrecedingRecord::OutOfRange),
            Err(error) => Err(error),
        }
    }

    /// Seeks the last record before the hole at `at`, which is in `page`. A newer epoch than the id's means that the
    /// log was truncated and not just compacted.
    async fn hole_before(&self, at: Offset, page: Arc<Page>) -> Result<Hole, HistoryError> {
        let (mut page, mut hole) = (page, Hole::default());
        for _ in 0..HOLE_PAGES {
            if let Some(event) = page.events()[..page.index_of(at)].last() {
                hole.newest = Some(event.epoch);
                return Ok(hole);
            }
            if page.is_unreadable() {
                hole.unreadable = Some(page.range().start);
            }
            page = match self.page(page.range().start - 1).await {
                Ok(older) if older.next() >= page.range().start => older,
                Ok(_) | Err(HistoryError::OutOfRange) => return Ok(hole),
                Err(error) => return Err(error),
            };
        }
        hole.is_long = true;
        Ok(hole)
    }

    /// Returns the start of the unreadable offsets that end right before `offset`; `offset` if there are none.
    pub(super) async fn with_unreadable(&self, offset: Offset) -> Result<Offset, HistoryError> {
        if offset <= 0 {
            return Ok(offset);
        }
        match self.page(offset - 1).await {
            Ok(page) if page.is_unreadable() && page.range().contains(&(offset - 1)) => {
                Ok(page.range().start)
            }
            Ok(_) | Err(HistoryError::OutOfRange) => Ok(offset),
            Err(error) => Err(error),
        }
    }

    /// Returns the offset of the first in the run of records right before `offset` that have no timestamp; `offset` if
    /// there is no such run. It cannot be known whether these are older than the time that leads to `offset`. If no
    /// record with a timestamp precedes them, they are all that the log begins with. Otherwise the search goes back a
    /// few pages only.
    pub(super) async fn with_undated(&self, offset: Offset) -> Result<Offset, HistoryError> {
        let (mut first, mut at) = (offset, offset);
        for _ in 0..UNDATED_PAGES {
            if at <= 0 {
                return Ok(first);
            }
            let page = match self.page(at - 1).await {
                Ok(page) if page.range().contains(&(at - 1)) && !page.is_unreadable() => page,
                Ok(_) | Err(HistoryError::OutOfRange) => return Ok(first),
                Err(error) => return Err(error),
            };
            let events = &page.events()[..page.index_of(at)];
            let dated = events.iter().rposition(|event| event.timestamp >= 0);
            let undated = events.get(dated.map_or(0, |dated| dated + 1));
            first = undated.map_or(first, |event| event.offset);
            if dated.is_some() {
                return Ok(first);
            }
            at = page.range().start;
        }
        if first == offset {
            return Ok(offset);
        }
        match self.history.first_at(&self.log, 0, self.client).await? {
            Some(oldest) if oldest >= offset => Ok(self.bounds().await?.start),
            _ => Ok(first),
        }
    }

    /// Returns the offset of the first record in `low..end` with an epoch newer than `epoch`; `end` if there is none.
    /// Epochs never decrease along a log, so a binary search over pages finds it: twenty pages for a thousand million
    /// records.
    pub(super) async fn first_newer_than(
        &self,
        epoch: Epoch,
        low: Offset,
        end: Offset,
    ) -> Result<Offset, HistoryError> {
        let (mut low, mut high, mut found) = (low, end, end);
        while low < high {
            let middle = low + (high - low) / 2;
            let page = self.page(middle).await?;
            let first = page.range().start.max(low);
            let events = &page.events()[page.index_of(low)..];
            let older = events.partition_point(|event| event.epoch <= epoch);
            let newer = match events.get(older) {
                // The page is a hole: the first record after it decides.
                None if older == 0 => self.first_from(page.next(), high).await?,
                None => {
                    low = page.next();
                    continue;
                }
                newer => newer.cloned(),
            };
            match newer {
                Some(event) if event.epoch <= epoch => low = event.offset.saturating_add(1),
                Some(event) if older > 0 => return Ok(event.offset.min(end)),
                Some(event) => (high, found) = (first, event.offset.min(end)),
                None => high = first.min(middle),
            }
        }
        Ok(found)
    }

    /// Returns the first record in `low..high`.
    async fn first_from(&self, low: Offset, high: Offset) -> Result<Option<Event>, HistoryError> {
        let mut at = low;
        while at < high {
            let page = self.page(at).await?;
            if let Some(event) = page.events().get(page.index_of(at)) {
                return Ok(Some(event.clone()).filter(|event| event.offset < high));
            }
            if page.next() <= at {
                return Ok(None);
            }
            at = page.next();
        }
        Ok(None)
    }

    /// Returns the page at `offset`, from the ring or from history. Brokers may have what the tail has not read yet.
    async fn page(&self, offset: Offset) -> Result<Arc<Page>, HistoryError> {
        match self.page_at_hand(offset) {
            Some(page) => Ok(page),
            None if self.log.is_replaced() => Err(HistoryError::Replaced),
            None => self.history.page(&self.log, offset, self.client).await,
        }
    }

    /// Returns the page at `offset`, if no broker has to be asked for it.
    fn page_at_hand(&self, offset: Offset) -> Option<Arc<Page>> {
        match self.log.read(offset) {
            LogRead::Page(page) => Some(page),
            LogRead::Replaced => None,
            LogRead::Ahead | LogRead::Below => self.history.page_at_hand(&self.log, offset),
        }
    }

    /// Returns the epoch and the timestamp of the record at `offset`, if there is one and it is at hand.
    pub(super) fn record_at_hand(&self, offset: Offset) -> Option<(Epoch, Timestamp)> {
        if offset < 0 {
            return None;
        }
        let page = self.page_at_hand(offset)?;
        page.at(offset).map(|record| (record.epoch, record.timestamp))
    }

    pub(super) async fn bounds(&self) -> Result<Bounds, HistoryError> {
        self.history.bounds(&self.log).await
    }
}

/// How many pages back records without a timestamp are sought.
const UNDATED_PAGES: usize = 4;

/// How many pages back the proof seeks a record when the one right before the offset is gone. An id from an unknown
/// client buys bounded work.
const HOLE_PAGES: usize = 4;
