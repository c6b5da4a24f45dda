//! Reads pages of the partitions that one history reader serves.
//!
//! A partition stays started for a while after a page: the page that follows goes on with what was fetched ahead, so
//! that a replay fetches each byte once. While nobody reads on, a started partition fetches until its queue is full and
//! then costs memory only.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use rdkafka::types::RDKafkaErrorCode;

use crate::{
    event::Record,
    kafka::{
        client::{
            config::{PAGE_BYTES, PAGE_RECORDS},
            raw::{ItemKind, KafkaQueue, KafkaReader},
        },
        damage::{MAX_OFFSET_GAP, is_damage, is_implausible_offset},
        history::request_queue::PageRequest,
    },
    partition::{Page, PageBuilder, PartitionLog},
    position::Offset,
};

/// The started partitions of one reader.
pub(super) struct PartitionFetchers {
    reader: KafkaReader,
    open: Vec<PartitionFetcher>,
    limit: Arc<FetcherLimit>,
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
    is_broken: bool,
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

/// How many partitions all readers of a cluster keep started beyond the one each reads.
#[derive(Debug)]
pub(super) struct FetcherLimit {
    pub(super) open: AtomicUsize,
    max: usize,
    readers: AtomicUsize,
}

/// A started partition.
struct PartitionFetcher {
    log: Arc<PartitionLog>,
    queue: KafkaQueue,
    /// All records from here on are still to come.
    position: Offset,
    last_used: Instant,
    /// What it has fetched ahead is large.
    has_large_records: bool,
    /// Bytes of the last page: the next is likely to have as many.
    expected_bytes: usize,
    is_log_append_time: bool,
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

impl PartitionFetchers {
    pub(super) fn new(reader: KafkaReader, limit: Arc<FetcherLimit>) -> Self {
        limit.readers.fetch_add(1, Ordering::Relaxed);
        Self {
            reader,
            open: Vec::new(),
            limit,
        }
    }

    /// Reads a page, waiting at most `wait`.
    ///
    /// # Errors
    /// When not a whole page came; the partition is then stopped, and the next read begins afresh.
    pub(super) fn read(&mut self, request: &PageRequest, wait: Duration) -> Result<FetchedPage, FetchError> {
        let deadline = Instant::now() + wait;
        if let Some(mut fetcher) = self.resume(request) {
            match self.finish(fetcher.page(request, deadline), fetcher) {
                // An end that was noted before this read says nothing of now: read afresh, or let the caller.
                Ok(fetched) if fetched.page.range().is_empty() => {}
                result => {
                    return result.map(|fetched| FetchedPage {
                        at_log_end: false,
                        ..fetched
                    });
                }
            }
        }
        let mut fetcher = self.start(request)?;
        self.finish(fetcher.page(request, deadline), fetcher)
    }

    /// Starts partitions that will be read next, as far as the memory for it goes: what they fetch meanwhile is there then, so
    /// that many short reads take as long as a few.
    pub(super) fn start_ahead(&mut self, requests: impl IntoIterator<Item = PageRequest>) {
        for request in requests {
            let partition = request.log.partition();
            if self
                .open
                .iter()
                .any(|fetcher| fetcher.log.partition() == partition)
            {
                continue;
            }
            if !self.make_room_ahead() {
                return;
            }
            match self.open_queue(&request) {
                Ok(queue) => self.open.push(PartitionFetcher::new(&request, queue)),
                Err(_) => self.limit.release(),
            }
        }
    }

    /// Makes room for one more, at the cost of one that nobody has read on for a moment.
    fn make_room_ahead(&mut self) -> bool {
        if self.open.len() < self.limit.per_reader_limit() && self.limit.try_acquire() {
            return true;
        }
        let now = Instant::now();
        let idle = |fetcher: &PartitionFetcher| now.duration_since(fetcher.last_used) >= IDLE_AFTER;
        let Some(at) = self.open.iter().position(idle) else {
            return false;
        };
        let fetcher = self.open.swap_remove(at);
        self.stop(fetcher);
        self.limit.try_acquire()
    }

    /// Stops what nobody has read on for a while, and what may hold records that have been deleted.
    pub(super) fn close_idle(&mut self) {
        let now = Instant::now();
        self.stop_all(|fetcher| {
            let max = if fetcher.has_large_records {
                KEEP_LARGE_OPEN_FOR
            } else {
                KEEP_OPEN_FOR
            };
            now.duration_since(fetcher.last_used) >= max
                || fetcher.log.is_replaced()
                || fetcher.position < fetcher.log.start()
        });
    }

    fn stop_all(&mut self, which: impl Fn(&PartitionFetcher) -> bool) {
        let stopped: Vec<_> = self.open.extract_if(.., |fetcher| which(fetcher)).collect();
        for fetcher in stopped {
            self.stop(fetcher);
        }
    }

    /// The started stream, when the page lies at or shortly behind its position.
    fn resume(&mut self, request: &PageRequest) -> Option<PartitionFetcher> {
        let partition = request.log.partition();
        let at = self
            .open
            .iter()
            .position(|fetcher| fetcher.log.partition() == partition)?;
        let fetcher = self.open.swap_remove(at);
        let ahead = request.from - fetcher.position;
        if Arc::ptr_eq(&fetcher.log, &request.log) && (0..=MAX_SKIPPED).contains(&ahead) {
            return Some(fetcher);
        }
        self.stop(fetcher);
        None
    }

