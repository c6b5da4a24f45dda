//! One client reads a log from its beginning, compared with a plain consumer.

use std::{
    fmt, io,
    path::PathBuf,
    sync::atomic::Ordering::Relaxed,
    thread,
    time::{Duration, Instant},
};

use rdkafka::Offset;
use riverhead_brokers::Cluster;
use serde::Serialize;

use super::{DETERMINED, problems, three_brokers};
use crate::{
    ask::Ask,
    crowd::{ClientTask, LoadClients, LoadOutcome},
    gateway::GatewayPlan,
    numbers::Faults,
    pins::Pins,
    progress::Progress,
    server::PARTITIONS,
    table::{Table, figure, median},
    yardstick,
};

/// The sizes of the scenario.
#[derive(Clone, Debug)]
pub struct Replayer {
    /// The riverhead binary.
    pub binary: PathBuf,
    /// Settings of riverhead, as environment variables.
    pub settings: Vec<(String, String)>,
    /// The number of records in the log.
    pub records: u64,
    /// Bytes of each record.
    pub record_bytes: usize,
    /// How often each reads the whole log.
    pub rounds: usize,
    /// Processors reserved for the gateway or the plain consumer; with 0 the kernel decides.
    pub server_cpus: usize,
    /// The deadline.
    pub patience: Duration,
    /// Reports progress.
    pub progress: Progress,
}

/// The result of the scenario.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The number of bytes of all values.
    pub bytes: u64,
    /// The number of records.
    pub records: u64,
    /// The times of the plain consumer, by round.
    pub plain: Vec<ReplayTimes>,
    /// The times of the client of a new gateway, by round.
    pub gateway: Vec<ReplayTimes>,
    /// Seconds of processor that the gateway used.
    pub cpu: Vec<f64>,
    /// The number of bytes that the brokers sent to the plain consumer and to the gateway.
    pub fetched: (u64, u64),
    /// The number of rounds in which the client received everything.
    pub finished: usize,
    /// The faults of all rounds.
    pub faults: Faults,
    /// The gateway's log.
    #[serde(skip)]
    pub log: String,
}

/// The times of one reader, in seconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ReplayTimes {
    /// Time until its first record: for connections, and for requests before the first fetch.
    pub start: f64,
    /// Time from then until its last record.
    pub read: f64,
}

impl Replayer {
    /// Runs the scenario on its own cluster.
    ///
    /// # Errors
    /// If the gateway does not start.
    pub fn run(&self) -> io::Result<Report> {
        let (cluster, pins) = three_brokers(self.server_cpus, self.progress);
        self.run_on(&cluster, &pins, "replayer")
    }

    /// Runs the scenario on a healthy cluster. Nothing else may read from its brokers meanwhile.
    ///
    /// # Errors
    /// If the gateway does not start.
    pub fn run_on(&self, cluster: &Cluster, pins: &Pins, topic: &str) -> io::Result<Report> {
        self.progress.say("writing the log");
        cluster.create_topic(topic, PARTITIONS);
        let mut producer = cluster
            .producer(topic)
            .record_bytes(self.record_bytes)
            .property("linger.ms", "5")
            .numbers_from(0)
            .start();
        producer.send(self.records);
        producer.flush();
        let mut report = Report {
            bytes: self.records * self.record_bytes as u64,
            records: self.records,
            plain: Vec::new(),
            gateway: Vec::new(),
            cpu: Vec::new(),
            fetched: (0, 0),
            finished: 0,
            faults: Faults::default(),
            log: String::new(),
        };
        for round in 1..=self.rounds {
            self.progress
                .say(format_args!("round {round} of {}: a plain consumer", self.rounds));
            pins.on_server(|| self.plain(cluster, topic, &mut report));
            self.progress.say("a client of a new gateway");
            self.through_a_gateway(cluster, pins, topic, &mut report)?;
        }
        Ok(report)
    }

    fn plain(&self, cluster: &Cluster, topic: &str, report: &mut Report) {
        let before = cluster.client_counts().to_client;
        let began = Instant::now();
        let consumer = yardstick::consumer(cluster, &[topic.to_owned()], Offset::Beginning);
        let (mut read, mut bytes, mut first) = (0, 0, None);
        while read < self.records && began.elapsed() < self.patience {
            if let Some(Ok(message)) = consumer.poll(POLL) {
                first.get_or_insert_with(Instant::now);
                read += 1;
                bytes += message.payload_len();
            }
        }
        report.plain.push(ReplayTimes::since(began, first));
        report.fetched.0 = cluster.client_counts().to_client - before;
        assert_eq!(bytes as u64, report.bytes, "the plain consumer reads everything");
    }

