//! Reads of what is not in memory: a reader for each broker, one read for all who want the same page; and questions to
//! leaders, which a client of their own asks.

mod backoffs;
mod cache;
mod mailbox;
mod questions;
mod rate;
mod search;
mod stale;
mod streams;
mod times;
mod turns;
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
    client::PAGE_BYTES,
    connect::Shared,
    counters::{ClusterLabels, Counters},
    reader::Token,
};
pub(super) use crate::partition::MOST_READERS;
use crate::{
    client::ClientKey,
    partition::{Bounds, History, HistoryError, Page, PartitionLog, Read, TopicPartition},
    position::{Offset, Timestamp},
};
use backoffs::Backoffs;
use cache::{Cache, Lookup};
use mailbox::{Mailbox, PageRead, PageResult, PageWant};
use questions::{Questions, Reply};
use rate::Rate;
use stale::Stale;
use streams::WarmLimit;
use worker::Worker;

/// The history readers of one cluster.
pub(super) struct Pool {
    core: Arc<Core>,
    readers: Mutex<Readers>,
    this: Weak<Self>,
}

/// What the pool and its readers' threads share.
struct Core {
    cluster: Arc<str>,
    shared: Shared,
    /// Made once: pages are counted for every want of every client.
    labels: ClusterLabels,
    config: ClientConfig,
    /// The configuration of the client that asks questions.
    questions: ClientConfig,
    counters: Counters,
    cache: Mutex<Cache>,
    backoffs: Backoffs,
    stale: Stale,
    rate: Rate,
    warm: Arc<WarmLimit>,
}

/// The readers that run, each opened when its broker is first asked.
struct Readers {
    mailboxes: Vec<Arc<Mailbox>>,
    /// Which reader serves a broker.
    of_broker: HashMap<i32, usize>,
    /// Where questions are left, once there was one.
    questions: Option<Arc<Questions>>,
    /// Gone when the pool is closed.
    token: Option<Token>,
}

impl Pool {
    /// A pool without readers; `rate` is in bytes per second, the configurations are those of a reader and of the client that
    /// asks questions.
    pub(super) fn new(
        shared: &Shared,
        [config, questions]: [ClientConfig; 2],
        rate: u64,
        token: Token,
    ) -> Arc<Self> {
        let warm = WarmLimit::new(shared.memory.history);
        Arc::new_cyclic(|this| Self {
            core: Arc::new(Core {
                cluster: Arc::clone(&shared.cluster),
                shared: shared.clone(),
                labels: ClusterLabels {
                    cluster: shared.cluster.to_string(),
                },
                config,
                questions,
                counters: shared.counters.clone(),
                cache: Mutex::new(Cache::new(shared.memory.history).beside(&warm)),
                backoffs: Backoffs::default(),
                stale: Stale::default(),
                rate: Rate::new(rate),
                warm,
            }),
            readers: Mutex::new(Readers {
                mailboxes: Vec::new(),
                of_broker: HashMap::new(),
                questions: None,
                token: Some(token),
            }),
            this: Weak::clone(this),
        })
    }

