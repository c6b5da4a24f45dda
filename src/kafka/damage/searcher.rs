//! The thread that looks at suspected places, one at a time, with a client that is open only meanwhile.

use std::{
    collections::HashMap,
    io,
    ops::Range,
    sync::{Arc, atomic::Ordering, mpsc},
    thread,
    time::{Duration, Instant},
};

use rdkafka::{ClientConfig, types::RDKafkaErrorCode};

use super::{
    LogKey, SearchOutcome, SearchRequest, key,
    probe::ClientProbe,
    search::{self, Inconclusive, OffsetProbe},
};
use crate::{
    kafka::{
        backoff::Backoff,
        client::{config::ClientKind, context::Context, raw::KafkaReader},
        faults,
        metrics::TopicLabels,
        shared::ClusterShared,
        shutdown_guard::ShutdownGuard,
        threads::{self, PanicHandler},
    },
    partition::PartitionLog,
    position::Offset,
};

/// Starts the thread that looks; it ends when [`ClusterShared::damage`] is [closed](super::DamageTracker::close).
///
/// # Errors
/// When the system has no thread to give.
pub(in crate::kafka) fn spawn(
    config: ClientConfig,
    shared: &ClusterShared,
    shutdown_guard: ShutdownGuard,
) -> io::Result<()> {
    let (requests, inbox) = mpsc::sync_channel(MAX_REQUESTS);
    let guard = PanicHandler::new(shared, threads::DAMAGE);
    let searcher = Searcher {
        config,
        shared: shared.clone(),
        shutdown_guard,
        reader: None,
        backoffs: HashMap::new(),
    };
    thread::Builder::new()
        .name(threads::DAMAGE.to_owned())
        .spawn(move || searcher.run(&inbox, &guard))?;
    *shared.damage.requests.lock() = Some(requests);
    Ok(())
}

struct Searcher {
    config: ClientConfig,
    shared: ClusterShared,
    shutdown_guard: ShutdownGuard,
    /// Open while there is something to look at, and a little longer.
    reader: Option<KafkaReader>,
    /// Logs that were looked at in vain, and until when they are left alone.
    backoffs: HashMap<LogKey, (Backoff, Instant)>,
}

