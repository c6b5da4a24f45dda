//! Streams come and go by reload, a hundred at a time, under clients of another stream.

use std::{
    collections::BTreeSet,
    fmt, io,
    path::PathBuf,
    sync::{Arc, atomic::Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use riverhead_brokers::Cluster;
use serde::Serialize;

use super::{DETERMINED, exact, one_broker, problems, raise_descriptors};
use crate::{
    ask::Ask,
    crowd::{ClientTask, LoadClients, LoadPlan, address},
    gateway::{Gateway, GatewayPlan},
    numbers::Faults,
    pins::Pins,
    progress::Progress,
    server::{self, PARTITIONS},
    stopwatch::{Quantiles, Sent, Stopwatch},
    writer::{Writer, producer},
};

/// The sizes of the scenario.
#[derive(Clone, Debug)]
pub struct Reloads {
    /// The riverhead binary.
    pub binary: PathBuf,
    /// Settings of riverhead, as environment variables.
    pub settings: Vec<(String, String)>,
    /// The number of clients.
    pub clients: usize,
    /// The number of client addresses.
    pub addresses: usize,
    /// Records per second.
    pub rate: f64,
    /// Bytes of each record.
    pub record_bytes: usize,
    /// How many streams come and go at a time. Each has a topic of its own.
    pub streams: usize,
    /// How often they come and go.
    pub rounds: usize,
    /// How long all clients are live before.
    pub quiet: Duration,
    /// Processors reserved for the gateway; with 0 the kernel decides.
    pub server_cpus: usize,
    /// How long the clients may take to begin, and a reload may take.
    pub patience: Duration,
    /// Reports progress.
    pub progress: Progress,
}

/// The result of the scenario.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The number of reloads.
    pub reloads: usize,
    /// The number of streams that came and went.
    pub streams: usize,
    /// Seconds of the longest reload, from the signal to its line in the log.
    pub longest: f64,
    /// The number of clients.
    pub clients: usize,
    /// The number of these that received everything.
    pub finished: usize,
    /// The number of their streams that ended.
    pub ended: u64,
    /// The faults of all clients together.
    pub faults: Faults,
    /// The number of gap events.
    pub gaps: u64,
    /// The number of records that were written, and how many the gateway read from the brokers.
    pub read: (u64, u64),
    /// The latencies before the first reload, and from it to the last one.
    pub latency: [Quantiles; 2],
    /// The resident memory after the first tenth of the rounds and at the end, in bytes.
    pub resident: [u64; 2],
    /// The series of metrics that were there at the end and not at the beginning.
    pub new_series: Vec<String>,
    /// The gateway's log.
    #[serde(skip)]
    pub log: String,
}

impl Reloads {
    /// Runs the scenario with one broker of its own.
    ///
    /// # Errors
    /// If the gateway does not start, or there are too few descriptors.
    pub fn run(&self) -> io::Result<Report> {
        let (broker, pins) = one_broker(self.server_cpus, self.progress);
        self.run_on(&broker, &pins, "reloads")
    }

    /// Runs the scenario on a healthy cluster.
    ///
    /// # Errors
    /// If the gateway does not start or does not read its configuration again, or there are too few descriptors.
    pub fn run_on(&self, cluster: &Cluster, pins: &Pins, topic: &str) -> io::Result<Report> {
        raise_descriptors();
        server::create(cluster, topic);
        let passing: Vec<_> = (0..self.streams)
            .map(|number| format!("{topic}-passing-{number}"))
            .collect();
        passing.iter().for_each(|topic| cluster.create_topic(topic, 1));
        let plan = self.plan(cluster, topic);
        let gateway = pins.on_server(|| plan.start())?;
        gateway.wait_for_partitions(PARTITIONS, DETERMINED);
        let sent = Sent::new(self.most_records(), (self.rate * WARM_UP.as_secs_f64()) as u64);
        let crowd = self.crowd(&gateway, &sent)?;
        if crowd.wait_until_here(self.patience).is_none() {
            return Err(io::Error::other(gateway.log()));
        }
        let writer = Writer::start(
            producer(cluster, topic, self.record_bytes, Some(&sent)),
            0,
            self.rate,
        );
        thread::sleep(WARM_UP + self.quiet);
        let before = series(&gateway)?;
        sent.next_lap();
        let outcome = self.reload_often(&gateway, &plan, &passing)?;
        sent.next_lap();
        let written = writer.finish();
        _ = crowd.wait_for(written, self.patience);
        self.report(&gateway, crowd, &before, &outcome, written)
    }

    /// Adds a stream of each topic and removes them, as often as there are rounds.
    fn reload_often(&self, gateway: &Gateway, plan: &GatewayPlan, passing: &[String]) -> io::Result<Outcome> {
        let mut outcome = Outcome::default();
        for round in 0..self.rounds {
            self.progress.say(format_args!(
                "{} streams come and go, time {}",
                self.streams,
                round + 1
            ));
            // Others each time.
            let with = passing.iter().enumerate().map(|(number, topic)| {
                let name = format!("passing-{round}-{number}");
                (name, vec![topic.clone()])
            });
            let mut more = plan.clone();
            more.streams.splice(0..0, with);
            for plan in [&more, plan] {
                outcome.reload(gateway, plan, self.patience)?;
            }
            if round == self.rounds / 10 {
                outcome.resident = gateway.resident()?;
            }
        }
        Ok(outcome)
    }

    /// Reads the figures of the gateway, ends the clients, and returns what was measured. `before` is what there was of metrics.
    fn report(
        &self,
        gateway: &Gateway,
        crowd: LoadClients,
        before: &BTreeSet<String>,
        outcome: &Outcome,
        written: u64,
    ) -> io::Result<Report> {
        let (ended, gaps) = (crowd.tally.gone(), crowd.tally.gaps.load(Relaxed));
        let resident = [outcome.resident, gateway.resident()?];
        let read = gateway.metric("riverhead_kafka_records_total")? as u64;
        let new_series = series(gateway)?.difference(before).cloned().collect();
        let crowd = crowd.finish()?;
        let lap = |lap| {
            let watch = crowd.stopwatch.as_ref();
            watch.map(|watch| watch.lap(lap)).unwrap_or_default()
        };
        Ok(Report {
            reloads: 2 * self.rounds,
            streams: self.rounds * self.streams,
            longest: outcome.longest.as_secs_f64(),
            clients: crowd.judged,
            finished: crowd.finished,
            ended,
            faults: crowd.faults,
            gaps,
            read: (written, read),
            latency: [lap(0), lap(1)],
            resident,
            new_series,
            log: gateway.log(),
        })
    }

    fn plan(&self, cluster: &Cluster, topic: &str) -> GatewayPlan {
        GatewayPlan::new(&self.binary, cluster.bootstrap_list(), "numbers", &[topic])
            .room_for(self.clients)
            .set("RIVERHEAD_LOG__LEVEL", LOG_LEVEL)
            .set_all(&self.settings)
    }

    fn crowd(&self, gateway: &Gateway, sent: &Arc<Sent>) -> io::Result<LoadClients> {
        let plan = LoadPlan {
            server: gateway.http,
            clients: self.clients,
            partitions: PARTITIONS,
            judge_every: 1,
            keep_ids: false,
        };
        let addresses = self.addresses;
        LoadClients::start(plan, Some(Stopwatch::new(sent)), None, move |client| {
            let mut ask = Ask::new("/v2/stream/numbers");
            ask.from = Some(address(client, addresses));
            ClientTask {
                ask,
                next: Some((0..PARTITIONS as u64).collect()),
            }
        })
    }

    /// Returns more than the number of records in the longest run.
    fn most_records(&self) -> u64 {
        let longest = WARM_UP + self.quiet + self.patience * 2 * self.rounds as u32;
        (self.rate * longest.as_secs_f64().min(MOST_SECONDS)) as u64 + 1
    }
}

/// What the reloads did.
#[derive(Default)]
struct Outcome {
    reloads: usize,
    longest: Duration,
    resident: u64,
}

impl Outcome {
    /// Gives the gateway another configuration, and waits until it applies.
    fn reload(&mut self, gateway: &Gateway, plan: &GatewayPlan, patience: Duration) -> io::Result<()> {
        gateway.reconfigure(plan)?;
        let began = Instant::now();
        gateway.signal("HUP")?;
        self.reloads += 1;
        while gateway.log().matches(APPLIED).count() < self.reloads {
            if began.elapsed() > patience {
                return Err(io::Error::other(format!("no reload\n{}", gateway.log())));
            }
            thread::sleep(LOOK);
        }
        self.longest = self.longest.max(began.elapsed());
        Ok(())
    }
}

/// Returns the series of the gateway's metrics, without their values.
fn series(gateway: &Gateway) -> io::Result<BTreeSet<String>> {
    let text = gateway.admin("/metrics")?;
    let lines = text.lines().filter(|line| line.starts_with("riverhead_"));
    Ok(lines
        .filter_map(|line| Some(line.rsplit_once(' ')?.0.to_owned()))
        .collect())
}

impl Report {
    /// Returns the ratio of the 99th percentiles during the reloads and before.
    pub fn ratio(&self) -> f64 {
        self.latency[1].p99 / self.latency[0].p99
    }

    /// Returns the series of streams and topics that are gone.
    fn left_over(&self) -> impl Iterator<Item = &String> {
        self.new_series.iter().filter(|series| series.contains("passing"))
    }
}

impl super::Report for Report {
    fn problems(&self) -> Vec<String> {
        let grown = self.resident[1].saturating_sub(self.resident[0]);
        problems([
            (self.ended == 0, "a stream ended that no reload has changed"),
            (
                self.finished == self.clients,
                "a client did not receive everything",
            ),
            exact(self.faults),
            (self.gaps == 0, "a client received a gap"),
            (
                self.read.0 == self.read.1,
                "a record was read more or less than once from the brokers",
            ),
            (
                self.ratio() < MOST_RATIO,
                "the latency of the others has more than doubled",
            ),
            (
                self.left_over().next().is_none(),
                "metrics tell of streams or topics that are gone",
            ),
            (grown < MOST_GROWN, "resident memory grew"),
        ])
    }

    fn log(&self) -> &str {
        &self.log
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [before, meanwhile] = &self.latency;
        let [first, last] = self.resident.map(|bytes| bytes as f64 / 1e6);
        writeln!(
            f,
            "{} reloads, {} streams came and went; the longest reload took {:.3} s",
            self.reloads, self.streams, self.longest
        )?;
        writeln!(f, "clients, before            {before}")?;
        writeln!(f, "clients, meanwhile         {meanwhile}")?;
        writeln!(f, "  ratio of p99             {:.2}", self.ratio())?;
        writeln!(
            f,
            "resident                   {first:.1} MB, at the end {last:.1} MB"
        )?;
        writeln!(
            f,
            "series of metrics          {} new, {} of streams that are gone",
            self.new_series.len(),
            self.left_over().count()
        )?;
        writeln!(
            f,
            "records                    {} written, {} read",
            self.read.0, self.read.1
        )?;
        write!(
            f,
            "finished {} of {}, ended {}, {}, gap events {}",
            self.finished, self.clients, self.ended, self.faults, self.gaps
        )
    }
}

/// Warnings, and when a reload applies.
const LOG_LEVEL: &str = "warn,riverhead::app::reload=info";

/// What the log says of a reload.
const APPLIED: &str = "was read again and applies";

/// What is sent first is late, because the clients have just connected. It is not measured.
const WARM_UP: Duration = Duration::from_secs(5);

/// The time between two looks at the log.
const LOOK: Duration = Duration::from_millis(10);

/// No run takes longer, in seconds.
const MOST_SECONDS: f64 = 3_600.0;

/// The limit of the ratio of latencies.
const MOST_RATIO: f64 = 2.0;

/// How many bytes the gateway's resident memory may grow behind the first tenth: what an allocator keeps.
const MOST_GROWN: u64 = 8 << 20;
