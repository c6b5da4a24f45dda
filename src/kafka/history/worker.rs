//! The thread of one history reader.
//!
//! Not here: the queue that it serves (`request_queue`), and the started partitions (`fetchers`).

use std::{
    io,
    ops::ControlFlow,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use rdkafka::types::RDKafkaErrorCode;

use super::{
    cache::Lookup,
    fetch_client::FetchSize,
    fetched_page::{FetchError, FetchedPage},
    fetchers::PartitionFetchers,
    log_key::key,
    pool_core::PoolCore,
    request_queue::{PageRead, PageRequest, PageResult, RequestQueue, Task},
    run_client::RunClient,
};
use crate::{
    client::ClientKey,
    health::FaultSource,
    kafka::{
        client::{
            config::{ClientKind, FETCH_BYTES, RUN_AFTER, RUN_FETCH_BYTES},
            context::Context,
            raw::KafkaReader,
        },
        damage::SearchOutcome,
        shutdown_guard::ShutdownGuard,
        threads::{self, PanicHandler},
    },
    partition::{HistoryError, Page, PartitionLog, TopicPartition},
};

/// Serves one request queue until it is closed.
pub(super) struct HistoryWorker {
    core: Arc<PoolCore>,
    queue: Arc<RequestQueue>,
    reader: KafkaReader,
    run_client: Arc<RunClient>,
    fetchers: PartitionFetchers,
    /// The topics that were read at the last look.
    topics: Arc<[Arc<str>]>,
    /// Whether the last read timed out. A broker that does not answer does so for all its partitions, so the next wait is short.
    last_read_timed_out: bool,
}

impl HistoryWorker {
    /// Starts the thread, which opens the client itself: that takes milliseconds, and the caller may be handling a request.
    ///
    /// # Errors
    /// If the system has no thread.
    pub(super) fn spawn(
        core: Arc<PoolCore>,
        run_client: Arc<RunClient>,
        shutdown_guard: ShutdownGuard,
    ) -> io::Result<Arc<RequestQueue>> {
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
                    Self::serve(&core, &requests, &run_client, &shutdown_guard)
                });
                drop((run_client, shutdown_guard));
            })?;
        Ok(queue)
    }

    /// Reads with one client after another, until the queue is closed.
    fn serve(
        core: &Arc<PoolCore>,
        requests: &Arc<RequestQueue>,
        run_client: &Arc<RunClient>,
        shutdown_guard: &ShutdownGuard,
    ) {
        while let Some(reader) = open(core, requests, shutdown_guard) {
            match Self::new(core, requests, reader, run_client).run() {
                WorkerExit::WrongCluster if !refuse_requests(requests, ANSWER_TIMEOUT) => {}
                WorkerExit::WrongCluster | WorkerExit::Closed => return,
            }
        }
    }

    fn new(
        core: &Arc<PoolCore>,
        queue: &Arc<RequestQueue>,
        reader: KafkaReader,
        run_client: &Arc<RunClient>,
    ) -> Self {
        let limit = Arc::clone(&core.fetcher_limit);
        Self {
            core: Arc::clone(core),
            queue: Arc::clone(queue),
            fetchers: PartitionFetchers::new(reader.clone(), Arc::clone(run_client), limit),
            reader,
            topics: core.shared.topics.get(),
            run_client: Arc::clone(run_client),
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
            self.run_client.poll_events();
            self.fetchers.close_idle();
            self.forget_topics();
            self.settle(None);
            let delay = self.core.rate.delay(Instant::now());
            let wait = match delay.is_zero() {
                true => POLL_TIMEOUT,
                false => delay.min(POLL_TIMEOUT),
            };
            let admit = |client| self.core.turns.admit(client, Instant::now());
            match self.queue.next(wait, delay.is_zero(), admit) {
                Task::Read(request, client) => {
                    #[cfg(test)]
                    threads::panic_if_requested(&self.core.cluster);
                    let next = self.start_ahead(&request);
                    let result = self.read(&request, Some(client), &next);
                    self.queue.finish(&result);
                }
                // The page is in the cache afterwards. If the read failed, a client that requests the page gets the error.
                Task::ReadAhead(request) if self.may_read_ahead(&request) => {
                    drop(self.read(&request, None, &[]))
                }
                Task::ReadAhead(_) | Task::Idle => {}
                Task::Close => return WorkerExit::Closed,
            }
        }
    }

    /// Frees what the clients keep of topics that are not read any more.
    fn forget_topics(&mut self) {
        let before = std::mem::replace(&mut self.topics, self.core.shared.topics.get());
        if !Arc::ptr_eq(&before, &self.topics) {
            self.reader.keep_topics(&self.topics);
            self.run_client.keep_topics(&self.topics);
        }
    }

    /// Starts the partitions of the next requests, so that librdkafka fetches them during this read. Returns the next requests of the
    /// same partition.
    fn start_ahead(&mut self, now: &PageRequest) -> Vec<(PageRequest, FetchSize)> {
        let mut next = self.queue.upcoming();
        next.retain(|(request, _)| {
            !self.core.backoffs.is_backing_off(request.log.partition())
                && matches!(
                    self.core.cache.lock().find(&request.log, request.from),
                    Lookup::Miss { .. }
                )
        });
        let (same, others): (Vec<_>, Vec<_>) = next
            .into_iter()
            .map(|(request, client)| (self.fetch_size(&request, Some(client)), request))
            .map(|(size, request)| (request, size))
            .partition(|(request, _)| request.log.partition() == now.log.partition());
        self.fetchers.start_ahead(others);
        same
    }

    /// Returns the size of the fetches for a page. Large ones have to fit into the cache beside the pages of other clients, and
    /// into what may be read in a moment.
    fn fetch_size(&self, request: &PageRequest, client: Option<ClientKey>) -> FetchSize {
        let run = self.core.cache.lock().run_at(&request.log, request.from);
        let is_crowd = self.queue.has_waiters(request, CROWD);
        let fits = || self.core.turns.fits_run(client, key(&request.log));
        FetchSize::of(run, is_crowd, || self.core.rate.allows(RUN_FETCH_BYTES) && fits())
    }

    /// Returns whether a page is read that no client waits for. A client that wants a few events is not to cost a second fetch, and
    /// pages read ahead for many would displace others.
    fn may_read_ahead(&self, request: &PageRequest) -> bool {
        let run = self.core.cache.lock().run_at(&request.log, request.from);
        self.fetchers.has_fetched(request) || (run >= RUN_AFTER && self.core.turns.is_quiet())
    }

    /// Reads one page, unless the cache has it or it is known that it cannot be read. `next` are those of the same partition that are
    /// read after it.
    fn read(
        &mut self,
        request: &PageRequest,
        client: Option<ClientKey>,
        next: &[(PageRequest, FetchSize)],
    ) -> PageResult {
        let request = match self.look_up_again(request) {
            ControlFlow::Continue(request) => request,
            ControlFlow::Break(answer) => return answer,
        };
        let wait = if self.last_read_timed_out {
            SHORT_ANSWER_TIMEOUT
        } else {
            ANSWER_TIMEOUT
        };
        let size = self.fetch_size(&request, client);
        let read = self.fetchers.read(&request, size, next, wait);
        self.settle(client.map(|client| (client, &request)));
        if self.reader.wrong_cluster().is_some() {
            return Err(HistoryError::Unavailable);
        }
        match read {
            Ok(fetched) => Ok(self.store(&request, fetched)),
            // The waiting clients query the log's start themselves: this thread serves pages only.
            Err(FetchError::OutOfRange) => Err(HistoryError::OutOfRange),
            Err(failure) => {
                self.last_read_timed_out = failure == FetchError::TimedOut;
                self.record_failure(request.log.partition(), failure);
                self.request_search(&request, failure);
                Err(HistoryError::Unavailable)
            }
        }
    }

    /// Returns what is left to read of a page since it was requested, or the answer if there is nothing to read.
    fn look_up_again(&self, request: &PageRequest) -> ControlFlow<PageResult, PageRequest> {
        let (log, damage) = (&request.log, &self.core.shared.damage);
        if log.is_replaced() {
            return ControlFlow::Break(Err(HistoryError::Replaced));
        }
        if self.core.backoffs.is_backing_off(log.partition()) {
            return ControlFlow::Break(Err(HistoryError::Unavailable));
        }
        if damage.range_at(log, request.from).is_some() {
            return ControlFlow::Break(Ok(PageRead::Unreadable));
        }
        let mut left = request.clone();
        match self.core.cache.lock().find(log, request.from) {
            // A client that missed the cache just before the page arrived has requested it again.
            Lookup::Hit(page) => {
                let at_log_end = false;
                return ControlFlow::Break(Ok(PageRead::Page { page, at_log_end }));
            }
            // A page behind it may have come.
            Lookup::Miss { to, .. } => left.to = left.to.min(to),
            Lookup::Below => {}
        }
        ControlFlow::Continue(left)
    }

    /// Counts what was fetched, and caches what was left in the queues of partitions that were stopped.
    fn settle(&mut self, reading: Option<(ClientKey, &PageRequest)>) {
        let bytes = self.fetchers.take_fetched_bytes();
        if bytes > 0 {
            self.core.rate.consume(bytes, Instant::now());
        }
        if let Some((client, request)) = reading {
            self.core.turns.record_read(client, key(&request.log), bytes);
        }
        let leftovers = self.fetchers.take_leftovers();
        if leftovers.is_empty() || self.reader.wrong_cluster().is_some() {
            return;
        }
        for (log, fetched) in leftovers {
            let mut cache = self.core.cache.lock();
            // Another client may have read it meanwhile.
            if let Lookup::Miss { .. } = cache.find(&log, fetched.page.range().start) {
                let page = Arc::new(without_deleted(fetched.page, &log));
                cache.insert(&log, &page, fetched.is_cut);
                self.core.count_page(fetched.bytes);
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
        self.core.count_page(fetched.bytes);
        if fetched.is_log_append_time {
            self.core.shared.note_log_append_time(&request.log);
        }
        let page = Arc::new(without_deleted(fetched.page, &request.log));
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

/// Returns the page without the records that were deleted since they were read.
fn without_deleted(page: Page, log: &PartitionLog) -> Page {
    page.without_deleted(log.start()).unwrap_or(page)
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
        match queue.next(again.saturating_duration_since(Instant::now()), true, |_| true) {
            Task::Read(..) => queue.finish(&Err(HistoryError::Unavailable)),
            Task::ReadAhead(_) | Task::Idle => {}
            Task::Close => return true,
        }
    }
    false
}

/// Callers that wait for a page and together may cost a large fetch, and the one behind it: no more than a small fetch each.
const CROWD: usize = (2 * RUN_FETCH_BYTES).div_ceil(FETCH_BYTES);

/// Time that a leader has to deliver a page before the request fails.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// The same after a read that timed out: a reconnect and an answer from a healthy broker fit into it.
const SHORT_ANSWER_TIMEOUT: Duration = Duration::from_millis(250);

/// Longest wait for a request: librdkafka's events must be polled every second.
const POLL_TIMEOUT: Duration = Duration::from_millis(500);
