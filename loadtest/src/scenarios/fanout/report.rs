//! Medians over the rounds, and their ratios.

use std::fmt;

use serde::Serialize;

use super::{FanoutRound, Load};
use crate::{
    chart::Page,
    scenarios::problems,
    server::Kind,
    stopwatch::Quantiles,
    table::{Table, figure, median},
};

/// The result of the scenario.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Medians, one row for each server under each load.
    pub rows: Vec<Row>,
    /// The measurements that the medians are taken of.
    pub turns: Vec<FanoutRound>,
    #[serde(skip)]
    log: String,
}

/// Medians over the rounds, in the units of [`FanoutRound`].
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The server.
    pub server: Kind,
    /// The load.
    pub load: Load,
    /// The number of rounds.
    pub rounds: usize,
    /// Microseconds of processor per delivery.
    pub cpu: Option<f64>,
    /// The minimum and maximum of these.
    pub cpu_range: Option<(f64, f64)>,
    /// The ratio to the raw writer under the same load.
    pub beside_raw: Option<f64>,
    /// The ratio to riverhead without TLS, on bare sockets, under the same load.
    pub beside_socket: Option<f64>,
    /// Deliveries per second.
    pub deliveries: Option<f64>,
    /// The number of processors used.
    pub busy: Option<f64>,
    /// Resident bytes per client.
    pub resident: Option<f64>,
    /// Bytes in the kernel per client.
    pub kernel: Option<f64>,
    /// The number of bytes per event on the wire.
    pub event_bytes: Option<f64>,
    /// The median latency in milliseconds.
    pub p50: Option<f64>,
    /// The 99th percentile of the latency in milliseconds.
    pub p99: Option<f64>,
    /// The ratio of the 99th percentile to that of the plain consumer.
    pub p99_beside_plain: Option<f64>,
    /// The ratio of the bytes that the brokers sent to those for the plain consumer.
    pub fetched_beside_plain: Option<f64>,
    /// The number of connections to brokers.
    pub broker_connections: Option<f64>,
    /// Seconds until all streams had begun.
    pub connected: Option<f64>,
}

impl FanoutRound {
    /// Returns the row as one line.
    pub(super) fn summary(&self) -> String {
        format!(
            "{} us per delivery, {}/s, {} KB per client, {}; finished {} of {}, {}",
            figure(self.cpu, 2),
            figure(self.deliveries, 0),
            figure(self.resident.map(|bytes| bytes / 1e3), 2),
            self.latency,
            self.finished,
            self.judged,
            self.faults,
        )
    }
}

impl Report {
    pub(super) fn new(turns: Vec<FanoutRound>) -> Self {
        let mut rows: Vec<Row> = Vec::new();
        for turn in &turns {
            if !rows.iter().any(|row| row.is_of(turn)) {
                let same: Vec<&FanoutRound> = turns
                    .iter()
                    .filter(|other| other.server == turn.server && other.load == turn.load)
                    .collect();
                rows.push(Row::of(&same));
            }
        }
        compare(&mut rows, &turns);
        let log = turns
            .iter()
            .filter(|turn| !turn.is_good())
            .map(|turn| turn.log.as_str());
        let log = log.collect();
        Self { rows, turns, log }
    }

    /// Returns the report as a page.
    pub fn page(&self) -> Page {
        let mut page = Page::new("riverhead: fan-out");
        for (heading, unit, of) in CHARTS {
            let bars: Vec<(String, f64)> = self
                .rows
                .iter()
                .filter_map(|row| Some((format!("{}, {}", row.server.name(), row.load), of(row)?)))
                .collect();
            page.bars(heading, unit, &bars);
        }
        page
    }
}

impl Row {
    /// Returns the medians of the turns of one server under one load.
    fn of(turns: &[&FanoutRound]) -> Self {
        let of =
            |figure: fn(&FanoutRound) -> Option<f64>| median(turns.iter().filter_map(|turn| figure(turn)));
        let cpus = || turns.iter().filter_map(|turn| turn.cpu);
        let range = (cpus().reduce(f64::min)).zip(cpus().reduce(f64::max));
        Self {
            server: turns[0].server,
            load: turns[0].load.clone(),
            rounds: turns.len(),
            cpu: of(|turn| turn.cpu),
            cpu_range: range,
            beside_raw: None,
            beside_socket: None,
            deliveries: of(|turn| turn.deliveries),
            busy: of(|turn| turn.busy),
            resident: of(|turn| turn.resident),
            kernel: of(|turn| turn.kernel),
            event_bytes: of(|turn| turn.event_bytes),
            p50: of(|turn| turn.timed().map(|latency| latency.p50)),
            p99: of(|turn| turn.timed().map(|latency| latency.p99)),
            p99_beside_plain: None,
            fetched_beside_plain: None,
            broker_connections: of(|turn| turn.broker_connections.map(|count| count as f64)),
            connected: of(|turn| turn.connected),
        }
    }

