//! Numbers written in the background, on and on.

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

/// A writer at work; [`finish`](Self::finish) ends it.
#[derive(Debug)]
pub struct Writer {
    thread: JoinHandle<Producer>,
    stop: Arc<AtomicBool>,
    written: Arc<AtomicU64>,
}

impl Writer {
    /// Goes on with the next number, so many a second.
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

    /// The number that comes next.
    pub fn written(&self) -> u64 {
        self.written.load(Relaxed)
    }

    /// Ends it: how many there are, all of them acknowledged.
    ///
    /// # Panics
    /// If the brokers did not take one.
    pub fn finish(self) -> u64 {
        self.stop.store(true, Relaxed);
        let ledger: Ledger = self.thread.join().expect("the writer").finish();
        assert!(ledger.failed.is_empty(), "records were not acknowledged");
        self.written.load(Relaxed)
    }
}

/// A producer of numbers from 0 on, over all partitions in turn, whose times are noted if somebody measures them.
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

/// Milliseconds since 1970.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_millis() as i64
}
