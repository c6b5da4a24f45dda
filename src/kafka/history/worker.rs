//! The thread behind one history reader.

use std::{
    io,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use rdkafka::types::RDKafkaErrorCode;

use super::{
    Core,
    cache::Lookup,
    mailbox::{Mailbox, PageRead, PageResult, PageWant, Task},
    streams::{Failure, Piece, Streams},
};
use crate::{
    health::Side,
    kafka::{
        client::Kind,
        context::Context,
        damage::Verdict,
        guard::{self, Guard},
        reader::{Reader, Token},
    },
    partition::{HistoryError, TopicPartition},
};

/// Serves one mailbox until it is closed.
pub(super) struct Worker {
    core: Arc<Core>,
    mailbox: Arc<Mailbox>,
    reader: Reader,
    streams: Streams,
    /// The last read met silence: a broker that is mute is mute for all its partitions.
    suspicious: bool,
}

impl Worker {
    /// Starts the thread, which opens the client: that takes milliseconds, and the caller may be a request.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub(super) fn spawn(core: Arc<Core>, token: Token) -> io::Result<Arc<Mailbox>> {
        let mailbox = Arc::new(Mailbox::default());
        let inbox = Arc::clone(&mailbox);
        let guard = Guard::new(&core.shared, guard::HISTORY);
        thread::Builder::new()
            .name(guard::HISTORY.to_owned())
            .spawn(move || {
                let rest = |pause| {
                    inbox.finish(&Err(HistoryError::Unavailable));
                    !refuse(&inbox, pause)
                };
                guard.restart(rest, || Self::serve(&core, &inbox, &token));
                drop(token);
            })?;
        Ok(mailbox)
    }

    /// Reads with one client after another, until the mailbox is closed.
    fn serve(core: &Arc<Core>, inbox: &Arc<Mailbox>, token: &Token) {
        while let Some(reader) = open(core, inbox, token) {
            match Self::new(Arc::clone(core), Arc::clone(inbox), reader).run() {
                End::Foreign if !refuse(inbox, ANSWER) => {}
                End::Foreign | End::Closed => return,
            }
        }
    }

    fn new(core: Arc<Core>, mailbox: Arc<Mailbox>, reader: Reader) -> Self {
        Self {
            streams: Streams::new(reader.clone(), Arc::clone(&core.warm)),
            core,
            mailbox,
            reader,
            suspicious: false,
        }
    }

    fn run(mut self) -> End {
        loop {
            if let Some(foreign) = self.reader.foreign() {
                tracing::error!(cluster = %self.core.cluster, "a history reader begins anew: {foreign}");
                return End::Foreign;
            }
            self.reader.serve();
            self.streams.tidy();
            let debt = self.core.rate.delay(Instant::now());
            match self
                .mailbox
                .next(if debt.is_zero() { TURN } else { debt.min(TURN) }, debt.is_zero())
            {
                Task::Read(want) => {
                    #[cfg(test)]
                    guard::trip(&self.core.cluster);
                    self.start_ahead(&want);
                    let result = self.read(&want);
                    self.mailbox.finish(&result);
                }
                // It is in the cache then, or who wants it is told why not.
                Task::ReadAhead(want) => drop(self.read(&want)),
                Task::Rest => {}
                Task::Close => return End::Closed,
            }
        }
    }

    /// Has librdkafka fetch what comes after this read meanwhile.
    fn start_ahead(&mut self, now: &PageWant) {
        let mut next = self.mailbox.upcoming(AHEAD);
        let mut cache = self.core.cache.lock();
        next.retain(|want| {
            want.log.partition() != now.log.partition()
                && !self.core.backoffs.rests(want.log.partition())
                && matches!(cache.find(&want.log, want.from), Lookup::Miss { .. })
        });
        drop(cache);
        self.streams.start_ahead(next);
    }

    fn read(&mut self, want: &PageWant) -> PageResult {
        let partition = want.log.partition();
        if want.log.is_replaced() {
            return Err(HistoryError::Replaced);
        }
        if self.core.backoffs.rests(partition) {
            return Err(HistoryError::Unavailable);
        }
        if self.core.shared.damage.at(&want.log, want.from).is_some() {
            return Ok(PageRead::Moved);
        }
        // Whoever looked into the cache a moment before the page came in has asked for it once more.
        if let Lookup::Hit(page) = self.core.cache.lock().find(&want.log, want.from) {
            return Ok(PageRead::Page { page, ends: false });
        }
        let wait = if self.suspicious {
            ANSWER_OF_A_SUSPECT
        } else {
            ANSWER
        };
        let read = self.streams.read(want, wait);
        if self.reader.foreign().is_some() {
            return Err(HistoryError::Unavailable);
        }
        match read {
            Ok(piece) => Ok(self.keep(want, piece)),
            // Where the log starts is asked for by those who wait, and not by the thread that serves pages.
            Err(Failure::OutOfRange) => Err(HistoryError::OutOfRange),
            Err(failure) => {
                self.suspicious = failure == Failure::Silence;
                self.fail(partition, failure);
                self.suspect(want, failure);
                Err(HistoryError::Unavailable)
            }
        }
    }

    /// Has it found out whether there is anything to read at all.
    fn suspect(&self, want: &PageWant, failure: Failure) {
        let code = match failure {
            Failure::Damage(code) => Some(code),
            Failure::Silence => None,
            Failure::OutOfRange | Failure::Fault(_) => return,
        };
        let (core, log) = (Arc::clone(&self.core), Arc::clone(&want.log));
        let reply = move |verdict| {
            if let Verdict::Unreadable(_) = verdict {
                core.backoffs.clear(log.partition());
                core.shared.success(log.partition(), Side::History);
            }
        };
        let damage = &self.core.shared.damage;
        damage.suspect(&want.log, want.from, code, Box::new(reply));
    }

    fn keep(&mut self, want: &PageWant, piece: Piece) -> PageRead {
        self.suspicious = false;
        self.core.backoffs.clear(want.log.partition());
        self.core.shared.success(want.log.partition(), Side::History);
        self.core.rate.spend(piece.bytes, Instant::now());
        self.core.count_page(piece.bytes);
        if piece.broker_clock {
            self.core.shared.bears_broker_time(&want.log);
        }
        // It may have been read before what it begins with was deleted.
        let page = Arc::new(match piece.page.without_deleted(want.log.start()) {
            Some(rest) => rest,
            None => piece.page,
        });
        self.core.cache.lock().insert(&want.log, &page, piece.cut);
        PageRead::Page {
            page,
            ends: piece.ends,
        }
    }

    fn fail(&self, partition: &TopicPartition, failure: Failure) {
        self.core.backoffs.fail(partition);
        let code = match failure {
            Failure::Fault(code) | Failure::Damage(code) => code,
            Failure::OutOfRange => RDKafkaErrorCode::OffsetOutOfRange,
            Failure::Silence => {
                self.reader.count(RDKafkaErrorCode::OperationTimedOut);
                RDKafkaErrorCode::OperationTimedOut
            }
        };
        self.core.shared.fault(partition, Side::History, code, "");
        tracing::debug!(cluster = %self.core.cluster, %partition, ?failure, "a read of history failed");
    }
}