    /// Returns whether both have the same numbers of clients and records.
    fn is_beside(&self, other: &Self) -> bool {
        self.load.clients == other.load.clients && self.load.rate == other.load.rate
    }

    fn is_of(&self, turn: &FanoutRound) -> bool {
        self.server == turn.server && self.load == turn.load
    }
}

/// Adds to every row the ratios to the raw writer and the plain consumer under the same load.
fn compare(rows: &mut [Row], turns: &[FanoutRound]) {
    let fetched = |server: Kind, load: &Load| {
        let same = turns
            .iter()
            .filter(|turn| turn.server == server && turn.load == *load);
        median(same.filter_map(|turn| turn.fetched.map(|bytes| bytes as f64)))
    };
    let all = rows.to_vec();
    for row in rows {
        let beside = |server: Kind| {
            let other = all
                .iter()
                .find(|other| other.server == server && other.is_beside(row));
            let other = other.and_then(|other| other.cpu);
            row.cpu.zip(other).map(|(own, other)| own / other)
        };
        (row.beside_raw, row.beside_socket) = (beside(Kind::Raw), beside(Kind::Riverhead));
        let plain = |other: &&Row| other.server == Kind::Plain && other.load.rate == row.load.rate;
        let plain = all.iter().find(plain);
        let p99 = plain.and_then(|plain| plain.p99);
        let once = plain.and_then(|plain| fetched(Kind::Plain, &plain.load));
        row.p99_beside_plain = row.p99.zip(p99).map(|(own, plain)| own / plain);
        row.fetched_beside_plain = fetched(row.server, &row.load)
            .zip(once)
            .map(|(own, once)| own / once);
    }
}

impl FanoutRound {
    /// Returns the latencies, if there were events after the warm-up.
    fn timed(&self) -> Option<&Quantiles> {
        (self.latency.count > 0).then_some(&self.latency)
    }

    fn is_good(&self) -> bool {
        self.finished == self.judged && self.faults.none() && self.ended == 0 && self.gaps == 0
    }
}

impl crate::scenarios::Report for Report {
    fn problems(&self) -> Vec<String> {
        let own = || self.turns.iter().filter(|turn| turn.server.is_riverhead());
        let exact = own().all(|turn| turn.faults.none());
        let finished = own().all(|turn| turn.finished == turn.judged);
        problems([
            (exact, crate::scenarios::EXACT),
            (finished, "a client did not receive everything in time"),
            (
                own().all(|turn| turn.ended == 0),
                "a stream ended or did not begin",
            ),
            (own().all(|turn| turn.gaps == 0), "a client received a gap"),
        ])
    }

    fn log(&self) -> &str {
        &self.log
    }

    fn page(&self) -> Option<Page> {
        Some(Self::page(self))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new([
            "server and load",
            "us/delivery",
            "least-most",
            "x raw",
            "x socket",
            "deliveries/s",
            "processors",
            "KB/client",
            "kernel KB",
            "B/event",
            "p50 ms",
            "p99 ms",
            "x plain",
            "fetched x",
            "brokers",
            "begun s",
        ]);
        let kilobytes = |bytes: Option<f64>| figure(bytes.map(|bytes| bytes / 1e3), 2);
        for row in &self.rows {
            let range = row.cpu_range.map(|(least, most)| format!("{least:.2}-{most:.2}"));
            table.row([
                format!("{}, {}", row.server.name(), row.load),
                figure(row.cpu, 2),
                range.unwrap_or_else(|| "-".into()),
                figure(row.beside_raw, 2),
                figure(row.beside_socket, 2),
                figure(row.deliveries, 0),
                figure(row.busy, 2),
                kilobytes(row.resident),
                kilobytes(row.kernel),
                figure(row.event_bytes, 0),
                figure(row.p50, 2),
                figure(row.p99, 2),
                figure(row.p99_beside_plain, 2),
                figure(row.fetched_beside_plain, 3),
                figure(row.broker_connections, 0),
                figure(row.connected, 2),
            ]);
        }
        let rounds = self.rows.first().map_or(0, |row| row.rounds);
        write!(f, "{table}\nmedians of {rounds} rounds")?;
        for turn in self.turns.iter().filter(|turn| !turn.is_good()) {
            let FanoutRound {
                server, load, round, ..
            } = turn;
            write!(
                f,
                "\nround {round}, {}, {load}: {}",
                server.name(),
                turn.summary()
            )?;
            write!(f, ", ended {}, gap events {}", turn.ended, turn.gaps)?;
        }
        Ok(())
    }
}

/// A heading, a unit, and the figure of a row.
type Chart = (&'static str, &'static str, fn(&Row) -> Option<f64>);

const CHARTS: [Chart; 4] = [
    ("CPU time per delivery (less is better)", "us", |row| row.cpu),
    ("Resident memory per client (less is better)", "KB", |row| {
        row.resident.map(|bytes| bytes / 1e3)
    }),
    (
        "From producer to client, 99th percentile (less is better)",
        "ms",
        |row| row.p99,
    ),
    ("Deliveries/second (more is better)", "/s", |row| row.deliveries),
];
