//! The thread of one history reader.
//!
//! Not here: the queue that it serves (`request_queue`), and the started partitions (`fetchers`).

use std::{
    io,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use rdkafka::types::RDKafkaErrorCode;

use super::{
    cache::Lookup,
    fetchers::PartitionFetchers,
    partition_fetcher::{FetchError, FetchedPage},
    pool_core::PoolCore,
    request_queue::{PageRead, PageRequest, PageResult, RequestQueue, Task},
};
use crate::{
    health::FaultSource,
    kafka::{
        client::{config::ClientKind, context::Context, raw::KafkaReader},
        damage::SearchOutcome,
        shutdown_guard::ShutdownGuard,
        threads::{self, PanicHandler},
    },
    partition::{HistoryError, TopicPartition},
};

/// Serves one request queue until it is closed.
pub(super) struct HistoryWorker {
    core: Arc<PoolCore>,
    queue: Arc<RequestQueue>,
    reader: KafkaReader,
    fetchers: PartitionFetchers,
    /// Whether the last read timed out. A broker that does not answer does so for all its partitions, so the next wait is short.
    last_read_timed_out: bool,
}

impl HistoryWorker {
    /// Starts the thread. The thread itself opens the client, since that takes milliseconds and the caller may be handling a
    /// request.
    ///
    /// # Errors
    /// If the system has no thread to give.
    pub(super) fn spawn(core: Arc<PoolCore>, shutdown_guard: ShutdownGuard) -> io::Result<Arc<RequestQueue>> {
        let queue = Arc::new(RequestQueue::default());
        let requests = Arc::clone(&queue);
        let guard = PanicHandler::new(&core.shared, threads::HISTORY);
        thread::Builder::new()
            .name(threads::HISTORY.to_owned())
            .spawn(move || {
                let pause_between_restarts = |pause| {
                    requests.finish(&Err(HistoryError::Unavailable));
                    !refuse_requests(&requests, pause)
                };
                guard.run_with_restarts(pause_between_restarts, || {
                    Self::serve(&core, &requests, &shutdown_guard)
                });
                drop(shutdown_guard);
            })?;
        Ok(queue)
    }

    /// Reads with one client after another, until the queue is closed.
    fn serve(core: &Arc<PoolCore>, requests: &Arc<RequestQueue>, shutdown_guard: &ShutdownGuard) {
        while let Some(reader) = open(core, requests, shutdown_guard) {
            match Self::new(Arc::clone(core), Arc::clone(requests), reader).run() {
                WorkerExit::WrongCluster if !refuse_requests(requests, ANSWER_TIMEOUT) => {}
                WorkerExit::WrongCluster | WorkerExit::Closed => return,
            }
        }
    }

    fn new(core: Arc<PoolCore>, queue: Arc<RequestQueue>, reader: KafkaReader) -> Self {
        Self {
            fetchers: PartitionFetchers::new(reader.clone(), Arc::clone(&core.fetcher_limit)),
            core,
            queue,
            reader,
            last_read_timed_out: false,
        }
    }

    /// Serves requests until the queue is closed, or the brokers turn out to be those of another cluster.
    fn run(mut self) -> WorkerExit {
        loop {
            if let Some(wrong_cluster) = self.reader.wrong_cluster() {
                tracing::error!(
                    cluster = %self.core.cluster,
                    "a history reader is restarted: {wrong_cluster}"
                );
                return WorkerExit::WrongCluster;
            }
            self.reader.poll_events();
            self.fetchers.close_idle();
            let delay = self.core.rate.delay(Instant::now());
            match self.queue.next(
                if delay.is_zero() {
                    POLL_TIMEOUT
                } else {
                    delay.min(POLL_TIMEOUT)
                },
                delay.is_zero(),
            ) {
                Task::Read(request) => {
                    #[cfg(test)]
                    threads::panic_if_requested(&self.core.cluster);
                    self.start_ahead(&request);
                    let result = self.read(&request);
                    self.queue.finish(&result);
                }
                // The page is in the cache afterwards. If the read failed, a client that requests the page gets the error.
                Task::ReadAhead(request) => drop(self.read(&request)),
                Task::Idle => {}
                Task::Close => return WorkerExit::Closed,
            }
        }
    }

    /// Starts the partitions of the next requests, so that librdkafka fetches them during this read.
    fn start_ahead(&mut self, now: &PageRequest) {
        let mut next = self.queue.upcoming(MAX_AHEAD);
        let mut cache = self.core.cache.lock();
        next.retain(|request| {
            request.log.partition() != now.log.partition()
                && !self.core.backoffs.is_backing_off(request.log.partition())
                && matches!(cache.find(&request.log, request.from), Lookup::Miss { .. })
        });
        drop(cache);
        self.fetchers.start_ahead(next);
    }

    /// Reads one page, unless the cache has it or it is known that it cannot be read.
    fn read(&mut self, request: &PageRequest) -> PageResult {
        let partition = request.log.partition();
        if request.log.is_replaced() {
            return Err(HistoryError::Replaced);
        }
        if self.core.backoffs.is_backing_off(partition) {
            return Err(HistoryError::Unavailable);
        }
        if self
            .core
            .shared
            .damage
            .range_at(&request.log, request.from)
            .is_some()
        {
            return Ok(PageRead::Unreadable);
        }
        // A client that missed the cache just before the page arrived has requested it again.
        if let Lookup::Hit(page) = self.core.cache.lock().find(&request.log, request.from) {
            return Ok(PageRead::Page {
                page,
                at_log_end: false,
            });
        }
        let wait = if self.last_read_timed_out {
            SHORT_ANSWER_TIMEOUT
        } else {
            ANSWER_TIMEOUT
        };
        let read = self.fetchers.read(request, wait);
        if self.reader.wrong_cluster().is_some() {
            return Err(HistoryError::Unavailable);
        }
        match read {
            Ok(fetched) => Ok(self.store(request, fetched)),
            // The waiting clients query the log's start themselves: this thread serves pages only.
            Err(FetchError::OutOfRange) => Err(HistoryError::OutOfRange),
            Err(failure) => {
                self.last_read_timed_out = failure == FetchError::TimedOut;
                self.record_failure(partition, failure);
                self.request_search(request, failure);
                Err(HistoryError::Unavailable)
            }
        }
    }

    /// Requests a search for damage at the start of the page.
    fn request_search(&self, request: &PageRequest, failure: FetchError) {
        let code = match failure {
            FetchError::Unreadable(code) => Some(code),
            FetchError::TimedOut => None,
            FetchError::OutOfRange | FetchError::Fault(_) => return,
        };
        let (core, log) = (Arc::clone(&self.core), Arc::clone(&request.log));
        let reply = move |outcome| {
            if let SearchOutcome::Unreadable(_) = outcome {
                core.backoffs.clear(log.partition());
                core.shared.record_success(log.partition(), FaultSource::History);
            }
        };
        let damage = &self.core.shared.damage;
        damage.request_search(&request.log, request.from, code, Box::new(reply));
    }

    /// Counts and caches a page.
    fn store(&mut self, request: &PageRequest, fetched: FetchedPage) -> PageRead {
        self.last_read_timed_out = false;
        self.core.backoffs.clear(request.log.partition());
        self.core
            .shared
            .record_success(request.log.partition(), FaultSource::History);
        self.core.rate.consume(fetched.bytes, Instant::now());
        self.core.count_page(fetched.bytes);
        if fetched.is_log_append_time {
            self.core.shared.note_log_append_time(&request.log);
        }
        // The first records may have been deleted since they were read.
        let page = Arc::new(match fetched.page.without_deleted(request.log.start()) {
            Some(rest) => rest,
            None => fetched.page,
        });
        self.core.cache.lock().insert(&request.log, &page, fetched.is_cut);
        PageRead::Page {
            page,
            at_log_end: fetched.at_log_end,
        }
    }

    /// Backs off from the partition, and reports the fault.
    fn record_failure(&self, partition: &TopicPartition, failure: FetchError) {
        self.core.backoffs.record_failure(partition);
        let code = match failure {
            FetchError::Fault(code) | FetchError::Unreadable(code) => code,
            FetchError::OutOfRange => RDKafkaErrorCode::OffsetOutOfRange,
            FetchError::TimedOut => {
                self.reader.count_error(RDKafkaErrorCode::OperationTimedOut);
                RDKafkaErrorCode::OperationTimedOut
            }
        };
        self.core
            .shared
            .record_fault(partition, FaultSource::History, code, "");
        tracing::debug!(cluster = %self.core.cluster, %partition, ?failure, "a read of history failed");
    }
}

/// Why a reader's run ended.
enum WorkerExit {
    /// The queue was closed.
    Closed,
    /// The brokers belong to another cluster.
    WrongCluster,
}

/// Opens a client. Retries until it succeeds; returns `None` if the queue was closed before that.
fn open(core: &PoolCore, queue: &RequestQueue, shutdown_guard: &ShutdownGuard) -> Option<KafkaReader> {
    loop {
        let context = Context::new(&core.shared, ClientKind::History);
        match KafkaReader::open(
            &core.config,
            context,
            &core.shared.identity,
            shutdown_guard.clone(),
        ) {
            Ok(reader) => return Some(reader),
            Err(error) => tracing::error!(
                cluster = %core.cluster,
                "cannot create the Kafka client of a history reader: {error}"
            ),
        }
        // The tail's client was accepted, so the system lacks threads or memory.
        if refuse_requests(queue, ANSWER_TIMEOUT) {
            return None;
        }
    }
}

/// Answers all requests with [`HistoryError::Unavailable`] for `wait`. Returns whether the queue was closed meanwhile.
fn refuse_requests(queue: &RequestQueue, wait: Duration) -> bool {
    let again = Instant::now() + wait;
    while Instant::now() < again {
        match queue.next(again.saturating_duration_since(Instant::now()), true) {
            Task::Read(_) => queue.finish(&Err(HistoryError::Unavailable)),
            Task::ReadAhead(_) | Task::Idle => {}
            Task::Close => return true,
        }
    }
    false
}

/// Time that a leader has to deliver a page before the request fails.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// The same after a read that timed out: a reconnect and an answer from a healthy broker fit into it.
const SHORT_ANSWER_TIMEOUT: Duration = Duration::from_millis(250);

/// Partitions that are fetched during the current read. Reading a short partition to its end takes two fetches, and the second
/// one waits at the broker. With this many at once, that costs a millisecond each.
const MAX_AHEAD: usize = 32;

/// Longest wait for a request: librdkafka's events must be polled every second.
const POLL_TIMEOUT: Duration = Duration::from_millis(500);
