//! Records the highest value of a number.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

/// Samples a number all the time.
pub(crate) struct PeakMonitor {
    over: Arc<AtomicBool>,
    most: Arc<AtomicU64>,
    thread: thread::JoinHandle<()>,
}

impl PeakMonitor {
    /// Starts to sample. What `look` borrows of a cluster is shared for the rest of the process.
    pub(crate) fn start(look: impl Fn() -> u64 + Send + 'static) -> Self {
        let (over, most) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (end, top) = (Arc::clone(&over), Arc::clone(&most));
        let thread = thread::spawn(move || {
            while !end.load(Ordering::Relaxed) {
                top.fetch_max(look(), Ordering::Relaxed);
                thread::sleep(Duration::from_millis(5));
            }
        });
        Self { over, most, thread }
    }

    /// Ends sampling, and returns the highest value.
    pub(crate) fn finish(self) -> u64 {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().expect("the watch");
        self.most.load(Ordering::Relaxed)
    }
}
