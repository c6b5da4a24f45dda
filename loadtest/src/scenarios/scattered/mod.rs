//! Clients read from different positions of a log that is far larger than the history cache, compared with
//! one client alone.

mod report;

pub use report::{MOST_RATIO, Report, ScatteredRound};

use std::{
    io,
    path::PathBuf,
    sync::{Arc, atomic::Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use riverhead_brokers::Cluster;

use super::{DETERMINED, raise_descriptors, three_brokers};
use crate::{
    ask::Ask,
    crowd::{ClientTask, LoadClients, LoadPlan, address},
    gateway::{Gateway, GatewayPlan},
    meter::Meter,
    pins::Pins,
    progress::Progress,
    stopwatch::{Sent, Stopwatch},
    writer::{Writer, now},
};

/// The sizes of the scenario.
#[derive(Clone, Debug)]
pub struct Scattered {
    /// The riverhead binary.
    pub binary: PathBuf,
    /// Settings of riverhead, as environment variables.
    pub settings: Vec<(String, String)>,
    /// The number of clients, each at a different position.
    pub clients: usize,
    /// The number of partitions of the stream.
    pub partitions: usize,
    /// The size of the history cache, in MiB.
    pub cache: u64,
    /// The size of the log in bytes: many times the cache.
    pub log_bytes: u64,
    /// Bytes of a record.
    pub record_bytes: usize,
    /// Bytes that each client reads per second; `None` for no limit.
    pub pace: Option<u64>,
    /// `history_rate` of the gateway, in bytes per second; `None` for no limit.
    pub history_rate: Option<u64>,
    /// The maximum duration of each turn. It ends earlier when the clients together have read three fifths of
    /// the log.
    pub duration: Duration,
    /// Processors reserved for the gateway; with 0 the kernel decides.
    pub server_cpus: usize,
    /// Whether one client alone is measured first.
    pub alone: bool,
    /// Reports progress.
    pub progress: Progress,
}

/// The environment of a turn.
struct ScatteredSetup<'a> {
    cluster: &'a Cluster,
    pins: &'a Pins,
    topic: &'a str,
    /// The number of records in the log, before the live ones.
    records: u64,
}

impl Scattered {
    /// Runs the scenario on its own cluster.
    ///
    /// # Errors
    /// If the gateway does not start, or there are too few descriptors.
    pub fn run(&self) -> io::Result<Report> {
        let (cluster, pins) = three_brokers(self.server_cpus, self.progress);
        self.run_on(&cluster, &pins, "scattered")
    }

    /// Runs the scenario on a healthy cluster. Nothing else may read from its brokers meanwhile.
    ///
    /// # Errors
    /// If the gateway does not start, or there are too few descriptors.
    pub fn run_on(&self, cluster: &Cluster, pins: &Pins, topic: &str) -> io::Result<Report> {
        raise_descriptors();
        let mut stage = ScatteredSetup {
            cluster,
            pins,
            topic,
            records: write(cluster, topic, self.partitions, self.log_bytes, self.record_bytes),
        };
        let alone = match self.alone {
            true => Some(self.turn(&mut stage, 1)?.0),
            false => None,
        };
        let (all, log) = self.turn(&mut stage, self.clients)?;
        Ok(Report { alone, all, log })
    }

    fn turn(&self, stage: &mut ScatteredSetup<'_>, clients: usize) -> io::Result<(ScatteredRound, String)> {
        let gateway = self.gateway(stage)?;
        let sent = Sent::new(stage.records + MOST_LIVE, stage.records);
        let (live, writer) = self.live(stage, &gateway, &sent)?;
        self.progress.say(format_args!("{clients} clients connect"));
        let mut meter = Meter::start(stage.cluster);
        let (cpu, began) = (gateway.cpu()?, Instant::now());
        let crowd = self.crowd(stage, &gateway, clients)?;
        let enough = stage.records / 5 * 3;
        let events = || crowd.tally.judged_events.load(Relaxed);
        while events() < enough && began.elapsed() < self.duration {
            thread::sleep(LOOK);
            meter.look();
        }
        let took = began.elapsed().as_secs_f64();
        meter.look();
        // Everything that the gateway has written counts, including what sockets still buffer.
        let events = gateway.metric(SENT)? as u64;
        let cpu = (gateway.cpu()? - cpu).as_secs_f64();
        stage.records = writer.finish();
        let (gone, gaps) = (crowd.tally.gone(), crowd.tally.gaps.load(Relaxed));
        let outcome = crowd.finish()?;
        let times = live.finish()?.stopwatch.map(|watch| watch.quantiles());
        let turn = ScatteredRound {
            clients,
            took,
            fetched: meter.bytes(),
            most_fetched: meter.peak(),
            delivered: events * self.record_bytes as u64,
            read: [
                outcome.read.iter().min().copied().unwrap_or_default(),
                outcome.read.iter().max().copied().unwrap_or_default(),
            ],
            live: times.unwrap_or_default(),
            cpu,
            resident: gateway.most_resident()?,
            faults: outcome.faults,
            gone,
            gaps,
        };
        Ok((turn, gateway.log()))
    }

    fn gateway(&self, stage: &ScatteredSetup<'_>) -> io::Result<Gateway> {
        let bootstrap = stage.cluster.bootstrap_list();
        let mut plan = GatewayPlan::new(&self.binary, bootstrap, "numbers", &[stage.topic])
            .unlimited()
            .set("RIVERHEAD_LOG__LEVEL", "warn")
            .set("RIVERHEAD_MEMORY__HISTORY", &format!("{}MiB", self.cache));
        plan.history_rate = Some(self.history_rate.unwrap_or(UNLIMITED));
        plan = plan.set_all(&self.settings);
        let gateway = stage.pins.on_server(|| plan.start())?;
        gateway.wait_for_partitions(self.partitions, DETERMINED);
        Ok(gateway)
    }

    /// Starts a client that reads live records, and the producer of these.
    fn live(
        &self,
        stage: &ScatteredSetup<'_>,
        gateway: &Gateway,
        sent: &Arc<Sent>,
    ) -> io::Result<(LoadClients, Writer)> {
        let plan = self.plan(gateway, 1);
        let live = LoadClients::start(plan, Some(Stopwatch::new(sent)), None, |_| {
            let mut ask = Ask::new("/v2/stream/numbers");
            ask.from = Some(([127, 0, 0, 3], 0).into());
            ClientTask { ask, next: None }
        })?;
        let noted = Arc::clone(sent);
        let producer = stage
            .cluster
            .producer(stage.topic)
            .record_bytes(self.record_bytes)
            .property("linger.ms", "0")
            .numbers_from(stage.records)
            .timestamp(move |number| {
                noted.note(number);
                now()
            });
        let writer = Writer::start(producer.start(), stage.records, LIVE_RATE);
        Ok((live, writer))
    }

    fn crowd(
        &self,
        stage: &ScatteredSetup<'_>,
        gateway: &Gateway,
        clients: usize,
    ) -> io::Result<LoadClients> {
        let (topic, partitions) = (stage.topic.to_owned(), self.partitions);
        let rows = stage.records / partitions as u64;
        LoadClients::start_paced(self.plan(gateway, clients), self.pace, move |client| {
            let row = rows / clients as u64 * client as u64;
            let mut ask = ask_from_row(&topic, partitions, row);
            ask.from = Some(address(client, ADDRESSES));
            ask.receive_buffer = Some(RECEIVE_BUFFER);
            let first = row * partitions as u64;
            ClientTask {
                ask,
                next: Some((first..first + partitions as u64).collect()),
            }
        })
    }

    fn plan(&self, gateway: &Gateway, clients: usize) -> LoadPlan {
        LoadPlan {
            server: gateway.http,
            clients,
            partitions: self.partitions,
            judge_every: 1,
            keep_ids: false,
        }
    }
}

/// Writes a log of at least this many bytes of numbers, over all partitions in turn, without replication.
/// Returns the number of records.
pub(super) fn write(
    cluster: &Cluster,
    topic: &str,
    partitions: usize,
    bytes: u64,
    record_bytes: usize,
) -> u64 {
    let records = bytes
        .div_ceil(record_bytes as u64)
        .next_multiple_of(partitions as u64);
    let brokers = [[1], [2], [3]];
    let replicas: Vec<&[i32]> = (0..partitions).map(|at| &brokers[at % 3][..]).collect();
    cluster.create(&riverhead_brokers::NewTopic::with_replicas(topic, &replicas));
    let mut producer = cluster
        .producer(topic)
        .record_bytes(record_bytes)
        .property("linger.ms", "5")
        .property("batch.size", BATCH)
        .numbers_from(0)
        .start();
    producer.send(records);
    producer.flush();
    records
}

/// Returns a request for all partitions from this offset on.
pub(super) fn ask_from_row(topic: &str, partitions: usize, row: u64) -> Ask {
    let entries = (0..partitions)
        .map(|partition| format!(r#"{{"topic":"{topic}","partition":{partition},"offset":{row}}}"#));
    let id = format!("[{}]", entries.collect::<Vec<_>>().join(","));
    Ask::new("/v2/stream/numbers").resume(Some(id))
}

/// No limit in practice.
const UNLIMITED: u64 = 1 << 40;

/// Live records per second.
const LIVE_RATE: f64 = 100.0;

/// Far more live records than any run writes.
const MOST_LIVE: u64 = 1_000_000;

/// The number of client addresses.
const ADDRESSES: usize = 250;

/// The receive buffer of each client: small, so that the gateway notices a slow client.
const RECEIVE_BUFFER: u32 = 64 * 1024;

/// The size of a producer's batch in bytes. A batch is always fetched whole.
const BATCH: &str = "16384";

/// The number of events that a gateway has written.
const SENT: &str = "riverhead_events_sent_total";

/// The time between two checks.
const LOOK: Duration = Duration::from_millis(20);
