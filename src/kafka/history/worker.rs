//! The thread behind one history reader.

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

/// Serves one mailbox until it is closed.
pub(super) struct HistoryWorker {
    core: Arc<PoolCore>,
    queue: Arc<RequestQueue>,
    reader: KafkaReader,
    fetchers: PartitionFetchers,
    /// The last read met silence: a broker that is mute is mute for all its partitions.
    last_read_timed_out: bool,
}

impl HistoryWorker {
    /// Starts the thread, which opens the client: that takes milliseconds, and the caller may be a request.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub(super) fn spawn(core: Arc<PoolCore>, shutdown_guard: ShutdownGuard) -> io::Result<Arc<RequestQueue>> {
        let queue = Arc::new(RequestQueue::default());
        let inbox = Arc::clone(&queue);
        let guard = PanicHandler::new(&core.shared, threads::HISTORY);
        thread::Builder::new()
            .name(threads::HISTORY.to_owned())
            .spawn(move || {
                let rest = |pause| {
                    inbox.finish(&Err(HistoryError::Unavailable));
                    !refuse_requests(&inbox, pause)
                };
                guard.run_with_restarts(rest, || Self::serve(&core, &inbox, &shutdown_guard));
                drop(shutdown_guard);
            })?;
        Ok(queue)
    }

    /// Reads with one client after another, until the mailbox is closed.
    fn serve(core: &Arc<PoolCore>, inbox: &Arc<RequestQueue>, shutdown_guard: &ShutdownGuard) {
        while let Some(reader) = open(core, inbox, shutdown_guard) {
            match Self::new(Arc::clone(core), Arc::clone(inbox), reader).run() {
                WorkerExit::WrongCluster if !refuse_requests(inbox, ANSWER_TIMEOUT) => {}
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

    fn run(mut self) -> WorkerExit {
        loop {
            if let Some(wrong_cluster) = self.reader.wrong_cluster() {
                tracing::error!(cluster = %self.core.cluster, "a history reader begins anew: {wrong_cluster}");
                return WorkerExit::WrongCluster;
            }
            self.reader.poll_events();
            self.fetchers.close_idle();
            let debt = self.core.rate.delay(Instant::now());
            match self.queue.next(
                if debt.is_zero() {
                    POLL_TIMEOUT
                } else {
                    debt.min(POLL_TIMEOUT)
                },
                debt.is_zero(),
            ) {
                Task::Read(request) => {
                    #[cfg(test)]
                    threads::panic_if_requested(&self.core.cluster);
                    self.start_ahead(&request);
                    let result = self.read(&request);
                    self.queue.finish(&result);
                }
                // It is in the cache then, or who wants it is told why not.
                Task::ReadAhead(request) => drop(self.read(&request)),
                Task::Idle => {}
                Task::Close => return WorkerExit::Closed,
            }
        }
    }

    /// Has librdkafka fetch what comes after this read meanwhile.
    fn start_ahead(&mut self, now: &PageRequest) {
        let mut next = self.queue.upcoming(AHEAD);
        let mut cache = self.core.cache.lock();
        next.retain(|request| {
            request.log.partition() != now.log.partition()
                && !self.core.backoffs.is_backing_off(request.log.partition())
                && matches!(cache.find(&request.log, request.from), Lookup::Miss { .. })
        });
        drop(cache);
        self.fetchers.start_ahead(next);
    }

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
        // Whoever looked into the cache a moment before the page came in has asked for it once more.
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
            // Where the log starts is asked for by those who wait, and not by the thread that serves pages.
            Err(FetchError::OutOfRange) => Err(HistoryError::OutOfRange),
            Err(failure) => {
                self.last_read_timed_out = failure == FetchError::TimedOut;
                self.record_failure(partition, failure);
                self.request_search(request, failure);
                Err(HistoryError::Unavailable)
            }
        }
    }

    /// Has it found out whether there is anything to read at all.
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
        // It may have been read before what it begins with was deleted.
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

/// Why a reader's work is over.
enum WorkerExit {
    /// Its mailbox was closed.
    Closed,
    /// The brokers that answer it are those of another cluster.
    WrongCluster,
}

/// Opens a client; `None` when the mailbox was closed before that succeeded.
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
            Err(error) => tracing::error!(cluster = %core.cluster, "no client for a history reader: {error}"),
        }
        // The tail's client was accepted, so it is threads or memory that lack.
        if refuse_requests(queue, ANSWER_TIMEOUT) {
            return None;
        }
    }
}

/// Tells whoever asks that nothing is available, for a while; whether the mailbox was closed meanwhile.
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

/// What a leader gets to answer a question, or to bring a page, before the caller is told that it does not.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// What it gets after it has failed to once: a reconnect and an answer from a healthy broker fit into it.
const SHORT_ANSWER_TIMEOUT: Duration = Duration::from_millis(250);

/// Pages that are fetched while the one before them is read. A read of a short partition to its end takes two fetches, of which
/// the second waits at the broker; with so many at once that is a millisecond for each.
const AHEAD: usize = 32;

/// How long the thread rests at most: librdkafka wants to be heard every second.
const POLL_TIMEOUT: Duration = Duration::from_millis(500);