/// Why a reader's work is over.
enum End {
    /// Its mailbox was closed.
    Closed,
    /// The brokers that answer it are those of another cluster.
    Foreign,
}

/// Opens a client; `None` when the mailbox was closed before that succeeded.
fn open(core: &Core, mailbox: &Mailbox, token: &Token) -> Option<Reader> {
    loop {
        let context = Context::new(&core.shared, Kind::History);
        match Reader::open(&core.config, context, &core.shared.origin, token.clone()) {
            Ok(reader) => return Some(reader),
            Err(error) => tracing::error!(cluster = %core.cluster, "no client for a history reader: {error}"),
        }
        // The tail's client was accepted, so it is threads or memory that lack.
        if refuse(mailbox, ANSWER) {
            return None;
        }
    }
}

/// Tells whoever asks that nothing is available, for a while; whether the mailbox was closed meanwhile.
fn refuse(mailbox: &Mailbox, wait: Duration) -> bool {
    let again = Instant::now() + wait;
    while Instant::now() < again {
        match mailbox.next(again.saturating_duration_since(Instant::now()), true) {
            Task::Read(_) => mailbox.finish(&Err(HistoryError::Unavailable)),
            Task::ReadAhead(_) | Task::Rest => {}
            Task::Close => return true,
        }
    }
    false
}

/// What a leader gets to answer a question, or to bring a page, before the caller is told that it does not.
const ANSWER: Duration = Duration::from_secs(2);

/// What it gets after it has failed to once: a reconnect and an answer from a healthy broker fit into it.
const ANSWER_OF_A_SUSPECT: Duration = Duration::from_millis(250);

/// Pages that are fetched while the one before them is read. A read of a short partition to its end takes two fetches, of which
/// the second waits at the broker; with so many at once that is a millisecond for each.
const AHEAD: usize = 32;

/// How long the thread rests at most: librdkafka wants to be heard every second.
const TURN: Duration = Duration::from_millis(500);
