//! The thread that runs searches, one at a time, with a client that is open only meanwhile.
//!
//! Not here: the search itself (`search`).

use std::{
    collections::HashMap,
    io,
    ops::Range,
    sync::{Arc, atomic::Ordering, mpsc},
    time::{Duration, Instant},
};

use rdkafka::types::RDKafkaErrorCode;

use super::{
    LogKey, SearchOutcome, SearchRequest, key,
    search::{self, Inconclusive, OffsetTrial},
    trial::ClientTrial,
};
use crate::{
    kafka::{
        backoff::Backoff,
        client::{config::ClientKind, raw::KafkaReader},
        faults,
        metrics::TopicLabels,
        shared::ClusterShared,
        shutdown_guard::ShutdownGuard,
        threads::{self, PanicHandler},
    },
    partition::PartitionLog,
    position::Offset,
};

/// Starts the search thread. It ends when [`ClusterShared::damage`] is [closed](super::DamageTracker::close).
///
/// # Errors
/// If the system has no thread to give.
pub(in crate::kafka) fn spawn(shared: &ClusterShared, shutdown_guard: ShutdownGuard) -> io::Result<()> {
    let (requests, inbox) = mpsc::sync_channel(MAX_REQUESTS);
    let guard = PanicHandler::new(shared, threads::DAMAGE);
    let searcher = Searcher {
        shared: shared.clone(),
        shutdown_guard,
        reader: None,
        backoffs: HashMap::new(),
    };
    threads::spawn(threads::DAMAGE, move || searcher.run(&inbox, &guard))?;
    *shared.damage.requests.lock() = Some(requests);
    Ok(())
}

/// State of the search thread.
struct Searcher {
    shared: ClusterShared,
    shutdown_guard: ShutdownGuard,
    /// Open during a search, and for [`KEEP_CLIENT_OPEN_FOR`] after it.
    reader: Option<KafkaReader>,
    /// Logs whose search had no result, with the end of their backoff.
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

    /// Runs a search and replies, even after a panic: an offset without a reply would never be read again. It is searched again
    /// after a pause.
    fn handle(&mut self, request: SearchRequest, guard: &PanicHandler) {
        let log = &request.log;
        let outcome = guard.catch(|| self.search_if_needed(log, request.from, request.code));
        let outcome = outcome.unwrap_or_else(|| {
            self.reader = None;
            SearchOutcome::Unknown
        });
        self.shared.damage.finish(log);
        guard.catch(|| (request.reply)(outcome));
    }

    /// Searches unless the range is known or the log is backing off.
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
            None => self.search(log, from, code),
        }
    }

    fn is_backing_off(&mut self, log: &Arc<PartitionLog>) -> bool {
        let now = Instant::now();
        self.backoffs.retain(|_, (_, until)| now < *until + FORGET_AFTER);
        let found = self.backoffs.get(&key(log));
        found.is_some_and(|(_, until)| now < *until)
    }

    fn search(
        &mut self,
        log: &Arc<PartitionLog>,
        from: Offset,
        code: Option<RDKafkaErrorCode>,
    ) -> SearchOutcome {
        let cause = code.map_or_else(|| "no error".to_owned(), faults::name);
        let leader = self.shared.leaders.leader(log.partition());
        match self.find(log, from) {
            Ok(Some(range)) if !log.is_replaced() => {
                self.backoffs.remove(&key(log));
                let (range, new_offsets) = self.shared.damage.insert(log, range, leader);
                self.report(log, &range, new_offsets, &cause);
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
                tracing::debug!(
                    %cluster, %partition, from, cause, ?result,
                    "the search for unreadable records has no result; nothing is skipped"
                );
                SearchOutcome::Unknown
            }
        }
    }

    /// Runs the search with the open client.
    fn find(&mut self, log: &Arc<PartitionLog>, from: Offset) -> Result<Option<Range<Offset>>, Inconclusive> {
        let reader = match &self.reader {
            Some(reader) => reader.clone(),
            None => self.open()?,
        };
        let mut trial = ClientTrial {
            reader: &reader,
            damage: &self.shared.damage,
            partition: log.partition(),
        };
        self.shared.damage.throttled.store(false, Ordering::Release);
        let found = search::find(&mut trial, from)?;
        // A record that arrives is intact. Records held back by a quota look damaged.
        if found.is_some() {
            trial.pause(STATISTICS_WAIT)?;
            if self.shared.damage.throttled.load(Ordering::Acquire) {
                return Err(Inconclusive);
            }
        }
        Ok(found)
    }

    fn open(&mut self) -> Result<KafkaReader, Inconclusive> {
        let opened = KafkaReader::of_kind(ClientKind::Search, &self.shared, &self.shutdown_guard);
        let reader = opened.map_err(|_| Inconclusive)?;
        self.reader = Some(reader.clone());
        Ok(reader)
    }

    /// Logs and counts a range. Called once for each range.
    fn report(&self, log: &PartitionLog, range: &Range<Offset>, new_offsets: Offset, cause: &str) {
        let (cluster, partition) = (&self.shared.cluster, log.partition());
        tracing::error!(
            %cluster, %partition, from = range.start, to = range.end - 1, next = range.end, cause, log = %log.tag(),
            "these offsets cannot be read from the broker and are skipped; clients are told of a gap"
        );
        let labels = TopicLabels {
            cluster: cluster.to_string(),
            topic: partition.topic.to_string(),
        };
        let count = &self.shared.counters.unreadable_offsets;
        let count = count.get_or_create_owned(&labels);
        count.inc_by(u64::try_from(new_offsets).unwrap_or(0));
        if let Some(cell) = self.shared.health_of(partition) {
            cell.record_unreadable(range.clone());
        }
    }
}

/// Searches that may wait. A disk that fails as a whole is beyond a search for single batches.
const MAX_REQUESTS: usize = 64;

/// Time in which librdkafka's statistics, which come every second, report any throttling so far.
const STATISTICS_WAIT: Duration = Duration::from_millis(1200);

/// How long the client stays open without a search.
const KEEP_CLIENT_OPEN_FOR: Duration = Duration::from_secs(5);

/// First pause before an offset is searched again that turned out to be readable, or could not be judged.
const FIRST_DELAY: Duration = Duration::from_secs(1);

const MAX_DELAY: Duration = Duration::from_secs(60);

/// Time after the end of a backoff from which the next one starts at [`FIRST_DELAY`] again.
const FORGET_AFTER: Duration = Duration::from_secs(120);
