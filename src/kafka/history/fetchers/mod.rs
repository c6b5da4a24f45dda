//! The started partitions of one history reader, and the reads of pages from them.
//!
//! A place of a partition is first read with small fetches, each when a page is asked for: a client that wants a few events costs
//! one of them. A partition that is read on from one place, or by a crowd, continues with large fetches, of which one is always
//! under way ([`FetchSize::Run`]). While several places are read so by turns, each gets one fetch at a time, and the next place is
//! fetched while the pages of this one are built ([`PartitionFetchers::hand_over`]).
//!
//! A partition stays started for a while after a page, and the next page continues with the data fetched ahead. What is left of
//! it when the partition is stopped is kept as pages ([`PartitionFetchers::take_leftovers`]), so that a replay fetches each byte
//! once.
//!
//! Not here: building the page from the queue (`partition_fetcher`), and which requests are served (`turns`).

mod ahead;
mod recent_logs;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use self::recent_logs::RecentLogs;
use super::{
    fetch_client::{FetchClient, FetchSize},
    fetched_page::{FetchError, FetchedPage},
    fetcher_limit::FetcherLimit,
    partition_fetcher::PartitionFetcher,
    request_queue::PageRequest,
    run_client::RunClient,
};
use crate::{
    kafka::client::{config::PAGE_BYTES, large_records::LARGE_KEPT, raw::KafkaReader},
    partition::PartitionLog,
};

/// The started partitions of one reader.
pub(super) struct PartitionFetchers {
    reader: KafkaReader,
    run_client: Arc<RunClient>,
    /// At most one of each size for a partition.
    open: Vec<PartitionFetcher>,
    limit: Arc<FetcherLimit>,
    /// The logs in which one place took over from another: another may soon take over again.
    contests: RecentLogs,
    /// When a partition was last found to begin with a large record before it was read.
    large_seen: Option<Instant>,
    /// The logs of which records larger than a page came.
    large_logs: RecentLogs,
    /// Pages of what was left when partitions were stopped.
    leftovers: Vec<(Arc<PartitionLog>, FetchedPage)>,
    /// Bytes fetched that [`take_fetched_bytes`](Self::take_fetched_bytes) has not returned yet.
    fetched: usize,
}

impl PartitionFetchers {
    /// Creates the set without a started partition, and counts the reader in `limit`.
    pub(super) fn new(reader: KafkaReader, run_client: Arc<RunClient>, limit: Arc<FetcherLimit>) -> Self {
        limit.add_reader();
        Self {
            reader,
            run_client,
            open: Vec::new(),
            limit,
            contests: RecentLogs::new(CONTESTED_FOR),
            large_seen: None,
            large_logs: RecentLogs::new(LARGE_KEPT),
            leftovers: Vec::new(),
            fetched: 0,
        }
    }

    /// Returns whether records of this page were fetched already.
    pub(super) fn has_fetched(&self, request: &PageRequest) -> bool {
        let has_some = |fetcher: &PartitionFetcher| {
            fetcher.continues_with(request) && fetcher.was_read && !fetcher.is_used_up()
        };
        self.open.iter().any(has_some)
    }

