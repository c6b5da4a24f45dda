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
    LogKey, Suspicion, Verdict, key,
    probe::ClientProbe,
    search::{self, Probe, Unsure},
};
use crate::{
    kafka::{
        backoff::Backoff,
        client::Kind,
        connect::Shared,
        context::Context,
        counters::TopicLabels,
        faults,
        guard::{self, Guard},
        reader::{Reader, Token},
    },
    partition::PartitionLog,
    position::Offset,
};

/// Starts the thread, which ends when nobody can suspect anything any more.
///
/// # Errors
/// When the system has no thread to give.
pub(super) fn spawn(
    config: ClientConfig,
    shared: Shared,
    inbox: mpsc::Receiver<Suspicion>,
    token: Token,
) -> io::Result<()> {
    let guard = Guard::new(&shared, guard::DAMAGE);
    let searcher = Searcher {
        config,
        shared,
        token,
        reader: None,
        backoffs: HashMap::new(),
    };
    thread::Builder::new()
        .name(guard::DAMAGE.to_owned())
        .spawn(move || searcher.run(&inbox, &guard))
        .map(drop)
}

struct Searcher {
    config: ClientConfig,
    shared: Shared,
    token: Token,
    /// Open while there is something to look at, and a little longer.
    reader: Option<Reader>,
    /// Logs that were looked at in vain, and until when they are left alone.
    backoffs: HashMap<LogKey, (Backoff, Instant)>,
}

impl Searcher {
    fn run(mut self, inbox: &mpsc::Receiver<Suspicion>, guard: &Guard) {
        loop {
            match inbox.recv_timeout(TURN) {
                Ok(suspicion) => self.answer(suspicion, guard),
                Err(mpsc::RecvTimeoutError::Timeout) => self.reader = None,
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Answers a suspicion, also after a panic: a place that is never answered is never read again. It is suspected anew after a
    /// pause.
    fn answer(&mut self, suspicion: Suspicion, guard: &Guard) {
        let Suspicion {
            log,
            from,
            code,
            reply,
        } = suspicion;
        let verdict = guard.catch(|| self.judge(&log, from, code)).unwrap_or_else(|| {
            self.reader = None;
            Verdict::Unknown
        });
        self.shared.damage.done(&log);
        guard.catch(|| reply(verdict));
    }

    fn judge(&mut self, log: &Arc<PartitionLog>, from: Offset, code: Option<RDKafkaErrorCode>) -> Verdict {
        #[cfg(test)]
        guard::trip(&self.shared.cluster);
        match self.shared.damage.at(log, from) {
            Some(known) => Verdict::Unreadable(known),
            None if self.rests(log) => Verdict::Unknown,
            None => self.search(
                log,
                from,
                code.map_or_else(|| "no error".to_owned(), faults::name),
            ),
        }
    }

    fn rests(&mut self, log: &Arc<PartitionLog>) -> bool {
        let now = Instant::now();
        self.backoffs.retain(|_, (_, until)| now < *until + FORGET);
        let found = self.backoffs.get(&key(log));
        found.is_some_and(|(_, until)| now < *until)
    }

    fn search(&mut self, log: &Arc<PartitionLog>, from: Offset, cause: String) -> Verdict {
        let leader = self.shared.leaders.of(log.partition());
        match self.find(log, from) {
            Ok(Some(range)) if !log.is_replaced() => {
                self.backoffs.remove(&key(log));
                let (range, news) = self.shared.damage.note(log, range, leader);
                self.tell(log, &range, news, &cause);
                Verdict::Unreadable(range)
            }
            result => {
                let now = Instant::now();
                let (backoff, until) = self
                    .backoffs
                    .entry(key(log))
                    .or_insert_with(|| (Backoff::new(FIRST, MOST), now));
                *until = now + backoff.step();
                let (cluster, partition) = (&self.shared.cluster, log.partition());
                tracing::debug!(%cluster, %partition, from, cause, ?result, "nothing is skipped");
                Verdict::Unknown
            }
        }
    }

    fn find(&mut self, log: &Arc<PartitionLog>, from: Offset) -> Result<Option<Range<Offset>>, Unsure> {
        let reader = match &self.reader {
            Some(reader) => reader.clone(),
            None => self.open()?,
        };
        let mut probe = ClientProbe {
            reader: &reader,
            damage: &self.shared.damage,
            partition: log.partition(),
        };
        self.shared.damage.hindered.store(false, Ordering::Release);
        let found = search::find(&mut probe, from)?;
        // Nothing that comes is damaged; and what is held back by a quota looks as if it were.
        if found.is_some() {
            probe.rest(STATISTICS)?;
            if self.shared.damage.hindered.load(Ordering::Acquire) {
                return Err(Unsure);
            }
        }
        Ok(found)
    }

    fn open(&mut self) -> Result<Reader, Unsure> {
        let context = Context::new(&self.shared, Kind::Search);
        let opened = Reader::open(&self.config, context, &self.shared.origin, self.token.clone());
        let reader = opened.map_err(|_| Unsure)?;
        self.reader = Some(reader.clone());
        Ok(reader)
    }

    /// Once for each range.
    fn tell(&self, log: &PartitionLog, range: &Range<Offset>, news: Offset, cause: &str) {
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
            cell.unreadable(range.clone());
        }
    }
}

/// In which statistics tell of all that has come: they come every second.
const STATISTICS: Duration = Duration::from_millis(1200);

/// How long the client stays open with nothing to look at.
const TURN: Duration = Duration::from_secs(5);

/// A place that turned out to be readable, or could not be judged, is not looked at again at once.
const FIRST: Duration = Duration::from_secs(1);

const MOST: Duration = Duration::from_secs(60);

/// After which a log that went well meanwhile begins anew.
const FORGET: Duration = Duration::from_secs(120);