    fn through_a_gateway(
        &self,
        cluster: &Cluster,
        pins: &Pins,
        topic: &str,
        report: &mut Report,
    ) -> io::Result<()> {
        let mut plan =
            GatewayPlan::new(&self.binary, cluster.bootstrap_list(), "numbers", &[topic]).unlimited();
        plan.history_rate = Some(UNLIMITED);
        plan = plan.set_all(&self.settings);
        let gateway = pins.on_server(|| plan.start())?;
        gateway.wait_for_partitions(PARTITIONS, DETERMINED);
        let (before, cpu) = (cluster.client_counts().to_client, gateway.cpu()?);
        let began = Instant::now();
        let crowd = LoadClients::start(self.one(gateway.http), None, None, |_| ClientTask {
            ask: Ask::new("/v2/stream/numbers?since=1"),
            next: Some((0..PARTITIONS as u64).collect()),
        })?;
        let (events, mut first) = (|| crowd.tally.judged_events.load(Relaxed), None);
        while events() < self.records && began.elapsed() < self.patience {
            if events() > 0 {
                first.get_or_insert_with(Instant::now);
            }
            thread::sleep(LOOK);
        }
        report.gateway.push(ReplayTimes::since(began, first));
        report.cpu.push((gateway.cpu()? - cpu).as_secs_f64());
        report.fetched.1 = cluster.client_counts().to_client - before;
        crowd.aim(self.records);
        let LoadOutcome { faults, finished, .. } = crowd.finish()?;
        report.faults = report.faults.plus(faults);
        report.finished += finished;
        report.log = gateway.log();
        Ok(())
    }

    fn one(&self, server: std::net::SocketAddr) -> crate::crowd::LoadPlan {
        crate::crowd::LoadPlan {
            server,
            clients: 1,
            partitions: PARTITIONS,
            judge_every: 1,
            keep_ids: false,
        }
    }
}

impl ReplayTimes {
    fn since(began: Instant, first: Option<Instant>) -> Self {
        let first = first.unwrap_or_else(Instant::now);
        Self {
            start: (first - began).as_secs_f64(),
            read: first.elapsed().as_secs_f64(),
        }
    }

    fn all(self) -> f64 {
        self.start + self.read
    }
}

impl Report {
    /// Returns the ratios of the median rate to that of the plain consumer, from the first record on and from
    /// the request on.
    pub fn ratios(&self) -> [Option<f64>; 2] {
        [|took: &ReplayTimes| took.read, |took: &ReplayTimes| took.all()].map(|part| {
            let [plain, gateway] = [&self.plain, &self.gateway].map(|took| median(took.iter().map(part)));
            plain.zip(gateway).map(|(plain, gateway)| plain / gateway)
        })
    }
}

impl super::Report for Report {
    fn problems(&self) -> Vec<String> {
        problems([
            (
                self.finished == self.gateway.len(),
                "a client did not finish in time",
            ),
            super::exact(self.faults),
        ])
    }

    fn log(&self) -> &str {
        &self.log
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new([
            "reader",
            "MB/s",
            "records/s",
            "s to the first",
            "s from there",
            "us of processor/record",
        ]);
        let mut row = |name: &str, took: &[ReplayTimes], cpu: &[f64]| {
            let read = median(took.iter().map(|took| took.read));
            let rate = |amount: u64| read.map(|read| amount as f64 / read);
            let cpu = median(cpu.iter().copied()).map(|cpu| cpu * 1e6 / self.records as f64);
            table.row([
                name.into(),
                figure(rate(self.bytes).map(|rate| rate / 1e6), 1),
                figure(rate(self.records), 0),
                figure(median(took.iter().map(|took| took.start)), 2),
                figure(read, 2),
                figure(cpu, 2),
            ]);
        };
        row("plain consumer", &self.plain, &[]);
        row("client of riverhead", &self.gateway, &self.cpu);
        let (plain, own) = self.fetched;
        let [read, all] = self.ratios();
        writeln!(f, "{table}\nmedians of {} rounds", self.plain.len())?;
        writeln!(
            f,
            "rate compared with the plain consumer's: {} x; including the time to the first record {} x",
            figure(read, 2),
            figure(all, 2)
        )?;
        let fetched = own as f64 / plain as f64;
        write!(f, "fetched {fetched:.3} x its bytes; {}", self.faults)
    }
}

/// In bytes per second; more than any machine can read.
const UNLIMITED: u64 = 1 << 40;

/// The time between two checks of the clock while nothing arrives.
const POLL: Duration = Duration::from_millis(100);

/// The time between two checks of whether the last number has arrived.
const LOOK: Duration = Duration::from_millis(1);
