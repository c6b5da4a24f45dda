//! Reads pages of the partitions that one history reader serves.
//!
//! A partition stays started for a while after a page: the page that follows goes on with what was fetched ahead, so
//! that a replay fetches each byte once. While nobody reads on, a started partition fetches until its queue is full and
//! then costs memory only.

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
    pub(super) fn new(reader: KafkaReader, limit: Arc<FetcherLimit>) -> Self {
        limit.add_reader();
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
        self.limit.remove_reader();
    }
}

/// How long a partition stays started without a page read of it. Clients that replay come back for the next page when
/// their sockets have taken this one, which takes seconds when hundreds replay at once; each stop in between throws away
/// what was fetched ahead, up to 2 MiB.
const KEEP_OPEN_FOR: Duration = Duration::from_secs(30);

/// The same where records are large: they are many megabytes, in no budget.
const KEEP_LARGE_OPEN_FOR: Duration = Duration::from_millis(500);

/// How long a started partition is not taken for one that is to be read next: clients that replay one by one are back sooner.
const IDLE_AFTER: Duration = Duration::from_secs(1);

/// Records it is cheaper to read over than to begin afresh for: what a reader keeps ready anyway.
const MAX_SKIPPED: Offset = 1024;
