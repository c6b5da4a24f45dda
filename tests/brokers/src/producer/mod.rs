//! A producer of records that can be checked: each has its own number.

mod builder;
mod ledger;
mod records;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rdkafka::{
    error::{KafkaError, RDKafkaErrorCode},
    producer::{BaseRecord, Producer as _, ThreadedProducer},
};

use crate::patience::scaled;

pub use builder::{Acks, ProducerBuilder};
pub use ledger::{Acked, Ledger};
pub use records::{RawRecord, value};

use ledger::{DeliveryRecorder, SharedLedger, Ticket};
use records::Records;

/// Writes records `{"n":17,"pad":"..."}` with a number `n` that is unique in the cluster, and keeps the
/// [`Ledger`] of those that were acknowledged.
///
/// Unacknowledged records are retried for two minutes. With [`Acks::All`] the producer is idempotent, so that
/// an acknowledged record is in the log exactly once and in the order of its number.
pub struct Producer {
    topic: String,
    client: ThreadedProducer<DeliveryRecorder>,
    books: Arc<SharedLedger>,
    /// The next free number, shared by all producers of the cluster.
    numbers: Arc<AtomicU64>,
    records: Records,
    pace: Pace,
}

impl Producer {
    /// Writes `count` records at the configured rate, and returns their numbers once they were passed to
    /// librdkafka. [`Producer::flush`] waits until they are acknowledged.
    pub fn send(&mut self, count: u64) -> std::ops::Range<u64> {
        let first = self.numbers.fetch_add(count, Ordering::Relaxed);
        for number in first..first + count {
            self.pace.wait();
            let draft = self.records.draft(number);
            self.enqueue(|topic| draft.to_base(topic));
        }
        first..first + count
    }

    /// Writes one record as given, without a number. Waits until it is acknowledged, and returns its offset.
    ///
    /// # Panics
    ///
    /// If it is not acknowledged.
    pub fn send_raw(&mut self, record: &RawRecord<'_>) -> i64 {
        let before = self.books.unnumbered();
        self.enqueue(|topic| record.to_base(topic));
        self.flush();
        let after = self.books.unnumbered();
        assert_eq!(
            after.len(),
            before.len() + 1,
            "the record was not acknowledged: {:?}",
            self.ledger().failed
        );
        after[before.len()]
    }

    /// Waits until every record is acknowledged or given up.
    ///
    /// # Panics
    ///
    /// If that takes longer than three minutes.
    pub fn flush(&self) {
        self.client
            .flush(scaled(FLUSH))
            .expect("the brokers answer in time");
    }

    /// Returns what has been acknowledged so far.
    pub fn ledger(&self) -> Ledger {
        self.books.ledger()
    }

    /// Waits for the records, and returns their results.
    pub fn finish(self) -> Ledger {
        self.flush();
        self.ledger()
    }

    /// Begins a transaction. Only for a producer built with [`ProducerBuilder::transactional`].
    pub fn begin(&mut self) {
        self.client.begin_transaction().expect("a transaction to begin");
        self.books.begin();
    }

    /// Commits the transaction: its records enter the ledger.
    pub fn commit(&mut self) {
        self.client
            .commit_transaction(scaled(FLUSH))
            .expect("a transaction to commit");
        self.books.commit();
    }

    /// Aborts the transaction: its records, although they may be in the log, are added to
    /// [`Ledger::aborted`].
    pub fn abort(&mut self) {
        // Records in transit would be purged, and leave no hole in the log.
        self.flush();
        self.client
            .abort_transaction(scaled(FLUSH))
            .expect("a transaction to abort");
        self.books.abort();
    }

    /// Continues to write in the background, at the configured rate, until it is told to finish.
    pub fn run(mut self) -> Running {
        let (stop, books) = (Arc::new(AtomicBool::new(false)), Arc::clone(&self.books));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                self.send(1);
            }
            self
        });
        Running {
            stop,
            books,
            thread: Some(thread),
        }
    }

    /// Waits for room in the queue, which is the only limit of a producer without a rate.
    fn enqueue<'a>(&'a self, record: impl Fn(&'a str) -> BaseRecord<'a, [u8], [u8], Ticket>) {
        let full = KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull);
        loop {
            match self.client.send(record(&self.topic)) {
                Ok(()) => return,
                Err((error, _)) if error == full => thread::sleep(QUEUE_FULL_PAUSE),
                Err((error, _)) => panic!("cannot write to {}: {error}", self.topic),
            }
        }
    }
}

impl std::fmt::Debug for Producer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Producer")
            .field("topic", &self.topic)
            .finish_non_exhaustive()
    }
}

/// A producer that runs in the background.
#[derive(Debug)]
pub struct Running {
    stop: Arc<AtomicBool>,
    books: Arc<SharedLedger>,
    thread: Option<JoinHandle<Producer>>,
}

impl Running {
    /// Returns how many records have been acknowledged so far.
    pub fn acknowledged(&self) -> usize {
        self.books.acknowledged()
    }

    /// Returns what has been acknowledged so far.
    pub fn ledger(&self) -> Ledger {
        self.books.ledger()
    }

    /// Stops, and returns the producer.
    pub fn stop(mut self) -> Producer {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().expect("taken once");
        thread.join().expect("the producer could write")
    }

    /// Stops, waits for the records, and returns their results.
    pub fn finish(self) -> Ledger {
        self.stop().finish()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// When the next record may be written.
#[derive(Debug)]
struct Pace {
    between: Duration,
    next: Instant,
}

impl Pace {
    /// Creates a pace of `per_second` records; `None` for no limit.
    fn new(per_second: Option<f64>) -> Self {
        let between = per_second.map_or(Duration::ZERO, |rate| Duration::from_secs_f64(1.0 / rate));
        Self {
            between,
            next: Instant::now(),
        }
    }

    fn wait(&mut self) {
        if self.between.is_zero() {
            return;
        }
        let now = Instant::now();
        thread::sleep(self.next.saturating_duration_since(now));
        // After a delay, the pace is higher for no longer than this.
        let earliest = now.checked_sub(CATCH_UP).unwrap_or(now);
        self.next = self.next.max(earliest) + self.between;
    }
}

/// Longer than librdkafka retries a record.
const FLUSH: Duration = Duration::from_secs(180);

const QUEUE_FULL_PAUSE: Duration = Duration::from_millis(1);

/// A short delay of the machine is compensated; an outage of a broker is not turned into a burst.
const CATCH_UP: Duration = Duration::from_millis(100);
