//! Many cheap clients: each is a task that counts numbers and keeps nothing else.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use riverhead_brokers::{ProducerBuilder, eventually, scaled};
use riverhead_loadtest::{
    client::Ask,
    gateway::Gateway,
    goal::Goal,
    numbers::{Faults, Truth},
    reading::Reading,
    stopwatch::{Quantiles, Sent, Stopwatch},
};
use tokio::{task::JoinHandle, time::sleep};

use crate::table::now;

/// Clients that all read the same, and must end with the same.
pub(super) struct ReaderGroup {
    readers: Vec<JoinHandle<Reading>>,
    goal: Arc<Goal>,
    delivered: Arc<AtomicU64>,
    sent: Option<Arc<Sent>>,
    once: bool,
}

impl ReaderGroup {
    pub(super) fn new() -> Self {
        Self {
            readers: Vec::new(),
            goal: Arc::new(Goal::open()),
            delivered: Arc::default(),
            sent: None,
            once: false,
        }
    }

    /// Creates a group that measures latencies.
    pub(super) fn timed(sent: &Arc<Sent>) -> Self {
        Self {
            sent: Some(Arc::clone(sent)),
            ..Self::new()
        }
    }

    /// Creates a group that leaves out repeated events.
    pub(super) fn once() -> Self {
        Self {
            once: true,
            ..Self::new()
        }
    }

    /// Connects this many clients, which then continue to read. Each has received `:ok` when this returns.
    /// Returns how long that took for each.
    pub(super) async fn join(&mut self, gateway: &Gateway, ask: &Ask, count: usize) -> Vec<Duration> {
        let mut took = Vec::new();
        while took.len() < count {
            let wave = WAVE.min(count - took.len());
            let begun = join_all((0..wave).map(|_| self.begin(gateway, ask))).await;
            for (reading, time) in begun {
                took.push(time);
                self.readers
                    .push(tokio::spawn(follow(reading, Arc::clone(&self.goal))));
            }
        }
        took
    }

    async fn begin(&self, gateway: &Gateway, ask: &Ask) -> (Reading, Duration) {
        let mut reading = Reading::new(gateway.http, ask.clone()).counted(&self.delivered);
        reading.stopwatch = self.sent.as_ref().map(Stopwatch::new);
        if self.once {
            reading = reading.once();
        }
        let took = reading.begin().await;
        let took = took.unwrap_or_else(|| panic!("no `:ok`: {:?}", reading.refusals));
        (reading, took)
    }

    /// Returns the average number of events of each client.
    pub(super) fn each(&self) -> usize {
        self.delivered.load(Ordering::Relaxed) as usize / self.readers.len()
    }

    /// Waits until every client has received this many events, if none received one twice.
    pub(super) fn wait_for(&self, count: usize) {
        eventually(SOON, &format!("{count} events for each client"), || {
            let each = self.each();
            if each >= count { Ok(()) } else { Err(each) }
        });
    }

    /// Waits until every client has received all of this, and asserts that it did once and in order, with
    /// nothing else except gaps.
    pub(super) async fn gets(self, truth: &Truth) -> Vec<Reading> {
        self.goal.set(truth.len());
        let late = tokio::spawn(give_up(Arc::clone(&self.goal)));
        let mut readings = Vec::new();
        for reader in self.readers {
            readings.push(reader.await.expect("a reader"));
        }
        late.abort();
        for Reading { got, .. } in &readings {
            assert_eq!(truth.judge(got), Faults::default(), "of {}", truth.len());
            assert_eq!(got.strange, Vec::<String>::new());
        }
        readings
    }

    /// Does the same, and asserts that each used only its first connection and received no gap.
    pub(super) async fn gets_uncut(self, truth: &Truth) -> Vec<Reading> {
        let readings = self.gets(truth).await;
        for reading in &readings {
            assert_eq!(reading.connects, 1, "cut: {:?}", reading.ends);
            assert_eq!(reading.got.gaps, Vec::<String>::new());
        }
        readings
    }
}

async fn follow(mut reading: Reading, goal: Arc<Goal>) -> Reading {
    reading.follow(&goal).await;
    reading
}

async fn give_up(goal: Arc<Goal>) {
    sleep(scaled(SOON)).await;
    goal.give_up();
}

/// Returns a request for a stream with this query.
pub(super) fn ask(stream: &str, query: &str) -> Ask {
    Ask::new(format!("/v2/stream/{stream}{query}"))
}

/// Writes numbers from `first` on, and records when each is sent.
pub(super) fn noting<'a>(producer: ProducerBuilder<'a>, first: u64, sent: &Arc<Sent>) -> ProducerBuilder<'a> {
    let sent = Arc::clone(sent);
    producer.numbers_from(first).timestamp(move |number| {
        sent.note(number);
        now()
    })
}

/// Returns what all of them measured in one lap.
pub(super) fn lap(readings: &[Reading], lap: usize) -> Quantiles {
    let watches = readings.iter().filter_map(|reading| reading.stopwatch.clone());
    let all = watches.reduce(|all, one| all.plus(&one));
    all.expect("a crowd that is timed").lap(lap)
}

/// Returns the value below which this share of them lies.
pub(super) fn quantile(mut times: Vec<Duration>, share: f64) -> Duration {
    times.sort_unstable();
    times[((times.len() - 1) as f64 * share) as usize]
}

/// Events until a gateway is connected to its brokers. They are not measured.
pub(super) const WARM_UP: usize = 100;

/// The number of clients that connect at once: a gateway's accept queue holds more.
const WAVE: usize = 100;

/// The longest time of what takes a second on an idle machine.
pub(super) const SOON: Duration = Duration::from_secs(60);