impl Searcher {
    fn run(mut self, inbox: &mpsc::Receiver<SearchRequest>, guard: &PanicHandler) {
        loop {
            match inbox.recv_timeout(KEEP_CLIENT_OPEN_FOR) {
                Ok(request) => self.handle(request, guard),
                Err(mpsc::RecvTimeoutError::Timeout) => self.reader = None,
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Answers a suspicion, also after a panic: a place that is never answered is never read again. It is suspected anew after a
    /// pause.
    fn handle(&mut self, request: SearchRequest, guard: &PanicHandler) {
        let SearchRequest {
            log,
            from,
            code,
            reply,
        } = request;
        let outcome = guard
            .catch(|| self.search_if_needed(&log, from, code))
            .unwrap_or_else(|| {
                self.reader = None;
                SearchOutcome::Unknown
            });
        self.shared.damage.finish(&log);
        guard.catch(|| reply(outcome));
    }

    fn search_if_needed(
        &mut self,
        log: &Arc<PartitionLog>,
        from: Offset,
        code: Option<RDKafkaErrorCode>,
    ) -> SearchOutcome {
        #[cfg(test)]
        threads::panic_if_requested(&self.shared.cluster);
        match self.shared.damage.range_at(log, from) {
            Some(known) => SearchOutcome::Unreadable(known),
            None if self.is_backing_off(log) => SearchOutcome::Unknown,
            None => self.search(
                log,
                from,
                code.map_or_else(|| "no error".to_owned(), faults::name),
            ),
        }
    }

    fn is_backing_off(&mut self, log: &Arc<PartitionLog>) -> bool {
        let now = Instant::now();
        self.backoffs.retain(|_, (_, until)| now < *until + FORGET_AFTER);
        let found = self.backoffs.get(&key(log));
        found.is_some_and(|(_, until)| now < *until)
    }

    fn search(&mut self, log: &Arc<PartitionLog>, from: Offset, cause: String) -> SearchOutcome {
        let leader = self.shared.leaders.leader(log.partition());
        match self.find(log, from) {
            Ok(Some(range)) if !log.is_replaced() => {
                self.backoffs.remove(&key(log));
                let (range, news) = self.shared.damage.insert(log, range, leader);
                self.report(log, &range, news, &cause);
                SearchOutcome::Unreadable(range)
            }
            result => {
                let now = Instant::now();
                let (backoff, until) = self
                    .backoffs
                    .entry(key(log))
                    .or_insert_with(|| (Backoff::new(FIRST_DELAY, MAX_DELAY), now));
                *until = now + backoff.next_delay();
                let (cluster, partition) = (&self.shared.cluster, log.partition());
                tracing::debug!(%cluster, %partition, from, cause, ?result, "nothing is skipped");
                SearchOutcome::Unknown
            }
        }
    }

    fn find(&mut self, log: &Arc<PartitionLog>, from: Offset) -> Result<Option<Range<Offset>>, Inconclusive> {
        let reader = match &self.reader {
            Some(reader) => reader.clone(),
            None => self.open()?,
        };
        let mut probe = ClientProbe {
            reader: &reader,
            damage: &self.shared.damage,
            partition: log.partition(),
        };
        self.shared.damage.throttled.store(false, Ordering::Release);
        let found = search::find(&mut probe, from)?;
        // Nothing that comes is damaged; and what is held back by a quota looks as if it were.
        if found.is_some() {
            probe.pause(STATISTICS_WAIT)?;
            if self.shared.damage.throttled.load(Ordering::Acquire) {
                return Err(Inconclusive);
            }
        }
        Ok(found)
    }

    fn open(&mut self) -> Result<KafkaReader, Inconclusive> {
        let context = Context::new(&self.shared, ClientKind::Search);
        let opened = KafkaReader::open(
            &self.config,
            context,
            &self.shared.identity,
            self.shutdown_guard.clone(),
        );
        let reader = opened.map_err(|_| Inconclusive)?;
        self.reader = Some(reader.clone());
        Ok(reader)
    }

    /// Once for each range.
    fn report(&self, log: &PartitionLog, range: &Range<Offset>, news: Offset, cause: &str) {
        let (cluster, partition) = (&self.shared.cluster, log.partition());
        tracing::error!(
            %cluster, %partition, from = range.start, to = range.end - 1, next = range.end, cause, log = %log.tag(),
            "these offsets cannot be read from the broker and are skipped; clients are told of a gap"
        );
        let labels = TopicLabels {
            cluster: cluster.to_string(),
            topic: partition.topic.to_string(),
        };
        let counters = &self.shared.counters;
        counters
            .unreadable_offsets
            .get_or_create(&labels)
            .inc_by(u64::try_from(news).unwrap_or(0));
        let cell = self
            .shared
            .health
            .partition(&partition.topic, partition.partition);
        if let Some(cell) = cell {
            cell.record_unreadable(range.clone());
        }
    }
}

/// Places that wait to be looked at; a disk that fails as a whole is no matter of single batches.
const MAX_REQUESTS: usize = 64;

/// In which statistics tell of all that has come: they come every second.
const STATISTICS_WAIT: Duration = Duration::from_millis(1200);

/// How long the client stays open with nothing to look at.
const KEEP_CLIENT_OPEN_FOR: Duration = Duration::from_secs(5);

/// A place that turned out to be readable, or could not be judged, is not looked at again at once.
const FIRST_DELAY: Duration = Duration::from_secs(1);

const MAX_DELAY: Duration = Duration::from_secs(60);

/// After which a log that went well meanwhile begins anew.
const FORGET_AFTER: Duration = Duration::from_secs(120);
