//! A started partition, and the page that is built from its queue.
//!
//! Not here: which partitions are started, and for how long (`fetchers`).

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
    /// Every record from this offset on is still to come.
    pub(super) position: Offset,
    /// When a page was last read, or when the partition was started.
    pub(super) last_used: Instant,
    /// Whether records larger than a page are queued.
    pub(super) has_large_records: bool,
    /// Bytes of the last page. The next page is likely to have as many.
    pub(super) expected_bytes: usize,
    pub(super) is_log_append_time: bool,
}

/// Meaning of the front item of a queue for the page being built.
enum ItemAction {
    /// A record that goes into the page, or that is skipped.
    Take,
    /// The page ends before this item, which stays in the queue.
    Leave { is_cut: bool },
    /// The log ends at this offset.
    End(Offset),
    /// Nothing can be read at this offset, and what the queue holds behind it is garbage.
    Break(Offset, RDKafkaErrorCode),
    /// The read failed.
    Fail(FetchError),
}

/// Result of a read.
#[derive(Debug)]
pub(super) struct FetchedPage {
    /// The page. It covers the log up to where the next read continues.
    pub(super) page: Page,
    /// The log ended behind the page.
    pub(super) at_log_end: bool,
    /// The page ended early for its size.
    pub(super) is_cut: bool,
    /// Bytes of the keys, headers and values in the page.
    pub(super) bytes: usize,
    /// A record of this log has a timestamp set by its broker (`LogAppendTime`).
    pub(super) is_log_append_time: bool,
    /// The items behind the page in the queue cannot be trusted.
    pub(super) is_broken: bool,
}

/// Why a read returned no page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FetchError {
    /// The broker says that the first offset is out of range.
    OutOfRange,
    /// Nothing came in time.
    TimedOut,
    /// librdkafka says that there is data, and that it cannot be read.
    Unreadable(RDKafkaErrorCode),
    /// Any other fault of the partition.
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

    /// Builds the requested page from the queue. Waits until `deadline` for the first record, and [`RECORD_WAIT`] for each
    /// further one.
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
                // A partial page is returned: the next read continues behind it.
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
                // A damaged batch behind the page: nothing is left of the offsets before it.
                ItemAction::Break(at, _)
                    if (request.to..request.from.saturating_add(MAX_OFFSET_GAP)).contains(&at) =>
                {
                    return Ok(FetchedPage::new(page, request.to, bytes).broken());
                }
                ItemAction::Break(_, code) => return Err(FetchError::Unreadable(code)),
                ItemAction::Fail(failure) => return Err(failure),
            }
        }
        // Everything between the last record and `to`, or the first record behind it, is a hole.
        Ok(FetchedPage::new(page, request.to.max(self.front_offset()), bytes))
    }

    /// Applies the front item of the queue to the page.
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
                    // Counted by the tail only: history may read the same record many times.
                    tracing::debug!(
                        partition = %request.log.partition(), offset = record.offset,
                        "history skips a record: {reject}"
                    );
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

    /// Returns whether the partition stays started behind a page that ends at `next`.
    ///
    /// Where the tail has the next page in the ring, a started partition would be fetched twice. But one fetch of small records
    /// brings many pages. If they were discarded at the edge of the ring, they would be fetched again for each page by which the
    /// edge moves on. As long as that many are queued, librdkafka fetches no more.
    pub(super) fn is_worth_keeping(&self, next: Offset) -> bool {
        self.log.is_history(next) || self.queue.ready_items() as Offset >= PAGE_RECORDS
    }

    /// Returns the size of the next queued record, in bytes; 0 if none is queued.
    pub(super) fn front_size(&mut self) -> usize {
        match self.queue.front().map(|item| item.kind) {
            Some(ItemKind::Record(record)) => size(&record),
            _ => 0,
        }
    }

    /// Returns the offset of the next queued record; -1 if none is queued.
    fn front_offset(&mut self) -> Offset {
        match self.queue.front().map(|item| item.kind) {
            Some(ItemKind::Record(record)) => record.offset,
            _ => -1,
        }
    }
}

impl FetchedPage {
    /// Finishes a page that covers the log up to `next`.
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

    /// Finishes a page that ends with its last record.
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

/// Returns the bytes of a record's key, value and headers.
fn size(record: &Record<'_>) -> usize {
    let parts = [record.key, record.value, Some(record.headers.as_bytes())];
    parts.into_iter().flatten().map(<[u8]>::len).sum()
}

/// How long a page that has records waits for another. The next read continues behind it.
const RECORD_WAIT: Duration = Duration::from_millis(500);
