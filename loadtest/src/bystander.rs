//! A reference client that takes no part in the load, and the latency that it measures.

use std::{
    fmt,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use hdrhistogram::Histogram;
use riverhead::sse::SseMessage;
use serde::Serialize;

use crate::{
    client::{Ask, Client},
    stopwatch::Quantiles,
};

/// Reads the demo's stream from its own address and in its own thread, and measures the age of events at
/// their arrival, separately with and without load on the gateway.
#[derive(Debug)]
pub struct ReferenceClient {
    shared: Arc<ReferenceState>,
    thread: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct ReferenceState {
    loud: AtomicBool,
    stop: AtomicBool,
    cut: AtomicBool,
    times: Mutex<LatencyHistograms>,
}

/// Latencies in nanoseconds.
#[derive(Debug)]
struct LatencyHistograms {
    quiet: Histogram<u64>,
    loud: Histogram<u64>,
}

/// The measured latencies.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ReferenceLatency {
    /// Latency from an event's own time to its arrival, without load.
    pub quiet: Quantiles,
    /// The same, under load.
    pub loud: Quantiles,
    /// Whether the stream ended, which it must not.
    pub cut: bool,
}

impl ReferenceLatency {
    /// Returns the conditions for this client, each with the finding if it does not hold.
    pub(crate) fn checks(&self) -> [(bool, &'static str); 2] {
        [
            (!self.cut, "the stream of the other client ended"),
            (
                self.ratio() < 2.0,
                "the latency of the other client has more than doubled",
            ),
        ]
    }

    /// Returns the ratio of the 99th percentiles under load and without load.
    pub fn ratio(&self) -> f64 {
        self.loud.p99 / self.quiet.p99
    }
}

impl fmt::Display for ReferenceLatency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "other client, before       {}", self.quiet)?;
        writeln!(f, "other client, meanwhile    {}", self.loud)?;
        write!(f, "  ratio of p99             {:.2}", self.ratio())
    }
}

impl ReferenceClient {
    /// Starts to read from 127.0.0.3, and waits for the first event.
    ///
    /// # Panics
    /// If no event arrives.
    pub fn start(server: SocketAddr) -> Self {
        let shared = Arc::new(ReferenceState::default());
        let (begun, begins) = std::sync::mpsc::channel();
        let thread = thread::spawn({
            let shared = Arc::clone(&shared);
            move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .expect("a runtime");
                runtime.block_on(read(server, &shared, || _ = begun.send(())));
            }
        });
        begins.recv_timeout(PATIENCE).expect("a first event");
        Self { shared, thread }
    }

    /// Sets whether the gateway is under load from now on.
    pub fn set_loud(&self, loud: bool) {
        self.shared.loud.store(loud, Ordering::Relaxed);
    }

    /// Ends the client, and returns what it measured.
    ///
    /// # Panics
    /// If its thread panicked.
    pub fn stop(self) -> ReferenceLatency {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the bystander");
        let times = self.shared.times.lock().unwrap_or_else(PoisonError::into_inner);
        ReferenceLatency {
            quiet: Quantiles::of(&times.quiet),
            loud: Quantiles::of(&times.loud),
            cut: self.shared.cut.load(Ordering::Relaxed),
        }
    }
}

impl Default for LatencyHistograms {
    fn default() -> Self {
        let empty = || Histogram::new_with_max(LONGEST.as_nanos() as u64, 2).expect("a histogram");
        Self {
            quiet: empty(),
            loud: empty(),
        }
    }
}

async fn read(server: SocketAddr, shared: &ReferenceState, begun: impl Fn()) {
    let ask = ask_from([127, 0, 0, 3]);
    let mut client = Client::connect(server, &ask).await.expect("a stream");
    while !shared.stop.load(Ordering::Relaxed) {
        match client.next(PATIENCE).await {
            Some(event) => note(shared, &event),
            None => return shared.cut.store(true, Ordering::Relaxed),
        }
        begun();
    }
}

fn note(shared: &ReferenceState, event: &SseMessage) {
    let Some(age) = age(event) else { return };
    let mut times = shared.times.lock().unwrap_or_else(PoisonError::into_inner);
    let loud = shared.loud.load(Ordering::Relaxed);
    let times = if loud { &mut times.loud } else { &mut times.quiet };
    times.saturating_record(age.as_nanos() as u64);
}

/// Returns the age of an event of the demo, to the millisecond.
fn age(event: &SseMessage) -> Option<Duration> {
    let data: serde_json::Value = serde_json::from_str(&event.data).ok()?;
    let made: jiff::Timestamp = data["meta"]["dt"].as_str()?.parse().ok()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    let made = u64::try_from(made.as_millisecond()).ok()?;
    Some(now.saturating_sub(Duration::from_millis(made)))
}

/// Returns a request for the demo's stream from this local address.
pub(crate) fn ask_from(address: [u8; 4]) -> Ask {
    Ask {
        from: Some((address, 0).into()),
        ..Ask::new("/v2/stream/recentchange")
    }
}

/// Longer latencies are recorded as this one.
const LONGEST: Duration = Duration::from_secs(60);

/// The longest wait of a client of the demo. The demo is never silent for so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
