//! The result of the scenario.

use std::fmt;

use serde::Serialize;

use crate::{
    numbers::Faults,
    scenarios::{exact, problems},
    stopwatch::Quantiles,
    table::{Table, figure},
};

/// The result of the scenario.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The turn of one client alone, if it was measured.
    pub alone: Option<ScatteredRound>,
    /// The turn of all clients.
    pub all: ScatteredRound,
    /// The gateway's log.
    #[serde(skip)]
    pub log: String,
}

/// The result of one turn.
#[derive(Clone, Debug, Serialize)]
pub struct ScatteredRound {
    /// The number of clients.
    pub clients: usize,
    /// The duration in seconds.
    pub took: f64,
    /// The number of bytes that the brokers sent.
    pub fetched: u64,
    /// The highest rate of the brokers in any five seconds, in bytes per second.
    pub most_fetched: f64,
    /// The number of bytes of record values that the gateway wrote to clients.
    pub delivered: u64,
    /// The number of bytes that the slowest and the fastest client received.
    pub read: [u64; 2],
    /// The latency of live records of the same partitions.
    pub live: Quantiles,
    /// Seconds of processor that the gateway used.
    pub cpu: f64,
    /// The peak of the resident memory, in bytes.
    pub resident: u64,
    /// The faults of all clients together.
    pub faults: Faults,
    /// The number of streams that ended or never began.
    pub gone: u64,
    /// The number of gap events.
    pub gaps: u64,
}

impl ScatteredRound {
    /// Returns the ratio of fetched to delivered bytes.
    pub fn ratio(&self) -> f64 {
        self.fetched as f64 / (self.delivered as f64).max(1.0)
    }

    /// Returns the bytes delivered per second.
    pub fn throughput(&self) -> f64 {
        self.delivered as f64 / self.took.max(f64::MIN_POSITIVE)
    }
}

impl Report {
    fn turns(&self) -> impl Iterator<Item = &ScatteredRound> {
        self.alone.iter().chain([&self.all])
    }

    /// Returns the faults of all turns.
    fn faults(&self) -> Faults {
        self.turns()
            .fold(Faults::default(), |sum, turn| sum.plus(turn.faults))
    }
}

impl crate::scenarios::Report for Report {
    fn problems(&self) -> Vec<String> {
        problems([
            exact(self.faults()),
            (
                self.turns().all(|turn| turn.gone == 0),
                "a stream ended or did not begin",
            ),
            (self.turns().all(|turn| turn.gaps == 0), "a client received a gap"),
            (
                self.turns().all(|turn| turn.read[0] > 0),
                "a client received nothing",
            ),
            (
                self.all.ratio() <= MOST_RATIO,
                "too many bytes were fetched from the brokers",
            ),
        ])
    }

    fn log(&self) -> &str {
        &self.log
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new([
            "clients",
            "s",
            "fetched/delivered",
            "delivered MB/s",
            "fetched MB/s, any 5 s",
            "MB read, least",
            "most",
            "live p50 ms",
            "p99 ms",
            "s of processor",
            "MB resident",
        ]);
        for turn in self.turns() {
            let mb = |bytes: f64| figure(Some(bytes / 1e6), 1);
            table.row([
                turn.clients.to_string(),
                figure(Some(turn.took), 1),
                figure(Some(turn.ratio()), 3),
                mb(turn.throughput()),
                mb(turn.most_fetched),
                mb(turn.read[0] as f64),
                mb(turn.read[1] as f64),
                figure(Some(turn.live.p50), 1),
                figure(Some(turn.live.p99), 1),
                figure(Some(turn.cpu), 2),
                mb(turn.resident as f64),
            ]);
        }
        write!(f, "{table}\n{}", self.faults())
    }
}

/// The limit of the ratio of fetched to delivered bytes.
pub const MOST_RATIO: f64 = 1.3;
