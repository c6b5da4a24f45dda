//! Writes changes to the demo's topics at a steady rate.
//!
//! Not here: the content of the changes (`changes`).

use std::{
    io,
    num::NonZeroU32,
    sync::mpsc::{self, TryRecvError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use rdkafka::{
    ClientConfig, ClientContext,
    error::KafkaError,
    message::DeliveryResult,
    producer::{BaseProducer, BaseRecord, Producer, ProducerContext},
    types::RDKafkaErrorCode,
};

use super::changes::{Change, Changes, Site};

/// A running thread that writes changes. It ends on drop.
///
/// The drop waits until the brokers have everything that was written, at most 2 s. Drop it before the brokers.
pub struct Generator {
    // Never sends a message. Dropping it ends the thread.
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Why the generator could not be started.
#[derive(Debug, thiserror::Error)]
pub enum GeneratorError {
    /// librdkafka refused its settings.
    #[error("cannot create the producer of the generator: {0}")]
    Kafka(#[from] KafkaError),
    /// The thread could not be spawned.
    #[error("cannot start the thread of the generator: {0}")]
    Thread(#[from] io::Error),
}

/// Settings of the generator.
#[derive(Clone, Debug)]
pub struct GeneratorConfig {
    /// The brokers, as `host:port`.
    pub bootstrap: Vec<String>,
    /// Topics of the two data centres.
    pub topics: [&'static str; 2],
    /// Events per second, over both topics together.
    pub rate: NonZeroU32,
    /// Determines the events, except for their times.
    pub seed: u64,
}

impl Generator {
    /// Starts to write.
    ///
    /// # Errors
    ///
    /// [`GeneratorError`] if the producer or its thread cannot be created. Later failures are logged.
    pub fn start(config: &GeneratorConfig) -> Result<Self, GeneratorError> {
        let writer = ChangeProducer::new(config)?;
        let (stop, stopped) = mpsc::channel();
        let thread = thread::Builder::new().name("demo-generator".into());
        let thread = thread.spawn(move || writer.run(&stopped))?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Generator {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the generator of the demo panicked");
        }
    }
}

/// State of the generator's thread.
struct ChangeProducer {
    producer: BaseProducer<DeliveryErrorLogger>,
    topics: [&'static str; 2],
    changes: Changes,
    pace: RatePacer,
    /// A change that did not fit into the producer's queue.
    waiting: Option<Change>,
}

/// Why a change was not written.
#[derive(Debug, thiserror::Error)]
enum WriteError {
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

impl ChangeProducer {
    fn new(config: &GeneratorConfig) -> Result<Self, KafkaError> {
        let producer = ClientConfig::new()
            .set("bootstrap.servers", config.bootstrap.join(","))
            .set("allow.auto.create.topics", "false")
            .set("linger.ms", "5")
            .create_with_context(DeliveryErrorLogger)?;
        Ok(Self {
            producer,
            topics: config.topics,
            changes: Changes::new(config.seed),
            pace: RatePacer::new(config.rate),
            waiting: None,
        })
    }

    fn run(mut self, stopped: &mpsc::Receiver<()>) {
        let started = Instant::now();
        while stopped.try_recv() == Err(TryRecvError::Empty) {
            self.write_due(started.elapsed());
            // Takes all reports of deliveries that come until then. A report that is not taken keeps its place in the queue of
            // librdkafka, and without a timeout a poll takes one batch's.
            self.producer.poll(TICK);
        }
        if let Err(error) = self.producer.flush(FLUSH) {
            tracing::warn!(%error, "the last events of the demo may not have been written");
        }
    }

    fn write_due(&mut self, elapsed: Duration) {
        for _ in 0..self.pace.due(elapsed).min(MAX_AT_ONCE) {
            let now = Timestamp::now().as_millisecond();
            let change = self.waiting.take().unwrap_or_else(|| self.changes.next(now));
            match self.write(&change, now) {
                Ok(()) => self.pace.wrote_one(),
                Err(WriteError::Kafka(KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull))) => {
                    self.waiting = Some(change);
                    return;
                }
                Err(error) => {
                    tracing::warn!(%error, "an event of the demo was not written");
                    self.pace.wrote_one();
                }
            }
        }
    }

    fn write(&self, change: &Change, now: i64) -> Result<(), WriteError> {
        let [eqiad, codfw] = self.topics;
        let topic = match change.site {
            Site::Eqiad => eqiad,
            Site::Codfw => codfw,
        };
        let value = serde_json::to_vec(&change.event)?;
        let record = BaseRecord::to(topic)
            .key(&change.key)
            .payload(&value)
            .timestamp(now);
        self.producer.send(record).map_err(|(error, _)| error.into())
    }
}

/// Computes how many events are due, so that the rate holds over any window, however irregularly the thread is woken.
struct RatePacer {
    rate: NonZeroU32,
    written: u64,
}

impl RatePacer {
    fn new(rate: NonZeroU32) -> Self {
        Self { rate, written: 0 }
    }

    /// Returns how many events are still due when `elapsed` has passed since the start.
    fn due(&self, elapsed: Duration) -> u64 {
        let owed = elapsed.as_nanos() * u128::from(self.rate.get()) / NANOS_PER_SECOND;
        let owed = u64::try_from(owed).unwrap_or(u64::MAX);
        owed.saturating_sub(self.written)
    }

    fn wrote_one(&mut self) {
        self.written += 1;
    }
}

/// Logs events that the brokers refused.
struct DeliveryErrorLogger;

impl ClientContext for DeliveryErrorLogger {}

impl ProducerContext for DeliveryErrorLogger {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            tracing::warn!(%error, "the demo's brokers refused an event");
        }
    }
}

/// Interval of the checks for due events. At 20 events per second it is a fifth of the time between two events, so that they come
/// evenly.
const TICK: Duration = Duration::from_millis(10);

/// Limit on the events of one check, so that the thread can stop even if the rate cannot be reached.
const MAX_AT_ONCE: u64 = 10_000;

/// Timeout of the last flush. The brokers are in this process: an answer that takes longer will not come.
const FLUSH: Duration = Duration::from_secs(2);

const NANOS_PER_SECOND: u128 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn written(rate: u32, wakes: impl Iterator<Item = u64>) -> u64 {
        let mut pace = RatePacer::new(NonZeroU32::new(rate).unwrap());
        for millis in wakes {
            for _ in 0..pace.due(Duration::from_millis(millis)) {
                pace.wrote_one();
            }
        }
        pace.written
    }

    #[test]
    fn the_rate_holds_over_a_window_however_the_thread_is_woken() {
        assert_eq!(written(20, (0..=10_000).step_by(10)), 200);
        assert_eq!(written(20, [3, 4, 1_999, 2_000, 9_001, 10_000].into_iter()), 200);
        assert_eq!(written(1, (0..=60_000).step_by(7)), 59);
        assert_eq!(written(3_333, (0..=10_000).step_by(10)), 33_330);
    }

    #[test]
    fn nothing_is_due_twice_when_the_thread_wakes_twice_at_once() {
        assert_eq!(written(1_000, [500, 500, 500].into_iter()), 500);
    }

    #[test]
    fn a_rate_nobody_can_hold_does_not_overflow() {
        let pace = RatePacer::new(NonZeroU32::MAX);
        assert_eq!(pace.due(Duration::MAX), u64::MAX);
    }
}
