//! A started partition, and the page that is built from its queue.
//!
//! Not here: which partitions are started, and for how long (`fetchers`).

use std::{
    ops::Range,
    sync::Arc,
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
        history::{
            fetch_client::{FetchClient, FetchSize},
            fetched_page::{FetchError, FetchedPage},
            request_queue::PageRequest,
        },
    },
    partition::{PageBuilder, PartitionLog},
    position::Offset,
};

/// A started partition.
pub(super) struct PartitionFetcher {
    pub(super) log: Arc<PartitionLog>,
    /// The client in which it is started; `None` once it is detached.
    client: Option<FetchClient>,
    reader: KafkaReader,
    pub(super) size: FetchSize,
    pub(super) queue: KafkaQueue,
    /// Every record from this offset on is still to come.
    pub(super) position: Offset,
    /// When a page was last read, or when the partition was started.
    pub(super) last_used: Instant,
    /// Whether a page was read.
    pub(super) was_read: bool,
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

impl PartitionFetcher {
    /// Starts the partition of `request` in `client`, at its first offset.
    pub(super) fn start(request: &PageRequest, client: FetchClient) -> Result<Self, RDKafkaErrorCode> {
        let reader = client.reader();
        let mut queue = reader.queue()?;
        if client.size() == FetchSize::Run {
            queue.take_whole_fetches();
        }
        let partition = request.log.partition();
        queue.expect_start_mark();
        reader.start(&partition.topic, partition.partition, request.from, &queue)?;
        Ok(Self::new(request, client, queue))
    }

