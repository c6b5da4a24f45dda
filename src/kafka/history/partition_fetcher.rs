//! A started partition, and the page that is read from its queue.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use rdkafka::types::RDKafkaErrorCode;

use crate::{
    event::Record,
    kafka::{
        client::{
            config::{PAGE_BYTES, PAGE_RECORDS},
            raw::{ItemKind, KafkaQueue},
        },
        damage::{MAX_OFFSET_GAP, is_damage, is_implausible_offset},
        history::request_queue::PageRequest,
    },
    partition::{Page, PageBuilder, PartitionLog},
    position::Offset,
};

/// A started partition.
pub(super) struct PartitionFetcher {
    pub(super) log: Arc<PartitionLog>,
    queue: KafkaQueue,
    /// All records from here on are still to come.
    pub(super) position: Offset,
    pub(super) last_used: Instant,
    /// What it has fetched ahead is large.
    pub(super) has_large_records: bool,
    /// Bytes of the last page: the next is likely to have as many.
    pub(super) expected_bytes: usize,
    pub(super) is_log_append_time: bool,
}

/// What the front item of a queue means for the page.
enum ItemAction {
    Take,
    /// The page ends before this item, which stays.
    Leave {
        is_cut: bool,
    },
    End(Offset),
    /// What is at this offset cannot be read, and what the queue has behind it is rubbish.
    Break(Offset, RDKafkaErrorCode),
    Fail(FetchError),
}

/// What a read gave.
#[derive(Debug)]
pub(super) struct FetchedPage {
    /// The page; it covers up to where the next read goes on.
    pub(super) page: Page,
    /// The log ended behind it.
    pub(super) at_log_end: bool,
    /// It ended early for its size.
    pub(super) is_cut: bool,
    /// Bytes of keys, headers and values in it.
    pub(super) bytes: usize,
    /// A record of this log bears its broker's time.
    pub(super) is_log_append_time: bool,
    /// What comes behind it in the queue is not to be believed.
    pub(super) is_broken: bool,
}

/// Why a read gave nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FetchError {
    /// The broker says that the first offset is out of range.
    OutOfRange,
    /// Nothing came in time.
    TimedOut,
    /// The broker has something there that cannot be read, says librdkafka.
    Unreadable(RDKafkaErrorCode),
    /// Something else is wrong with the partition.
    Fault(RDKafkaErrorCode),
}

impl PartitionFetcher {
    pub(super) fn new(request: &PageRequest, queue: KafkaQueue) -> Self {
        Self {
            log: Arc::clone(&request.log),
            queue,
            position: request.from,
            last_used: Instant::now(),
            has_large_records: false,
            expected_bytes: 0,
            is_log_append_time: false,
        }
    }

    pub(super) fn page(
        &mut self,
        request: &PageRequest,
        deadline: Instant,
    ) -> Result<FetchedPage, FetchError> {
        let records = (request.to - request.from).clamp(0, PAGE_RECORDS) as usize;
        let mut page =
            PageBuilder::with_capacity(request.from, request.log.encoding(), records, self.expected_bytes);
        let mut bytes = 0;
        while page.next() < request.to {
            let until = || match page.is_empty() {
                true => deadline,
                false => deadline.min(Instant::now() + RECORD_WAIT),
            };
            if !self.queue.has_item() && !self.queue.fill(until()) {
                // Whatever came is of use: the next read goes on behind it.
                return match page.is_empty() {
                    true => Err(FetchError::TimedOut),
                    false => Ok(FetchedPage::of(page, bytes)),
                };
            }
            match self.step(request, &mut page, &mut bytes) {
                ItemAction::Take => self.queue.advance(),
                ItemAction::Leave { is_cut: true } => {
                    return Ok(FetchedPage::new(page, request.from, bytes).cut());
                }
                ItemAction::Leave { is_cut: false } => break,
                ItemAction::End(offset) => return Ok(FetchedPage::new(page, offset, bytes).ending()),
                ItemAction::Break(..) if !page.is_empty() => return Ok(FetchedPage::of(page, bytes).broken()),
                // Of what lies before it nothing is left.
                ItemAction::Break(at, _)
                    if (request.to..request.from.saturating_add(MAX_OFFSET_GAP)).contains(&at) =>
                {
                    return Ok(FetchedPage::new(page, request.to, bytes).broken());
                }
                ItemAction::Break(_, code) => return Err(FetchError::Unreadable(code)),
                ItemAction::Fail(failure) => return Err(failure),
            }
        }
        // What lies between the last record and `to`, or the record that comes behind it, is a hole.
        Ok(FetchedPage::new(page, request.to.max(self.front_offset()), bytes))
    }

