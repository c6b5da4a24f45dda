//! What a log says of itself: the record before an offset, where an epoch begins, and how far it reaches.

use std::sync::Arc;

use super::ResumeResolver;
use crate::{
    event::Event,
    partition::{Bounds, HistoryError, LogRead, Page},
    position::{Epoch, Offset, Timestamp},
};

/// What stands right before an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PrecedingRecord {
    /// A record.
    Record { epoch: Epoch, timestamp: Timestamp },
    /// Nothing any more, or a transaction marker, or what cannot be read.
    Hole(Hole),
    /// The log does not reach there, at either end.
    OutOfRange,
}

/// What stands before a place that has no record right before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Hole {
    /// The epoch of the last record before the place, if one is near.
    pub(super) newest: Option<Epoch>,
    /// Where that begins, between the two, what cannot be read.
    pub(super) unreadable: Option<Offset>,
    /// Whether no record is near, though the log begins further back.
    pub(super) is_long: bool,
}

impl ResumeResolver {
    /// What is known of the record right before `offset`.
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

    /// Looks for the last record before the hole at `at`, which is in `page`: a newer epoch than the id's tells a truncated log
    /// from a compacted one.
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

    /// Returns where that begins which cannot be read right before `offset`, or `offset`.
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

    /// Returns the first of the records right before `offset` that bear no timestamp, or `offset` when that is none: whether they
    /// are older than a time that leads there nobody can tell. When no record with a timestamp stands before them, they are all
    /// that the log begins with; else it is looked back as far as a few pages reach.
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

    /// The first record in `low..end` of an epoch newer than `epoch`, else `end`. Epochs never fall along a log, so a
    /// bisection over pages finds it: twenty pages for a thousand million records.
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
                // The page is a hole: what stands behind it decides.
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

    /// The first record in `low..high`.
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

    /// From the ring, or from history: what the tail has not reached yet the brokers may have.
    async fn page(&self, offset: Offset) -> Result<Arc<Page>, HistoryError> {
        match self.log.read(offset) {
            LogRead::Page(page) => Ok(page),
            LogRead::Replaced => Err(HistoryError::Replaced),
            LogRead::Ahead | LogRead::Below => self.history.page(&self.log, offset, self.client).await,
        }
    }

    pub(super) async fn bounds(&self) -> Result<Bounds, HistoryError> {
        self.history.bounds(&self.log).await
    }
}

/// How far back records without a timestamp are looked for, in pages.
const UNDATED_PAGES: usize = 4;

/// How far back the proof looks for a record when the one it wants is gone: a stranger's id buys bounded work.
const HOLE_PAGES: usize = 4;