    fn new(request: &PageRequest, client: FetchClient, queue: KafkaQueue) -> Self {
        Self {
            log: Arc::clone(&request.log),
            size: client.size(),
            reader: client.reader().clone(),
            client: Some(client),
            queue,
            position: request.from,
            last_used: Instant::now(),
            was_read: false,
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
        let mut page = PageBuilder::with_capacity(&request.log, request.from, records, self.expected_bytes);
        let mut bytes = 0;
        if self.size == FetchSize::Run && !self.is_detached() {
            self.queue.top_up();
        }
        while page.next() < request.to {
            let until = || match page.is_empty() {
                true => deadline,
                false => deadline.min(Instant::now() + RECORD_WAIT),
            };
            // The rest of the page costs another fetch, which the client may not need.
            if !page.is_empty() && self.queue.is_at_end_of_fetch(self.size.bytes() / 2) {
                return Ok(FetchedPage::of(page, bytes));
            }
            // So does finding the end of the log, if the ring has what follows.
            if !page.is_empty() && self.queue.ready_items() == 0 && !request.log.is_history(page.next()) {
                return Ok(FetchedPage::of(page, bytes));
            }
            if !self.queue.has_item() && (self.is_detached() || !self.queue.fill(until())) {
                // A partial page is returned: the next read continues behind it.
                return match page.is_empty() && !self.is_detached() {
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

    /// Takes what was fetched out of the client, and stops the partition there. So the client can fetch another place of it while the
    /// pages of this one are built. Waits until `deadline` for the fetch. Returns whether it did: not if `is_needed` says that
    /// another read continues behind these offsets, or if they are less than half of a fetch, as at the end of the log.
    pub(super) fn detach(&mut self, deadline: Instant, is_needed: impl Fn(Range<Offset>) -> bool) -> bool {
        if !self.queue.has_item() && !self.queue.fill(deadline) {
            return false;
        }
        let is_record = self
            .queue
            .front()
            .is_some_and(|item| matches!(item.kind, ItemKind::Record(_)));
        if !is_record || self.queue.is_large() {
            return false;
        }
        let last = self.queue.take_all().unwrap_or(self.position);
        // A read that begins at the record that is held back continues too.
        let fetched = self.position..last.saturating_add(2);
        if self.queue.of_fetch() < self.size.bytes() / 2 || is_needed(fetched) {
            return false;
        }
        self.take_rest();
        self.stop_now();
        true
    }

    /// Returns whether it has left its client, so that nothing more is fetched.
    pub(super) fn is_detached(&self) -> bool {
        self.client.is_none()
    }

    /// Returns the bytes that it may hold.
    pub(super) fn reserved_bytes(&self) -> usize {
        match self.is_detached() {
            true => self.size.bytes(),
            false => self.size.ahead(),
        }
    }

    /// Stops the partition, and returns the pages of what was fetched and not read. librdkafka drops what is on its way.
    pub(super) fn stop(&mut self) -> Vec<FetchedPage> {
        if !self.can_be_drained() {
            self.stop_now();
            return Vec::new();
        }
        if !self.is_detached() {
            self.take_rest();
            self.stop_now();
        }
        self.drain()
    }

    /// Takes what came out of the client if hardly anything is left before the ring begins, as in a short log. The client then fetches
    /// on, and finds the end while other partitions are read: behind transactions the end is a marker, which no fetch brings. It would
    /// cost a round trip of its own otherwise. Returns whether it begins with a large record.
    pub(super) fn take_last_fetch(&mut self) -> bool {
        let is_small = self.size == FetchSize::Small && !self.is_detached();
        if self.was_read || !is_small || self.queue.ready_items() == 0 {
            return false;
        }
        self.queue.hold_back(true);
        if !self.queue.has_item() {
            self.queue.fill(Instant::now());
        }
        if self.queue.is_large() {
            return true;
        }
        let last = self.queue.take_all().unwrap_or(self.position);
        if !self.log.is_history(last.saturating_add(FEW_OFFSETS)) {
            self.queue.hold_back(false);
            self.queue.take_all();
        }
        false
    }

    /// Takes what was fetched out of the client, which is stopped next.
    ///
    /// If the batches of the producer are small, the last record is left. Once the queue is empty librdkafka fetches on within a
    /// millisecond, and stopping it takes as long at times: to read one batch again costs less than a fetch for nothing.
    fn take_rest(&mut self) {
        self.queue.hold_back(true);
        self.queue.take_all();
        if self.has_large_batches() {
            self.queue.hold_back(false);
            self.queue.take_all();
        }
    }

    /// Returns whether the last fetch shows that the batches of the producer are large.
    pub(super) fn has_large_batches(&self) -> bool {
        self.size.shows_large_batches(self.queue.of_fetch())
    }

    /// Stops the partition. What was fetched and not read is dropped.
    pub(super) fn stop_now(&mut self) {
        if let Some(client) = self.client.take() {
            let partition = self.log.partition();
            client.reader().stop(&partition.topic, partition.partition);
        }
    }

    /// Returns whether the records that are queued may be kept as pages.
    fn can_be_drained(&self) -> bool {
        !self.has_large_records
            && !self.log.is_replaced()
            && self.position >= self.log.start()
            && !self.is_of_wrong_cluster()
    }

    /// Makes pages of what was taken out of the client.
    fn drain(&mut self) -> Vec<FetchedPage> {
        let mut pages = Vec::new();
        let mut left = self.queue.buffered();
        while left > 0 && self.queue.has_item() {
            let request = PageRequest {
                log: Arc::clone(&self.log),
                from: self.position,
                to: self
                    .position
                    .max(self.front_offset())
                    .saturating_add(PAGE_RECORDS),
            };
            let Some(fetched) = self.ready_page(&request, &mut left) else {
                break;
            };
            self.position = fetched.page.next();
            let is_last = fetched.at_log_end || fetched.is_broken;
            pages.push(fetched);
            if is_last {
                break;
            }
        }
        pages
    }

    /// Builds a page from at most `left` items that are ready, without waiting for more. Returns `None` if there is no record
    /// among them, or an error.
    fn ready_page(&mut self, request: &PageRequest, left: &mut usize) -> Option<FetchedPage> {
        let records = (*left).min(PAGE_RECORDS as usize);
        let mut page = PageBuilder::with_capacity(&request.log, request.from, records, self.expected_bytes);
        let mut bytes = 0;
        while *left > 0 && (self.queue.has_item() || self.queue.fill(Instant::now())) {
            match self.step(request, &mut page, &mut bytes) {
                ItemAction::Take => self.queue.advance(),
                ItemAction::Leave { is_cut: true } => {
                    return Some(FetchedPage::new(page, request.from, bytes).cut());
                }
                ItemAction::Leave { is_cut: false } if page.is_empty() => return None,
                ItemAction::Leave { is_cut: false } => {
                    return Some(FetchedPage::new(page, request.to, bytes));
                }
                _ => {
                    *left = 0;
                    break;
                }
            }
            *left -= 1;
        }
        (!page.is_empty()).then(|| FetchedPage::of(page, bytes))
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

    /// Returns whether it reads the partition of this request.
    pub(super) fn is_of(&self, request: &PageRequest) -> bool {
        self.log.partition() == request.log.partition()
    }

    /// Returns whether the requested page begins at its position or shortly behind it.
    pub(super) fn continues_with(&self, request: &PageRequest) -> bool {
        let ahead = request.from.saturating_sub(self.position);
        let max = match self.size {
            // Skipping costs less than a start, but not if it takes another fetch.
            FetchSize::Small => self.queue.ready_items() as Offset,
            FetchSize::Run => MAX_SKIPPED,
        };
        Arc::ptr_eq(&self.log, &request.log) && (0..=max.min(MAX_SKIPPED)).contains(&ahead)
    }

    /// Returns a page of what is queued before `offset`, if there is any. The next page begins behind it.
    pub(super) fn skip_to(&mut self, offset: Offset) -> Option<FetchedPage> {
        let request = PageRequest {
            log: Arc::clone(&self.log),
            from: self.position,
            to: offset,
        };
        let mut left = self.queue.ready_items();
        let skipped = self.ready_page(&request, &mut left)?;
        self.position = skipped.page.next();
        Some(skipped)
    }

    /// Returns whether its client is connected to another cluster, so that what came may be of that.
    pub(super) fn is_of_wrong_cluster(&self) -> bool {
        self.size == FetchSize::Run && self.reader.wrong_cluster().is_some()
    }

    /// Returns whether pages were read, and nothing is queued but the record that is held back. Without that one, a fetch is under
    /// way.
    pub(super) fn is_used_up(&self) -> bool {
        self.was_read && self.queue.ready_items() == 1
    }

    /// Returns whether the partition stays started behind a page that ends at `next`, if it is.
    ///
    /// Where the tail has the next page in the ring, a started partition would be fetched twice. But one fetch of small records
    /// brings many pages. If they were discarded at the edge of the ring, they would be fetched again for each page by which the
    /// edge moves on. As long as that many are queued, librdkafka fetches no more.
    pub(super) fn is_worth_keeping(&self, next: Offset) -> bool {
        !self.is_detached()
            && (self.log.is_history(next) || self.queue.ready_items() as Offset >= PAGE_RECORDS)
    }

    /// Returns the size of the first record that came, in bytes; 0 if none came.
    pub(super) fn first_size(&mut self) -> usize {
        if !self.queue.has_item() && self.queue.ready_items() > 0 {
            self.queue.fill(Instant::now());
        }
        self.front_size()
    }

    /// Returns the size of the next record that was taken out of the client's queue, in bytes; 0 if none was.
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

/// Returns the bytes of a record's key, value and headers.
fn size(record: &Record<'_>) -> usize {
    let parts = [record.key, record.value, Some(record.headers.as_bytes())];
    parts.into_iter().flatten().map(<[u8]>::len).sum()
}

/// Records that are skipped rather than starting the partition again: as many as a reader keeps queued anyway.
const MAX_SKIPPED: Offset = 1024;

/// Offsets between the last record of a log and the ring that may all be markers of transactions.
const FEW_OFFSETS: Offset = 64;

/// How long a page that has records waits for another. The next read continues behind it.
const RECORD_WAIT: Duration = Duration::from_millis(500);