    /// Reads a page. Waits at most `wait`. A partition that has to be started is started with fetches of `size`, if that many
    /// bytes are free. `next` are the pages of the same partition that are read after it.
    ///
    /// # Errors
    /// If no whole page came. The partition is then stopped, and the next read starts it afresh.
    pub(super) fn read(
        &mut self,
        request: &PageRequest,
        size: FetchSize,
        next: &[(PageRequest, FetchSize)],
        wait: Duration,
    ) -> Result<FetchedPage, FetchError> {
        let deadline = Instant::now() + wait;
        if let Some(last) = self.take_last_of_small(request, size) {
            return Ok(last);
        }
        if let Some(mut fetcher) = self.resume(request, size) {
            self.set_holding_back(&mut fetcher);
            self.wait_for_item(&mut fetcher, deadline);
            if fetcher.position < request.from
                && let Some(skipped) = fetcher.skip_to(request.from)
            {
                self.leftovers.push((Arc::clone(&fetcher.log), skipped));
            }
            self.hand_over(&mut fetcher, next, deadline);
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
        let mut fetcher = self.start(request, size)?;
        self.set_holding_back(&mut fetcher);
        self.wait_for_item(&mut fetcher, deadline);
        self.hand_over(&mut fetcher, next, deadline);
        self.finish(fetcher.page(request, deadline), fetcher)
    }

    /// Stops partitions that were idle for too long, and those whose queues may hold records that have been deleted.
    pub(super) fn close_idle(&mut self) {
        let now = Instant::now();
        self.contests.expire(now);
        self.large_logs.expire(now);
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

    /// Returns the pages of what was fetched ahead for partitions that have been stopped since.
    pub(super) fn take_leftovers(&mut self) -> Vec<(Arc<PartitionLog>, FetchedPage)> {
        std::mem::take(&mut self.leftovers)
    }

    /// Returns the bytes that were fetched since the last call, also those that no page has.
    pub(super) fn take_fetched_bytes(&mut self) -> usize {
        std::mem::take(&mut self.fetched)
    }

    fn stop_all(&mut self, which: impl Fn(&PartitionFetcher) -> bool) {
        let stopped: Vec<_> = self.open.extract_if(.., |fetcher| which(fetcher)).collect();
        for fetcher in stopped {
            self.stop(fetcher);
        }
    }

    /// Takes the started partition out of the set if the page begins at its position or shortly behind it. Returns `None` if it
    /// should be started: also if a small fetch is used up and `size` is that of a run.
    fn resume(&mut self, request: &PageRequest, size: FetchSize) -> Option<PartitionFetcher> {
        let at = self
            .open
            .iter()
            .position(|fetcher| fetcher.continues_with(request))?;
        match self.gives_way_to_run(&self.open[at], request, size) {
            true => None,
            false => Some(self.open.swap_remove(at)),
        }
    }

    /// Returns whether the page is better read by a run than by this partition, whose small fetch is used up.
    fn gives_way_to_run(&self, fetcher: &PartitionFetcher, request: &PageRequest, size: FetchSize) -> bool {
        fetcher.size == FetchSize::Small
            && size == FetchSize::Run
            && fetcher.position == request.from
            && fetcher.is_used_up()
            && self.can_run(request)
    }

    /// Stops a partition with small fetches where a run follows, and returns a page of the record that is held back. Returns `None`
    /// if there is none, or if the run may as well begin with it: it reads the whole batch of the record again.
    fn take_last_of_small(&mut self, request: &PageRequest, size: FetchSize) -> Option<FetchedPage> {
        let ends = |fetcher: &PartitionFetcher| {
            fetcher.continues_with(request)
                && fetcher.has_large_batches()
                && self.gives_way_to_run(fetcher, request, size)
        };
        let at = self.open.iter().position(ends)?;
        let fetcher = self.open.swap_remove(at);
        let is_log_append_time = fetcher.is_log_append_time;
        let last = self.stop_for_pages(fetcher).into_iter().next();
        last.map(|fetched| FetchedPage {
            is_log_append_time,
            ..fetched
        })
    }

    /// Returns whether there is room for a run of the partition.
    fn can_run(&self, request: &PageRequest) -> bool {
        let has_run = |fetcher: &PartitionFetcher| fetcher.size == FetchSize::Run && fetcher.is_of(request);
        self.open.iter().any(has_run) || self.limit.has_room(FetchSize::Run.ahead())
    }

    /// Starts a partition, and stops the same one at another place. Stops the least recently used ones if the limit is reached.
    fn start(&mut self, request: &PageRequest, size: FetchSize) -> Result<PartitionFetcher, FetchError> {
        let client = match size == FetchSize::Run && self.can_run(request) {
            true => self.take_over_run(request),
            false => None,
        };
        let client = client.unwrap_or_else(|| {
            self.stop_all(|fetcher| fetcher.is_of(request) && fetcher.size == FetchSize::Small);
            FetchClient::Own(self.reader.clone())
        });
        let ahead = client.size().ahead();
        while !self.limit.try_acquire(ahead) {
            let Some(oldest) = (0..self.open.len()).min_by_key(|at| self.open[*at].last_used) else {
                self.limit.acquire_beyond_limit(ahead);
                break;
            };
            let oldest = self.open.swap_remove(oldest);
            self.stop(oldest);
        }
        let started = PartitionFetcher::start(request, client);
        if started.is_err() {
            self.limit.release(ahead);
        }
        started.map_err(FetchError::Fault)
    }

    /// Stops what the client for runs reads of the partition, and returns the permit to read it from another place. Returns `None`
    /// if there is none.
    fn take_over_run(&mut self, request: &PageRequest) -> Option<FetchClient> {
        self.note_contest(request);
        self.stop_all(|fetcher| fetcher.is_of(request) && fetcher.size == FetchSize::Run);
        let permit = self.run_client.acquire(request.log.partition())?;
        // Behind a small fetch of small batches that is used up, the run begins with the record that is held back.
        let is_used_up = |fetcher: &PartitionFetcher| {
            fetcher.is_of(request) && fetcher.position == request.from && fetcher.is_used_up()
        };
        if let Some(at) = self.open.iter().position(is_used_up) {
            let fetcher = self.open.swap_remove(at);
            self.discard(fetcher);
        }
        Some(FetchClient::Run(permit))
    }

    /// Records that a place takes over the run of a partition from another one that is still being read.
    fn note_contest(&mut self, request: &PageRequest) {
        let now = Instant::now();
        let is_taken = |fetcher: &PartitionFetcher| {
            fetcher.size == FetchSize::Run
                && fetcher.is_of(request)
                && now.duration_since(fetcher.last_used) < CONTESTED_FOR
        };
        if self.open.iter().any(is_taken) {
            self.contests.record(&request.log);
        }
    }

    /// Lets librdkafka fetch a run on while it is read, unless another place may soon take over: what is then on its way is lost.
    fn set_holding_back(&self, fetcher: &mut PartitionFetcher) {
        let is_contested = self.contests.contains(&fetcher.log);
        fetcher
            .queue
            .hold_back(fetcher.size == FetchSize::Small || is_contested);
    }

    /// Keeps the partition started for the next page, or stops it if none is expected.
    fn finish(
        &mut self,
        result: Result<FetchedPage, FetchError>,
        mut fetcher: PartitionFetcher,
    ) -> Result<FetchedPage, FetchError> {
        let is_log_append_time = fetcher.is_log_append_time;
        self.fetched += fetcher.queue.take_counted();
        let result = match fetcher.is_of_wrong_cluster() {
            true => Err(FetchError::TimedOut),
            false => result,
        };
        match &result {
            // librdkafka reports the end once, so a second read that waited for it would time out.
            Ok(fetched)
                if !fetched.at_log_end
                    && !fetched.is_broken
                    && fetcher.is_worth_keeping(fetched.page.next()) =>
            {
                fetcher.position = fetched.page.next();
                fetcher.last_used = Instant::now();
                fetcher.was_read = true;
                fetcher.expected_bytes = fetched.page.bytes().min(PAGE_BYTES);
                // The records of a page exceed that size only if there is a single one. The memory that the page takes may exceed
                // it anyway.
                fetcher.has_large_records = fetched.bytes > PAGE_BYTES || fetcher.front_size() > PAGE_BYTES;
                if fetcher.has_large_records {
                    self.make_room_beside(&fetcher.log);
                }
                self.open.push(fetcher);
            }
            Ok(fetched) if !fetched.at_log_end && !fetched.is_broken => {
                fetcher.position = fetched.page.next();
                self.stop(fetcher);
            }
            Err(FetchError::Fault(code) | FetchError::Unreadable(code)) => {
                self.reader.count_error(*code);
                self.discard(fetcher);
            }
            _ => self.discard(fetcher),
        }
        result.map(|fetched| FetchedPage {
            is_log_append_time,
            ..fetched
        })
    }

    /// Stops a partition, and keeps what was fetched ahead.
    fn stop(&mut self, fetcher: PartitionFetcher) {
        let log = Arc::clone(&fetcher.log);
        let rest = self.stop_for_pages(fetcher);
        self.leftovers
            .extend(rest.into_iter().map(|fetched| (Arc::clone(&log), fetched)));
    }

    /// Stops a partition, and returns the pages of what was fetched ahead.
    fn stop_for_pages(&mut self, mut fetcher: PartitionFetcher) -> Vec<FetchedPage> {
        let reserved = fetcher.reserved_bytes();
        let rest = fetcher.stop();
        self.fetched += fetcher.queue.take_counted();
        self.limit.release(reserved);
        rest
    }

    /// Stops a partition whose queue holds nothing of use.
    fn discard(&mut self, mut fetcher: PartitionFetcher) {
        let reserved = fetcher.reserved_bytes();
        fetcher.stop_now();
        self.limit.release(reserved);
    }
}

impl Drop for PartitionFetchers {
    fn drop(&mut self) {
        while let Some(fetcher) = self.open.pop() {
            self.discard(fetcher);
        }
        self.limit.remove_reader();
    }
}

/// How long a log counts as read from several places by turns after one of them took over from another.
const CONTESTED_FOR: Duration = Duration::from_secs(1);

/// How long a partition stays started without a read. A replaying client asks for the next page once its socket has taken this
/// one, which takes seconds if hundreds replay at once. Each stop in between starts the next fetch inside a batch of the producer.
const KEEP_OPEN_FOR: Duration = Duration::from_secs(30);

/// As [`KEEP_OPEN_FOR`], for partitions with large records: these are many megabytes that no budget counts.
const KEEP_LARGE_OPEN_FOR: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests;
