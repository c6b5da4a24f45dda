//! Reads of what is not in memory: a reader for each broker, one read for all who want the same page; and questions to
//! leaders, which a client of their own asks.

mod backoffs;
mod cache;
mod fair_queue;
mod fetchers;
mod offset_queries;
mod rate_limiter;
mod request_queue;
mod stale_answers;
mod time_index;
mod time_search;
mod worker;

use std::{
    collections::HashMap,
    net::Ipv4Addr,
    pin::pin,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use futures_util::{FutureExt, future::BoxFuture};
use parking_lot::Mutex;
use rdkafka::ClientConfig;
use tokio::{sync::oneshot, time::timeout};

use super::{
    client::config::PAGE_BYTES,
    metrics::{ClusterLabels, KafkaMetrics},
    shared::ClusterShared,
    shutdown_guard::ShutdownGuard,
};
pub(super) use crate::partition::MAX_HISTORY_READERS;
use crate::{
    client::ClientKey,
    partition::{Bounds, History, HistoryError, LogRead, Page, PartitionLog, TopicPartition},
    position::{Offset, Timestamp},
};
use backoffs::PartitionBackoffs;
use cache::{Lookup, PageCache};
use fetchers::FetcherLimit;
use offset_queries::{OffsetQueries, QueryReply};
use rate_limiter::ByteRateLimiter;
use request_queue::{PageRead, PageRequest, PageResult, RequestQueue};
use stale_answers::StaleAnswers;
use worker::HistoryWorker;

/// The history readers of one cluster.
pub(super) struct HistoryPool {
    core: Arc<Core>,
    readers: Mutex<Readers>,
    this: Weak<Self>,
}

/// What the pool and its readers' threads share.
struct Core {
    cluster: Arc<str>,
    shared: ClusterShared,
    /// Made once: pages are counted for every want of every client.
    labels: ClusterLabels,
    config: ClientConfig,
    /// The configuration of the client that asks questions.
    query_config: ClientConfig,
    counters: KafkaMetrics,
    cache: Mutex<PageCache>,
    backoffs: PartitionBackoffs,
    stale: StaleAnswers,
    rate: ByteRateLimiter,
    fetcher_limit: Arc<FetcherLimit>,
}

/// The readers that run, each opened when its broker is first asked.
struct Readers {
    request_queues: Vec<Arc<RequestQueue>>,
    /// Which reader serves a broker.
    index_by_broker: HashMap<i32, usize>,
    /// Where questions are left, once there was one.
    queries: Option<Arc<OffsetQueries>>,
    /// Gone when the pool is closed.
    shutdown_guard: Option<ShutdownGuard>,
}

impl HistoryPool {
    /// A pool without readers; `rate` is in bytes per second, the configurations are those of a reader and of the client that
    /// asks questions.
    pub(super) fn new(
        shared: &ClusterShared,
        [config, query_config]: [ClientConfig; 2],
        rate: u64,
        shutdown_guard: ShutdownGuard,
    ) -> Arc<Self> {
        let fetcher_limit = FetcherLimit::new(shared.memory.history);
        Arc::new_cyclic(|this| Self {
            core: Arc::new(Core {
                cluster: Arc::clone(&shared.cluster),
                shared: shared.clone(),
                labels: ClusterLabels {
                    cluster: shared.cluster.to_string(),
                },
                config,
                query_config,
                counters: shared.counters.clone(),
                cache: Mutex::new(PageCache::new(shared.memory.history).reserving(&fetcher_limit)),
                backoffs: PartitionBackoffs::default(),
                stale: StaleAnswers::default(),
                rate: ByteRateLimiter::new(rate),
                fetcher_limit,
            }),
            readers: Mutex::new(Readers {
                request_queues: Vec::new(),
                index_by_broker: HashMap::new(),
                queries: None,
                shutdown_guard: Some(shutdown_guard),
            }),
            this: Weak::clone(this),
        })
    }

    /// Asks the leader of a partition for its bounds.
    pub(super) fn query_bounds(
        &self,
        partition: TopicPartition,
        reply: impl FnOnce(Result<Bounds, HistoryError>) + Send + 'static,
    ) {
        // Dropped, the reply says that there is no answer.
        let reply = QueryReply::to_callback(reply);
        if let Some(queries) = self.queries() {
            queries.query_bounds(partition, reply);
        }
    }

    /// Drops the pages of a log that was replaced.
    pub(super) fn forget(&self, log: &Arc<PartitionLog>) {
        self.core.cache.lock().forget(log);
    }

    /// Ends the readers; whoever waits is told that nothing is available.
    pub(super) fn close(&self) {
        self.core.shared.damage.close();
        let mut readers = self.readers.lock();
        readers.shutdown_guard = None;
        readers.close();
    }

    /// Ends the readers; the next to ask gets new ones, which begin with the brokers to ask first.
    pub(super) fn replace_readers(&self) {
        self.readers.lock().close();
    }

    /// The reader of the broker that leads this partition.
    fn reader(&self, partition: &TopicPartition) -> Option<Arc<RequestQueue>> {
        let broker = self.core.shared.leaders.leader(partition)?;
        let mut readers = self.readers.lock();
        let shutdown_guard = readers.shutdown_guard.clone()?;
        let count = readers.index_by_broker.len();
        let at = *readers
            .index_by_broker
            .entry(broker)
            .or_insert(count % MAX_HISTORY_READERS);
        if at < readers.request_queues.len() {
            return readers.request_queues.get(at).cloned();
        }
        match HistoryWorker::spawn(Arc::clone(&self.core), shutdown_guard) {
            Ok(queue) => {
                readers.request_queues.push(Arc::clone(&queue));
                self.core.cache.lock().set_readers(readers.request_queues.len());
                Some(queue)
            }
            Err(error) => {
                readers.index_by_broker.remove(&broker);
                tracing::error!(cluster = %self.core.cluster, broker, "no history reader: {error}");
                None
            }
        }
    }

    /// Where to leave questions.
    fn queries(&self) -> Option<Arc<OffsetQueries>> {
        let mut readers = self.readers.lock();
        let shutdown_guard = readers.shutdown_guard.clone()?;
        if readers.queries.is_none() {
            match offset_queries::spawn(Arc::clone(&self.core), shutdown_guard) {
                Ok(queries) => readers.queries = Some(queries),
                Err(error) => {
                    tracing::error!(cluster = %self.core.cluster, "no thread for questions: {error}")
                }
            }
        }
        readers.queries.clone()
    }

    async fn find_page(
        &self,
        log: &Arc<PartitionLog>,
        offset: Offset,
        client: ClientKey,
    ) -> Result<Arc<Page>, HistoryError> {
        let mut began: Option<Offset> = None;
        // Behind what was read so far, also if the cache had no room for it.
        let mut reached = Offset::MIN;
        loop {
            if log.is_replaced() {
                return Err(HistoryError::Replaced);
            }
            let damage = &self.core.shared.damage;
            damage.set_leader(log, self.core.shared.leaders.leader(log.partition()));
            if let Some(range) = damage.range_at(log, offset) {
                return Ok(Arc::new(Page::unreadable(range)));
            }
            let found = self.core.cache.lock().find(log, offset);
            let (from, to) = match found {
                Lookup::Hit(page) => return Ok(self.core.count_hit(page)),
                Lookup::Below => return Err(HistoryError::OutOfRange),
                Lookup::Miss { from, to } => damage.clip(log, (from.max(reached), to)),
            };
            // Who gets no further asks again after a pause, as after a silence; here it would be a loop without one.
            if began.replace(from).is_some_and(|began| from <= began) {
                return Err(HistoryError::Unavailable);
            }
            let request = PageRequest {
                log: Arc::clone(log),
                from,
                to,
            };
            // Before the read: what the ring sheds meanwhile does not show that there is more than the answer says.
            let was_history = log.is_history(offset);
            match self.read(request, client).await {
                Ok(PageRead::Page { page, at_log_end }) => {
                    reached = page.next();
                    match page.next() {
                        next if next > offset => {
                            self.core.stale.record_fresh(log.partition());
                            return Ok(page);
                        }
                        // The tail has read on from there, so there is more.
                        _ if at_log_end && was_history => return Err(self.report_stale(log)),
                        next if at_log_end && next == offset => return Ok(page),
                        _ if at_log_end => return Err(HistoryError::OutOfRange),
                        _ => {}
                    }
                }
                Ok(PageRead::Unreadable) => {}
                Err(HistoryError::OutOfRange) => {
                    // A page begins on its grid, and the log may begin behind that.
                    let start = self.find_bounds(log).await?.start;
                    if start <= from {
                        return Err(HistoryError::OutOfRange);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Has the page behind this one read while its reader has nothing else to do: a client that reads on comes for it when its
    /// socket has taken this one.
    fn read_ahead(&self, log: &Arc<PartitionLog>, page: &Page) {
        // Large records are not read for nobody.
        if !log.is_history(page.next()) || page.bytes() > PAGE_BYTES {
            return;
        }
        let found = self.core.cache.lock().find(log, page.next());
        if let Lookup::Miss { from, to } = found
            && self.core.shared.damage.range_at(log, page.next()).is_none()
            && let Some(reader) = self.reader(log.partition())
        {
            let (from, to) = self.core.shared.damage.clip(log, (from, to));
            reader.request_ahead(PageRequest {
                log: Arc::clone(log),
                from,
                to,
            });
        }
    }

    async fn read(&self, request: PageRequest, client: ClientKey) -> PageResult {
        let partition = request.log.partition();
        if self.core.backoffs.is_backing_off(partition) {
            return Err(HistoryError::Unavailable);
        }
        let reader = self.reader(partition).ok_or(HistoryError::Unavailable)?;
        let (answer, joined) = reader
            .request(request, client)
            .map_err(|_| HistoryError::Unavailable)?;
        self.core.count_join(joined);
        answer.await.unwrap_or(Err(HistoryError::Unavailable))
    }

    async fn find_time(
        &self,
        log: &Arc<PartitionLog>,
        time: Timestamp,
        client: ClientKey,
    ) -> Result<Option<Offset>, HistoryError> {
        // The second question settles what came in between the first answer and our own look at the newest record.
        for _ in 0..2 {
            if let Some(offset) = self.query_time(log, time, client).await? {
                return Ok(Some(offset));
            }
            if self.newest(log).await?.is_some_and(|newest| newest < time) {
                return Ok(None);
            }
        }
        let bounds = self.find_bounds(log).await?;
        time_search::first_at(bounds, time, |offset| {
            self.find_page(log, offset, own_client_key())
        })
        .await
    }

    /// The timestamp of the newest record, if it is known.
    async fn newest(&self, log: &Arc<PartitionLog>) -> Result<Option<Timestamp>, HistoryError> {
        if let Some(newest) = log.end().timestamp {
            return Ok(Some(newest));
        }
        let bounds = self.find_bounds(log).await?;
        time_search::newest(bounds, |offset| self.find_page(log, offset, own_client_key())).await
    }

    /// Returns the first record at or after `time` as the leader says, or as what is in memory says before it does: while thousands
    /// wait, the first answers and pages tell most of the others.
    async fn query_time(
        &self,
        log: &Arc<PartitionLog>,
        time: Timestamp,
        client: ClientKey,
    ) -> Result<Option<Offset>, HistoryError> {
        if let Some(offset) = self.time_in_memory(log, time) {
            return Ok(Some(offset));
        }
        let mut answer = pin!(self.query(log, |queries, partition, reply| {
            queries.query_time(partition, time, client, reply);
        }));
        let mut pause = FIRST_LOOK;
        loop {
            if let Ok(found) = timeout(pause, &mut answer).await {
                let offset = found?.offset;
                if let Some(offset) = offset {
                    self.core.cache.lock().note_time(log, time, offset);
                }
                return Ok(offset);
            }
            if let Some(offset) = self.time_in_memory(log, time) {
                return Ok(Some(offset));
            }
            pause = pause.saturating_mul(2);
        }
    }

    /// Returns the first record at or after `time`, if pages in memory have it and all that stands between it and a record before
    /// which none is of that time.
    fn time_in_memory(&self, log: &Arc<PartitionLog>, time: Timestamp) -> Option<Offset> {
        let mut at = self.core.cache.lock().before_time(log, time)?;
        for _ in 0..PAGES_LOOKED_AT {
            let page = self.page_in_memory(log, at)?;
            let events = page.events().get(page.index_of(at)..)?;
            if let Some(event) = events.iter().find(|event| event.timestamp >= time) {
                self.core.cache.lock().note_time(log, time, event.offset);
                return Some(event.offset);
            }
            at = page.next();
        }
        None
    }

    /// Returns the page that covers `offset`, unless it is in no memory or cannot be read.
    fn page_in_memory(&self, log: &Arc<PartitionLog>, offset: Offset) -> Option<Arc<Page>> {
        let page = match log.read(offset) {
            LogRead::Page(page) => page,
            LogRead::Below => match self.core.cache.lock().find(log, offset) {
                Lookup::Hit(page) => page,
                Lookup::Miss { .. } | Lookup::Below => return None,
            },
            LogRead::Ahead | LogRead::Replaced => return None,
        };
        (!page.is_unreadable()).then_some(page)
    }

    async fn find_bounds(&self, log: &Arc<PartitionLog>) -> Result<Bounds, HistoryError> {
        // Before the question: the tail may read on while the answer is on its way.
        let read = log.end().offset;
        let bounds = self.query(log, OffsetQueries::query_bounds).await?;
        if bounds.end < read {
            return Err(self.report_stale(log));
        }
        self.core.shared.directory.set_start(log, bounds.start);
        Ok(bounds)
    }

    /// Notes that the answer to a question, or a read, is behind what the tail has read, and says so to who asked.
    fn report_stale(&self, log: &Arc<PartitionLog>) -> HistoryError {
        if log.is_replaced() {
            return HistoryError::Replaced;
        }
        if self.core.stale.record_stale(log.partition(), Instant::now()) {
            tracing::warn!(
                cluster = %self.core.cluster, partition = %log.partition(),
                "the tail has read further than the broker that history is read from: new clients read it"
            );
            self.replace_readers();
        }
        HistoryError::Unavailable
    }

    async fn query<T: Send + 'static>(
        &self,
        log: &Arc<PartitionLog>,
        ask: impl FnOnce(&OffsetQueries, TopicPartition, QueryReply<T>),
    ) -> Result<T, HistoryError> {
        let queries = self.queries().ok_or(HistoryError::Unavailable)?;
        let (sender, answer) = oneshot::channel();
        ask(&queries, log.partition().clone(), QueryReply::to_channel(sender));
        let answer = answer.await.unwrap_or(Err(HistoryError::Unavailable))?;
        match log.is_replaced() {
            true => Err(HistoryError::Replaced),
            false => Ok(answer),
        }
    }

    /// Runs one call, and answers in time whatever happens.
    fn run<T, F>(&self, call: impl FnOnce(Arc<Self>) -> F) -> BoxFuture<'static, Result<T, HistoryError>>
    where
        F: Future<Output = Result<T, HistoryError>> + Send + 'static,
    {
        let Some(this) = self.this.upgrade() else {
            return async { Err(HistoryError::Unavailable) }.boxed();
        };
        let call = call(this);
        async {
            timeout(CALL, call)
                .await
                .unwrap_or(Err(HistoryError::Unavailable))
        }
        .boxed()
    }
}

impl Readers {
    fn close(&mut self) {
        self.index_by_broker.clear();
        for queue in self.request_queues.drain(..) {
            queue.close();
        }
        if let Some(queries) = self.queries.take() {
            queries.close();
        }
    }
}

impl History for HistoryPool {
    fn page(
        &self,
        log: &Arc<PartitionLog>,
        offset: Offset,
        client: ClientKey,
    ) -> BoxFuture<'static, Result<Arc<Page>, HistoryError>> {
        let log = Arc::clone(log);
        self.run(move |this| async move {
            let page = this.find_page(&log, offset, client).await?;
            this.read_ahead(&log, &page);
            Ok(page)
        })
    }

    fn bounds(&self, log: &Arc<PartitionLog>) -> BoxFuture<'static, Result<Bounds, HistoryError>> {
        let log = Arc::clone(log);
        self.run(move |this| async move { this.find_bounds(&log).await })
    }

    fn first_at(
        &self,
        log: &Arc<PartitionLog>,
        time: Timestamp,
        client: ClientKey,
    ) -> BoxFuture<'static, Result<Option<Offset>, HistoryError>> {
        let log = Arc::clone(log);
        self.run(move |this| async move { this.find_time(&log, time, client).await })
    }

    fn drop_deleted(&self, log: &Arc<PartitionLog>) {
        // What the readers fetched ahead they see to themselves.
        self.core.cache.lock().drop_deleted(log);
    }
}

impl Core {
    fn count_page(&self, bytes: usize) {
        self.counters.pages_read.get_or_create(&self.labels).inc();
        self.counters
            .page_bytes
            .get_or_create(&self.labels)
            .inc_by(bytes as u64);
    }

    fn count_hit(&self, page: Arc<Page>) -> Arc<Page> {
        self.counters.page_hits.get_or_create(&self.labels).inc();
        page
    }

    fn count_join(&self, joined: bool) {
        if joined {
            self.counters.page_joins.get_or_create(&self.labels).inc();
        }
    }
}

#[cfg(test)]
mod tests;

/// Whose turn our own reads take.
fn own_client_key() -> ClientKey {
    ClientKey::of(Ipv4Addr::UNSPECIFIED.into())
}

/// When one whose question waits looks into memory again; then after twice as long each time.
const FIRST_LOOK: Duration = Duration::from_millis(50);

/// How many pages are looked through for a time before its leader is asked: microseconds each.
const PAGES_LOOKED_AT: usize = 4;

/// A call that waits for its turn for longer than this is better asked again: the caller may have gone on otherwise.
const CALL: Duration = Duration::from_secs(5);