    fn start(&mut self, request: &PageRequest) -> Result<PartitionFetcher, FetchError> {
        while !self.limit.try_acquire() {
            let Some(oldest) = (0..self.open.len()).min_by_key(|at| self.open[*at].last_used) else {
                self.limit.acquire_beyond_limit();
                break;
            };
            let oldest = self.open.swap_remove(oldest);
            self.stop(oldest);
        }
        let queue = self.open_queue(request);
        if queue.is_err() {
            self.limit.release();
        }
        Ok(PartitionFetcher::new(request, queue.map_err(FetchError::Fault)?))
    }

    fn open_queue(&self, request: &PageRequest) -> Result<KafkaQueue, RDKafkaErrorCode> {
        let queue = self.reader.queue()?;
        let partition = request.log.partition();
        self.reader
            .start(&partition.topic, partition.partition, request.from, &queue)?;
        Ok(queue)
    }

    /// Keeps the stream for the page that follows, if there is one to come.
    fn finish(
        &mut self,
        result: Result<FetchedPage, FetchError>,
        mut fetcher: PartitionFetcher,
    ) -> Result<FetchedPage, FetchError> {
        let is_log_append_time = fetcher.is_log_append_time;
        match &result {
            // The end is told once: whoever waits for it again would wait in vain.
            Ok(fetched)
                if !fetched.at_log_end
                    && !fetched.is_broken
                    && fetcher.is_worth_keeping(fetched.page.next()) =>
            {
                fetcher.position = fetched.page.next();
                fetcher.last_used = Instant::now();
                fetcher.expected_bytes = fetched.page.bytes().min(PAGE_BYTES);
                // Records of a page come to more than that only when one alone does; what the page costs in memory may.
                fetcher.has_large_records = fetched.bytes > PAGE_BYTES || fetcher.front_size() > PAGE_BYTES;
                if fetcher.has_large_records {
                    // One is the most that a reader keeps.
                    self.stop_all(|fetcher| fetcher.has_large_records);
                }
                self.open.push(fetcher);
            }
            Err(FetchError::Fault(code) | FetchError::Unreadable(code)) => {
                self.reader.count_error(*code);
                self.stop(fetcher);
            }
            _ => self.stop(fetcher),
        }
        result.map(|fetched| FetchedPage {
            is_log_append_time,
            ..fetched
        })
    }

    fn stop(&self, fetcher: PartitionFetcher) {
        let partition = fetcher.log.partition();
        self.reader.stop(&partition.topic, partition.partition);
        self.limit.release();
    }
}

impl Drop for PartitionFetchers {
    fn drop(&mut self) {
        while let Some(fetcher) = self.open.pop() {
            self.stop(fetcher);
        }
        self.limit.readers.fetch_sub(1, Ordering::Relaxed);
    }
}

impl PartitionFetcher {
    fn new(request: &PageRequest, queue: KafkaQueue) -> Self {
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

    fn page(&mut self, request: &PageRequest, deadline: Instant) -> Result<FetchedPage, FetchError> {
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
    fn is_worth_keeping(&self, next: Offset) -> bool {
        self.log.is_history(next) || self.queue.ready_items() as Offset >= PAGE_RECORDS
    }

    /// The size of the record that is known to come next, in bytes; 0 when none is known.
    fn front_size(&mut self) -> usize {
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

impl FetcherLimit {
    /// One that takes at most half of `budget` bytes, but lets each reader read.
    pub(super) fn new(budget: usize) -> Arc<Self> {
        Arc::new(Self {
            open: AtomicUsize::new(0),
            max: budget / 2 / FETCHED_AHEAD_BYTES,
            readers: AtomicUsize::new(0),
        })
    }

    fn try_acquire(&self) -> bool {
        self.open
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |open| {
                (open < self.max).then_some(open + 1)
            })
            .is_ok()
    }

    /// What may have been fetched ahead for those that are open, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.open.load(Ordering::Relaxed).min(self.max) * FETCHED_AHEAD_BYTES
    }

    /// What one reader may start ahead, so that one with many partitions does not take it all from the others.
    fn per_reader_limit(&self) -> usize {
        self.max / self.readers.load(Ordering::Relaxed).max(1)
    }

    /// A reader that has nothing to give up still needs the one partition it reads.
    fn acquire_beyond_limit(&self) {
        self.open.fetch_add(1, Ordering::Relaxed);
    }

    fn release(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

fn size(record: &Record<'_>) -> usize {
    let parts = [record.key, record.value, Some(record.headers.as_bytes())];
    parts.into_iter().flatten().map(<[u8]>::len).sum()
}

/// What a started partition may hold that was fetched ahead: a full queue, and a fetch or one record more.
const FETCHED_AHEAD_BYTES: usize = 2 << 20;

/// How long a partition stays started without a page read of it. Clients that replay come back for the next page when
/// their sockets have taken this one, which takes seconds when hundreds replay at once; each stop in between throws away
/// what was fetched ahead, up to 2 MiB.
const KEEP_OPEN_FOR: Duration = Duration::from_secs(30);

/// How long a page that has records already waits for more: the next read goes on behind them.
const RECORD_WAIT: Duration = Duration::from_millis(500);

/// The same where records are large: they are many megabytes, in no budget.
const KEEP_LARGE_OPEN_FOR: Duration = Duration::from_millis(500);

/// How long a started partition is not taken for one that is to be read next: clients that replay one by one are back sooner.
const IDLE_AFTER: Duration = Duration::from_secs(1);

/// Records it is cheaper to read over than to begin afresh for: what a reader keeps ready anyway.
const MAX_SKIPPED: Offset = 1024;
