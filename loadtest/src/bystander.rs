//! A client that has nothing to do with what others do to a gateway, and what it feels of it.

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

/// Reads the demo's stream from an address of its own, in a thread of its own, and measures how old events are when they
/// come: apart while the gateway is left alone and while it is not.
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

/// In nanoseconds.
#[derive(Debug)]
struct LatencyHistograms {
    quiet: Histogram<u64>,
    loud: Histogram<u64>,
}

/// What it felt.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ReferenceLatency {
    /// From an event's own time to its arrival, while nothing else happened.
    pub quiet: Quantiles,
    /// While something did.
    pub loud: Quantiles,
    /// Whether its stream ended, which it must not.
    pub cut: bool,
}

impl ReferenceLatency {
    /// What must hold for one who has nothing to do with what others do, each with the sentence for when it does not.
    pub(crate) fn checks(&self) -> [(bool, &'static str); 2] {
        [
            (!self.cut, "the stream of the other client ended"),
            (self.ratio() < 2.0, "the latency of the other client has more than doubled"),
        ]
    }

    /// How many times as old its events are at the 99th percentile.
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
    /// Begins to read from 127.0.0.3, and waits for the first event.
    ///
    /// # Panics
    /// If none comes.
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

    /// From now on something happens, or nothing does.
    pub fn set_loud(&self, loud: bool) {
        self.shared.loud.store(loud, Ordering::Relaxed);
    }

    /// Ends it.
    ///
    /// # Panics
    /// If its thread did.
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

/// How long ago an event of the demo was made, to the millisecond.
fn age(event: &SseMessage) -> Option<Duration> {
    let data: serde_json::Value = serde_json::from_str(&event.data).ok()?;
    let made: jiff::Timestamp = data["meta"]["dt"].as_str()?.parse().ok()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    let made = u64::try_from(made.as_millisecond()).ok()?;
    Some(now.saturating_sub(Duration::from_millis(made)))
}

/// For the demo's stream, from this address.
pub(crate) fn ask_from(address: [u8; 4]) -> Ask {
    Ask {
        from: Some((address, 0).into()),
        ..Ask::new("/v2/stream/recentchange")
    }
}

/// What takes longer counts as this long.
const LONGEST: Duration = Duration::from_secs(60);

/// How long a client of the demo waits for anything: it is never silent for so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