    /// Asks the leader of a partition for its bounds.
    pub(super) fn ask_bounds(
        &self,
        partition: TopicPartition,
        reply: impl FnOnce(Result<Bounds, HistoryError>) + Send + 'static,
    ) {
        // Dropped, the reply says that there is no answer.
        let reply = Reply::call(reply);
        if let Some(questions) = self.questions() {
            questions.ask_bounds(partition, reply);
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
        readers.token = None;
        readers.end();
    }

    /// Ends the readers; the next to ask gets new ones, which begin with the brokers to ask first.
    pub(super) fn renew(&self) {
        self.readers.lock().end();
    }

    /// The reader of the broker that leads this partition.
    fn reader(&self, partition: &TopicPartition) -> Option<Arc<Mailbox>> {
        let broker = self.core.shared.leaders.of(partition)?;
        let mut readers = self.readers.lock();
        let token = readers.token.clone()?;
        let count = readers.of_broker.len();
        let at = *readers.of_broker.entry(broker).or_insert(count % MOST_READERS);
        if at < readers.mailboxes.len() {
            return readers.mailboxes.get(at).cloned();
        }
        match Worker::spawn(Arc::clone(&self.core), token) {
            Ok(mailbox) => {
                readers.mailboxes.push(Arc::clone(&mailbox));
                self.core.cache.lock().set_readers(readers.mailboxes.len());
                Some(mailbox)
            }
            Err(error) => {
                readers.of_broker.remove(&broker);
                tracing::error!(cluster = %self.core.cluster, broker, "no history reader: {error}");
                None
            }
        }
    }

    /// Where to leave questions.
    fn questions(&self) -> Option<Arc<Questions>> {
        let mut readers = self.readers.lock();
        let token = readers.token.clone()?;
        if readers.questions.is_none() {
            match questions::spawn(Arc::clone(&self.core), token) {
                Ok(questions) => readers.questions = Some(questions),
                Err(error) => {
                    tracing::error!(cluster = %self.core.cluster, "no thread for questions: {error}")
                }
            }
        }
        readers.questions.clone()
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
            damage.led_by(log, self.core.shared.leaders.of(log.partition()));
            if let Some(range) = damage.at(log, offset) {
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
            let want = PageWant {
                log: Arc::clone(log),
                from,
                to,
            };
            // Before the read: what the ring sheds meanwhile does not show that there is more than the answer says.
            let was_history = log.is_history(offset);
            match self.read(want, client).await {
                Ok(PageRead::Page { page, ends }) => {
                    reached = page.next();
                    match page.next() {
                        next if next > offset => {
                            self.core.stale.in_step(log.partition());
                            return Ok(page);
                        }
                        // The tail has read on from there, so there is more.
                        _ if ends && was_history => return Err(self.behind(log)),
                        next if ends && next == offset => return Ok(page),
                        _ if ends => return Err(HistoryError::OutOfRange),
                        _ => {}
                    }
                }
                Ok(PageRead::Moved) => {}
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
            && self.core.shared.damage.at(log, page.next()).is_none()
            && let Some(reader) = self.reader(log.partition())
        {
            let (from, to) = self.core.shared.damage.clip(log, (from, to));
            reader.suggest(PageWant {
                log: Arc::clone(log),
                from,
                to,
            });
        }
    }

    async fn read(&self, want: PageWant, client: ClientKey) -> PageResult {
        let partition = want.log.partition();
        if self.core.backoffs.rests(partition) {
            return Err(HistoryError::Unavailable);
        }
        let reader = self.reader(partition).ok_or(HistoryError::Unavailable)?;
        let (answer, joined) = reader.want(want, client).map_err(|_| HistoryError::Unavailable)?;
        self.core.count_want(joined);
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
            if let Some(offset) = self.ask_time(log, time, client).await? {
                return Ok(Some(offset));
            }
            if self.newest(log).await?.is_some_and(|newest| newest < time) {
                return Ok(None);
            }
        }
        let bounds = self.find_bounds(log).await?;
        search::first_at(bounds, time, |offset| self.find_page(log, offset, ourselves())).await
    }

    /// The timestamp of the newest record, if it is known.
    async fn newest(&self, log: &Arc<PartitionLog>) -> Result<Option<Timestamp>, HistoryError> {
        if let Some(newest) = log.end().timestamp {
            return Ok(Some(newest));
        }
        let bounds = self.find_bounds(log).await?;
        search::newest(bounds, |offset| self.find_page(log, offset, ourselves())).await
    }

    /// Returns the first record at or after `time` as the leader says, or as what is in memory says before it does: while thousands
    /// wait, the first answers and pages tell most of the others.
    async fn ask_time(
        &self,
        log: &Arc<PartitionLog>,
        time: Timestamp,
        client: ClientKey,
    ) -> Result<Option<Offset>, HistoryError> {
        if let Some(offset) = self.time_in_memory(log, time) {
            return Ok(Some(offset));
        }
        let mut answer = pin!(self.question(log, |questions, partition, reply| {
            questions.ask_time(partition, time, client, reply);
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
            Read::Page(page) => page,
            Read::Below => match self.core.cache.lock().find(log, offset) {
                Lookup::Hit(page) => page,
                Lookup::Miss { .. } | Lookup::Below => return None,
            },
            Read::Ahead | Read::Replaced => return None,
        };
        (!page.is_unreadable()).then_some(page)
    }

    async fn find_bounds(&self, log: &Arc<PartitionLog>) -> Result<Bounds, HistoryError> {
        // Before the question: the tail may read on while the answer is on its way.
        let read = log.end().offset;
        let bounds = self.question(log, Questions::ask_bounds).await?;
        if bounds.end < read {
            return Err(self.behind(log));
        }
        self.core.shared.directory.set_start(log, bounds.start);
        Ok(bounds)
    }

    /// Notes that the answer to a question, or a read, is behind what the tail has read, and says so to who asked.
    fn behind(&self, log: &Arc<PartitionLog>) -> HistoryError {
        if log.is_replaced() {
            return HistoryError::Replaced;
        }
        if self.core.stale.behind(log.partition(), Instant::now()) {
            tracing::warn!(
                cluster = %self.core.cluster, partition = %log.partition(),
                "the tail has read further than the broker that history is read from: new clients read it"
            );
            self.renew();
        }
        HistoryError::Unavailable
    }

    async fn question<T: Send + 'static>(
        &self,
        log: &Arc<PartitionLog>,
        ask: impl FnOnce(&Questions, TopicPartition, Reply<T>),
    ) -> Result<T, HistoryError> {
        let questions = self.questions().ok_or(HistoryError::Unavailable)?;
        let (sender, answer) = oneshot::channel();
        ask(&questions, log.partition().clone(), Reply::to(sender));
        let answer = answer.await.unwrap_or(Err(HistoryError::Unavailable))?;
        match log.is_replaced() {
            true => Err(HistoryError::Replaced),
            false => Ok(answer),
        }
    }

    /// Runs one call, and answers in time whatever happens.
    fn call<T, F>(&self, call: impl FnOnce(Arc<Self>) -> F) -> BoxFuture<'static, Result<T, HistoryError>>
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
    fn end(&mut self) {
        self.of_broker.clear();
        for mailbox in self.mailboxes.drain(..) {
            mailbox.close();
        }
        if let Some(questions) = self.questions.take() {
            questions.close();
        }
    }
}

impl History for Pool {
    fn page(
        &self,
        log: &Arc<PartitionLog>,
        offset: Offset,
        client: ClientKey,
    ) -> BoxFuture<'static, Result<Arc<Page>, HistoryError>> {
        let log = Arc::clone(log);
        self.call(move |this| async move {
            let page = this.find_page(&log, offset, client).await?;
            this.read_ahead(&log, &page);
            Ok(page)
        })
    }

    fn bounds(&self, log: &Arc<PartitionLog>) -> BoxFuture<'static, Result<Bounds, HistoryError>> {
        let log = Arc::clone(log);
        self.call(move |this| async move { this.find_bounds(&log).await })
    }

    fn first_at(
        &self,
        log: &Arc<PartitionLog>,
        time: Timestamp,
        client: ClientKey,
    ) -> BoxFuture<'static, Result<Option<Offset>, HistoryError>> {
        let log = Arc::clone(log);
        self.call(move |this| async move { this.find_time(&log, time, client).await })
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

    fn count_want(&self, joined: bool) {
        if joined {
            self.counters.page_joins.get_or_create(&self.labels).inc();
        }
    }
}

#[cfg(test)]
mod tests;

/// Whose turn our own reads take.
fn ourselves() -> ClientKey {
    ClientKey::of(Ipv4Addr::UNSPECIFIED.into())
}

/// When one whose question waits looks into memory again; then after twice as long each time.
const FIRST_LOOK: Duration = Duration::from_millis(50);

/// How many pages are looked through for a time before its leader is asked: microseconds each.
const PAGES_LOOKED_AT: usize = 4;

/// A call that waits for its turn for longer than this is better asked again: the caller may have gone on otherwise.
const CALL: Duration = Duration::from_secs(5);
