//! The started partitions of one history reader, and the reads of pages from them.
//!
//! A partition stays started for a while after a page. The next page continues with the data fetched ahead, so that a replay
//! fetches each byte once. Without further reads, a started partition fetches until its queue is full, and then costs only
//! memory.
//!
//! Not here: building the page from the queue (`partition_fetcher`).

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use rdkafka::types::RDKafkaErrorCode;

use super::{
    fetcher_limit::FetcherLimit,
    partition_fetcher::{FetchError, FetchedPage, PartitionFetcher},
    request_queue::PageRequest,
};
use crate::{
    kafka::client::{
        config::PAGE_BYTES,
        raw::{KafkaQueue, KafkaReader},
    },
    position::Offset,
};

/// The started partitions of one reader.
pub(super) struct PartitionFetchers {
    reader: KafkaReader,
    open: Vec<PartitionFetcher>,
    limit: Arc<FetcherLimit>,
}

impl PartitionFetchers {
    /// Creates the set without a started partition, and counts the reader in `limit`.
    pub(super) fn new(reader: KafkaReader, limit: Arc<FetcherLimit>) -> Self {
        limit.add_reader();
        Self {
            reader,
            open: Vec::new(),
            limit,
        }
    }

    /// Reads a page. Waits at most `wait`.
    ///
    /// # Errors
    /// If no whole page came. The partition is then stopped, and the next read starts it afresh.
    pub(super) fn read(&mut self, request: &PageRequest, wait: Duration) -> Result<FetchedPage, FetchError> {
        let deadline = Instant::now() + wait;
        if let Some(mut fetcher) = self.resume(request) {
            match self.finish(fetcher.page(request, deadline), fetcher) {
                // The partition's end was queued before this read and says nothing about now. Read afresh, or return the error to
                // the caller.
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

    /// Starts partitions that will be read next, as far as the limit allows. They fetch during the current read, so that many
    /// short reads take as long as a few.
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

    /// Takes a slot for one more partition, and stops one that was idle for [`IDLE_AFTER`] if there is no free slot. Returns
    /// `false` if there is none.
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

    /// Stops partitions that were idle for too long, and those whose queues may hold records that have been deleted.
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

    /// Returns the started partition if the page begins at its position or shortly behind it. Stops the partition otherwise.
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

    /// Starts a partition. Stops the least recently used ones if the limit is reached.
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

    /// Keeps the partition started for the next page, or stops it if none is expected.
    fn finish(
        &mut self,
        result: Result<FetchedPage, FetchError>,
        mut fetcher: PartitionFetcher,
    ) -> Result<FetchedPage, FetchError> {
        let is_log_append_time = fetcher.is_log_append_time;
        match &result {
            // librdkafka reports the end once, so a second read that waited for it would time out.
            Ok(fetched)
                if !fetched.at_log_end
                    && !fetched.is_broken
                    && fetcher.is_worth_keeping(fetched.page.next()) =>
            {
                fetcher.position = fetched.page.next();
                fetcher.last_used = Instant::now();
                fetcher.expected_bytes = fetched.page.bytes().min(PAGE_BYTES);
                // The records of a page exceed that size only if there is a single one. The memory that the page takes may exceed
                // it anyway.
                fetcher.has_large_records = fetched.bytes > PAGE_BYTES || fetcher.front_size() > PAGE_BYTES;
                if fetcher.has_large_records {
                    // A reader keeps at most one partition with large records started.
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
        self.limit.remove_reader();
    }
}

/// How long a partition stays started without a read. A replaying client asks for the next page once its socket has taken this
/// one, which takes seconds if hundreds replay at once. Each stop in between discards up to 2 MiB of data fetched ahead.
const KEEP_OPEN_FOR: Duration = Duration::from_secs(30);

/// As [`KEEP_OPEN_FOR`], for partitions with large records: these are many megabytes that no budget counts.
const KEEP_LARGE_OPEN_FOR: Duration = Duration::from_millis(500);

/// Time without a read after which a started partition may be stopped for another. Clients that replay one after the other are
/// back sooner.
const IDLE_AFTER: Duration = Duration::from_secs(1);

/// Records that are skipped rather than starting the partition again: as many as a reader keeps queued anyway.
const MAX_SKIPPED: Offset = 1024;