    fn step(&mut self, request: &PageRequest, page: &mut PageBuilder, bytes: &mut usize) -> ItemAction {
        let Some(item) = self.queue.front() else {
            return ItemAction::Fail(FetchError::TimedOut);
        };
        self.is_log_append_time |= item.is_log_append_time;
        match item.kind {
            ItemKind::Record(record) if record.offset >= request.to => ItemAction::Leave { is_cut: false },
            ItemKind::Record(record) if record.offset < page.next() => ItemAction::Take,
            ItemKind::Record(record) => {
                let size = size(&record);
                if !page.is_empty() && page.bytes() + size > PAGE_BYTES {
                    return ItemAction::Leave { is_cut: true };
                }
                *bytes += size;
                if let Err(reject) = page.push(&record) {
                    // The tail counts those; here the same one may come by again and again.
                    tracing::debug!(partition = %request.log.partition(), offset = record.offset, "skipped: {reject}");
                }
                ItemAction::Take
            }
            ItemKind::End(offset) => ItemAction::End(offset),
            ItemKind::Fault { code, offset, .. } if is_damage(code) => ItemAction::Break(offset, code),
            ItemKind::Fault { code, offset, .. } if is_implausible_offset(code, offset, page.next()) => {
                ItemAction::Break(page.next(), code)
            }
            ItemKind::Fault { code, .. } => ItemAction::Fail(FetchError::of(code)),
        }
    }

    /// Whether it is to stay started behind a page that ends at `next`.
    ///
    /// Where the tail has taken over, a partition that stays started is fetched twice. But one fetch of small records brings many
    /// pages: thrown away at the edge of the ring, they were fetched once more for each page by which the edge moves on. As long as
    /// so many are ready, librdkafka fetches no more of them.
    pub(super) fn is_worth_keeping(&self, next: Offset) -> bool {
        self.log.is_history(next) || self.queue.ready_items() as Offset >= PAGE_RECORDS
    }

    /// The size of the record that is known to come next, in bytes; 0 when none is known.
    pub(super) fn front_size(&mut self) -> usize {
        match self.queue.front().map(|item| item.kind) {
            Some(ItemKind::Record(record)) => size(&record),
            _ => 0,
        }
    }

    /// The offset of the record that is known to come next; -1 when none is known.
    fn front_offset(&mut self) -> Offset {
        match self.queue.front().map(|item| item.kind) {
            Some(ItemKind::Record(record)) => record.offset,
            _ => -1,
        }
    }
}

impl FetchedPage {
    fn new(page: PageBuilder, next: Offset, bytes: usize) -> Self {
        Self {
            page: page.finish(next),
            at_log_end: false,
            is_cut: false,
            bytes,
            is_log_append_time: false,
            is_broken: false,
        }
    }

    /// One that covers nothing behind its last record.
    fn of(page: PageBuilder, bytes: usize) -> Self {
        let next = page.next();
        Self::new(page, next, bytes)
    }

    fn broken(self) -> Self {
        Self {
            is_broken: true,
            ..self
        }
    }

    fn cut(self) -> Self {
        Self { is_cut: true, ..self }
    }

    fn ending(self) -> Self {
        Self {
            at_log_end: true,
            ..self
        }
    }
}

impl FetchError {
    fn of(code: RDKafkaErrorCode) -> Self {
        match code {
            RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange => Self::OutOfRange,
            code => Self::Fault(code),
        }
    }
}

fn size(record: &Record<'_>) -> usize {
    let parts = [record.key, record.value, Some(record.headers.as_bytes())];
    parts.into_iter().flatten().map(<[u8]>::len).sum()
}

/// How long a page that has records already waits for more: the next read goes on behind them.
const RECORD_WAIT: Duration = Duration::from_millis(500);
