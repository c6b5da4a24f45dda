//! Panic handling for the threads of `kafka`. A panic is caught, logged, counted and reported to health, and the thread begins
//! its work anew after a pause.
//!
//! Not here: the threads themselves. Each names itself by a constant of this file.

use std::{
    any::Any,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    thread,
    time::{Duration, Instant},
};

use super::{backoff::Backoff, metrics::ThreadLabels, shared::ClusterShared};

/// Handles the panics of one thread of a cluster.
pub(super) struct PanicHandler {
    shared: ClusterShared,
    thread: &'static str,
    restarts: RestartBackoff,
}

impl PanicHandler {
    /// Creates the handler for the thread of this name.
    pub(super) fn new(shared: &ClusterShared, thread: &'static str) -> Self {
        Self {
            shared: shared.clone(),
            thread,
            restarts: RestartBackoff::default(),
        }
    }

    /// Runs `work`. Returns `None` if it panicked; the panic is reported. The caller drops or rebuilds whatever `work` may have
    /// left half done.
    pub(super) fn catch<T>(&self, work: impl FnOnce() -> T) -> Option<T> {
        catch_panic(work).inspect_err(|message| self.report(message)).ok()
    }

    /// Runs `work` until it returns. After a panic, calls `wait`, which sleeps for the given pause and returns false to stop.
    pub(super) fn run_with_restarts(
        mut self,
        mut wait: impl FnMut(Duration) -> bool,
        mut work: impl FnMut(),
    ) {
        while self.catch(&mut work).is_none() {
            if !wait(self.pause()) {
                return;
            }
        }
    }

    /// Returns how long to wait after the panic that was just caught.
    pub(super) fn pause(&mut self) -> Duration {
        self.restarts.pause(Instant::now())
    }

    /// Logs, counts and reports a panic of this thread.
    pub(super) fn report(&self, message: &str) {
        let (shared, thread) = (&self.shared, self.thread);
        tracing::error!(
            cluster = %shared.cluster, thread,
            "a thread panicked and is restarted; please report this as a bug: {message}"
        );
        let labels = ThreadLabels {
            cluster: shared.cluster.to_string(),
            thread: thread.to_owned(),
        };
        shared.counters.thread_panics.get_or_create(&labels).inc();
        shared.health.record_panic(thread, message, Instant::now());
    }
}

/// Starts a thread that runs `work`.
///
/// # Errors
/// Returns an error if the system cannot start a thread.
pub(super) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let builder = thread::Builder::new().name(name.to_owned());
    builder.spawn(work).map(drop)
}

/// Runs `work`. Returns the panic's message if it panicked. No lock is poisoned by a panic: the locks of this crate have no
/// poison.
pub(super) fn catch_panic<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| message(&*panic))
}

/// Returns the message of a panic.
fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("a panic without a message").to_owned()
}

/// The backoff of restarts after panics.
pub(super) struct RestartBackoff {
    backoff: Backoff,
    last: Option<Instant>,
}

impl RestartBackoff {
    /// Returns the pause before a restart that is due `now`.
    pub(super) fn pause(&mut self, now: Instant) -> Duration {
        let last = self.last.replace(now);
        if last.is_some_and(|last| now.saturating_duration_since(last) >= RESET_AFTER) {
            self.backoff.reset();
        }
        self.backoff.next_delay()
    }
}

impl Default for RestartBackoff {
    fn default() -> Self {
        Self {
            backoff: Backoff::new(FIRST_DELAY, MAX_DELAY),
            last: None,
        }
    }
}

/// Every thread whose panics are counted. Alerts need each series to begin at zero.
pub(super) const THREADS: &[&str] = &[
    TAIL,
    METADATA_WATCHER,
    SUPERVISOR,
    HISTORY,
    OFFSET_QUERIES,
    METADATA_REFRESH,
    DAMAGE,
    STALL_DETECTOR,
    BOOTSTRAP_CHECK,
    WRONG_CLUSTER_CHECK,
    FAILOVER,
];

pub(super) const TAIL: &str = "kafka-tail";
pub(super) const METADATA_WATCHER: &str = "kafka-lookout";
pub(super) const SUPERVISOR: &str = "kafka-cluster";
pub(super) const HISTORY: &str = "kafka-history";
pub(super) const OFFSET_QUERIES: &str = "kafka-questions";
pub(super) const METADATA_REFRESH: &str = "kafka-metadata";
pub(super) const DAMAGE: &str = "kafka-damage";
pub(super) const STALL_DETECTOR: &str = "kafka-witness";
pub(super) const BOOTSTRAP_CHECK: &str = "kafka-bootstrap";
pub(super) const WRONG_CLUSTER_CHECK: &str = "kafka-sift";
pub(super) const FAILOVER: &str = "kafka-failover";

/// The first pause.
const FIRST_DELAY: Duration = Duration::from_millis(250);

/// The longest pause. A bug that recurs at once must not fill the log, but the end of the process waits for a pausing thread.
const MAX_DELAY: Duration = Duration::from_secs(5);

/// A thread that has run this long is taken to have got past the cause of its panic.
const RESET_AFTER: Duration = Duration::from_secs(60);

/// Panics if a test has requested it in this thread of this cluster.
#[cfg(test)]
pub(super) fn panic_if_requested(cluster: &str) {
    let thread = std::thread::current();
    tests::panic_if_requested(cluster, thread.name().unwrap_or_default());
}

#[cfg(test)]
mod tests;
