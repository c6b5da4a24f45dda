//! Many clients, cheaply: a task each, which counts numbers and keeps nothing else.

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

/// Clients that all read the same, and are to end with the same.
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

    /// One that measures how long records take.
    pub(super) fn timed(sent: &Arc<Sent>) -> Self {
        Self {
            sent: Some(Arc::clone(sent)),
            ..Self::new()
        }
    }

    /// One that leaves out what comes again.
    pub(super) fn once() -> Self {
        Self {
            once: true,
            ..Self::new()
        }
    }

    /// So many join, and read on. Each has its `:ok` when this returns; how long that took each.
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

    /// Events that each client has got, on the average.
    pub(super) fn each(&self) -> usize {
        self.delivered.load(Ordering::Relaxed) as usize / self.readers.len()
    }

    /// Waits until every client has got so many events, if none got one twice.
    pub(super) fn wait_for(&self, count: usize) {
        eventually(SOON, &format!("{count} events for each client"), || {
            let each = self.each();
            if each >= count { Ok(()) } else { Err(each) }
        });
    }

    /// Every client gets all of this, once and in order, and nothing else but gaps.
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

    /// The same, over the one connection that each began with, and without a gap.
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

/// Asks for a stream, with this behind its name.
pub(super) fn ask(stream: &str, query: &str) -> Ask {
    Ask::new(format!("/v2/stream/{stream}{query}"))
}

/// With numbers from `first` on, each noted when it goes.
pub(super) fn noting<'a>(producer: ProducerBuilder<'a>, first: u64, sent: &Arc<Sent>) -> ProducerBuilder<'a> {
    let sent = Arc::clone(sent);
    producer.numbers_from(first).timestamp(move |number| {
        sent.note(number);
        now()
    })
}

/// What all of them measured in one lap.
pub(super) fn lap(readings: &[Reading], lap: usize) -> Quantiles {
    let watches = readings.iter().filter_map(|reading| reading.stopwatch.clone());
    let all = watches.reduce(|all, one| all.plus(&one));
    all.expect("a crowd that is timed").lap(lap)
}

/// The value below which this share of them lies.
pub(super) fn quantile(mut times: Vec<Duration>, share: f64) -> Duration {
    times.sort_unstable();
    times[((times.len() - 1) as f64 * share) as usize]
}

/// Events until a gateway has met its brokers, and is measured.
pub(super) const WARM_UP: usize = 100;

/// How many connect at once: a gateway's accept queue holds more.
const WAVE: usize = 100;

/// What takes a second on a quiet machine.
pub(super) const SOON: Duration = Duration::from_secs(60);
