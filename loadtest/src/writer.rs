//! Writes numbers in the background until it is ended.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use riverhead_brokers::{Cluster, Ledger, Producer};

use crate::stopwatch::Sent;

/// A running writer. [`finish`](Self::finish) ends it.
#[derive(Debug)]
pub struct Writer {
    thread: JoinHandle<Producer>,
    stop: Arc<AtomicBool>,
    written: Arc<AtomicU64>,
}

impl Writer {
    /// Starts to write at this rate, from the number `first` on.
    pub fn start(mut producer: Producer, first: u64, rate: f64) -> Self {
        let (stop, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(first)));
        let (stopped, counted) = (Arc::clone(&stop), Arc::clone(&written));
        let thread = thread::spawn(move || {
            let began = Instant::now();
            let mut count = 0_u64;
            while !stopped.load(Relaxed) {
                let due = began + Duration::from_secs_f64(count as f64 / rate);
                thread::sleep(due.saturating_duration_since(Instant::now()));
                producer.send(1);
                count += 1;
                counted.store(first + count, Relaxed);
            }
            producer
        });
        Self {
            thread,
            stop,
            written,
        }
    }

    /// Returns the next number.
    pub fn written(&self) -> u64 {
        self.written.load(Relaxed)
    }

    /// Ends the writer. Returns how many numbers were written and acknowledged.
    ///
    /// # Panics
    /// If the brokers did not accept one.
    pub fn finish(self) -> u64 {
        self.stop.store(true, Relaxed);
        let ledger: Ledger = self.thread.join().expect("the writer").finish();
        assert!(ledger.failed.is_empty(), "records were not acknowledged");
        self.written.load(Relaxed)
    }
}

/// Returns a producer of numbers from 0 on, over all partitions in turn. With a stopwatch, their times are
/// recorded.
pub fn producer(cluster: &Cluster, topic: &str, bytes: usize, sent: Option<&Arc<Sent>>) -> Producer {
    let builder = cluster
        .producer(topic)
        .record_bytes(bytes)
        .property("linger.ms", "0")
        .numbers_from(0);
    match sent.cloned() {
        None => builder.start(),
        Some(sent) => builder
            .timestamp(move |number| {
                sent.note(number);
                now()
            })
            .start(),
    }
}

/// Returns the milliseconds since 1970.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_millis() as i64
}
