//! One server under one load in one round.

use std::{
    io,
    sync::{Arc, atomic::Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use rdkafka::Offset;
use riverhead_brokers::Counts;
use serde::Serialize;

use super::{Fanout, Load};
use crate::{
    crowd::{LoadClients, LoadPlan},
    numbers::Faults,
    process::socket_memory,
    server::{Feed, Kind, PARTITIONS, Server, Site},
    stopwatch::{Quantiles, Sent, Stopwatch},
    yardstick,
};

/// The figures that were measured. The others are absent: a plain consumer, for example, has no clients.
#[derive(Clone, Debug, Serialize)]
pub struct FanoutRound {
    /// The server.
    pub server: Kind,
    /// The load.
    pub load: Load,
    /// The round, counted from 1.
    pub round: usize,
    /// Seconds until every stream had begun.
    pub connected: Option<f64>,
    /// Events per second that all clients received together.
    pub deliveries: Option<f64>,
    /// The server's processor time per event, in microseconds.
    pub cpu: Option<f64>,
    /// The share of one processor that it used.
    pub busy: Option<f64>,
    /// Growth of the resident memory from before the first client until the end, per client, in bytes.
    pub resident: Option<f64>,
    /// Growth of the kernel's buffers of both ends, per client, in bytes.
    pub kernel: Option<f64>,
    /// The number of bytes per event on the wire.
    pub event_bytes: Option<f64>,
    /// Latency from passing a record on until a client has read the event.
    pub latency: Quantiles,
    /// The number of bytes that the brokers sent.
    pub fetched: Option<u64>,
    /// The number of connections to brokers at the end.
    pub broker_connections: Option<u64>,
    /// The number of checked clients.
    pub judged: usize,
    /// The number of checked clients that received everything.
    pub finished: usize,
    /// The faults of all checked clients together.
    pub faults: Faults,
    /// The number of streams that ended, and of connections that got none.
    pub ended: u64,
    /// The number of gap events.
    pub gaps: u64,
    /// riverhead's log.
    #[serde(skip)]
    pub log: String,
}

impl FanoutRound {
    /// Creates a result without figures.
    fn new(server: Kind, load: &Load, round: usize) -> Self {
        Self {
            server,
            load: load.clone(),
            round,
            connected: None,
            deliveries: None,
            cpu: None,
            busy: None,
            resident: None,
            kernel: None,
            event_bytes: None,
            latency: Quantiles::default(),
            fetched: None,
            broker_connections: None,
            judged: 0,
            finished: 0,
            faults: Faults::default(),
            ended: 0,
            gaps: 0,
            log: String::new(),
        }
    }

    fn note(&mut self, measured: &RoundResult) {
        let (cpu, took) = (measured.cpu.as_secs_f64(), measured.took.as_secs_f64());
        self.deliveries = Some(measured.deliveries / took);
        self.cpu = Some(cpu * 1e6 / measured.deliveries);
        self.busy = Some(cpu / took);
        self.event_bytes = Some(measured.event_bytes);
    }

    fn fetched(&mut self, before: Counts, now: Counts) {
        self.fetched = Some(now.to_client - before.to_client);
        self.broker_connections = Some(now.open);
    }

    fn finish(&mut self, crowd: LoadClients) -> io::Result<()> {
        self.ended = crowd.tally.gone();
        self.gaps = crowd.tally.gaps.load(Relaxed);
        let outcome = crowd.finish()?;
        self.judged = outcome.judged;
        self.finished = outcome.finished;
        self.faults = outcome.faults;
        if let Some(stopwatch) = outcome.stopwatch {
            self.latency = stopwatch.quantiles();
        }
        Ok(())
    }
}

/// Figures of the measured time.
struct RoundResult {
    /// The number of records, including those of the warm-up.
    written: u64,
    deliveries: f64,
    event_bytes: f64,
    cpu: Duration,
    took: Duration,
}

impl Fanout<'_> {
    pub(super) fn turn(
        &self,
        kind: Kind,
        load: &Load,
        round: usize,
        site: &Site<'_>,
    ) -> io::Result<FanoutRound> {
        let topic = format!("fanout-{}", fastrand::u32(..));
        let sent = Sent::new(self.records(load), self.in_warm_up(load));
        let Some(mut server) = kind.start(site, &topic)? else {
            return self.plain(load, round, site, &topic, &sent);
        };
        let before = site.cluster.client_counts();
        let mut feed = server.feed(site.cluster, &topic, self.record_bytes)?;
        self.first_client(kind, load, &server, &sent)?;
        let (resident, kernel) = (server.process.resident()?, socket_memory());
        let crowd = self.crowd(kind, load, &server, &sent)?;
        let mut turn = FanoutRound::new(kind, load, round);
        let Some(connected) = crowd.wait_until_here(COMING) else {
            return Err(io::Error::other(format!(
                "{}: not every stream began",
                kind.name()
            )));
        };
        turn.connected = Some(connected.as_secs_f64());
        let measured = self.measure(load, &server, &crowd, &mut feed, &sent)?;
        turn.note(&measured);
        _ = crowd.wait_for(measured.written, self.patience);
        let per_client = |now: u64, before: u64| Some((now as f64 - before as f64) / load.clients as f64);
        turn.resident = per_client(server.process.resident()?, resident);
        turn.kernel = per_client(socket_memory(), kernel);
        if kind.reads_kafka() {
            turn.fetched(before, site.cluster.client_counts());
        }
        turn.log = server.log();
        turn.finish(crowd)?;
        Ok(turn)
    }

    /// Lets one client come and go. For it the server reads its code and starts its threads, which no other client costs.
    fn first_client(&self, kind: Kind, load: &Load, server: &Server, sent: &Arc<Sent>) -> io::Result<()> {
        let one = Load {
            clients: 1,
            ..load.clone()
        };
        let first = self.crowd(kind, &one, server, sent)?;
        first.wait_until_here(COMING);
        first.finish().map(drop)
    }

    fn crowd(&self, kind: Kind, load: &Load, server: &Server, sent: &Arc<Sent>) -> io::Result<LoadClients> {
        let plan = LoadPlan {
            server: server.address,
            clients: load.clients,
            partitions: PARTITIONS,
            judge_every: self.judge_every,
            keep_ids: false,
        };
        let (load, target, addresses) = (load.clone(), server.target.clone(), self.addresses);
        let trust = server.trust();
        LoadClients::start(plan, Some(Stopwatch::new(sent)), None, move |client| {
            let mut task = load.task(kind, &target, client, addresses);
            task.ask.tls.clone_from(&trust);
            task
        })
    }

    /// Writes records, and measures from the end of the warm-up on.
    fn measure(
        &self,
        load: &Load,
        server: &Server,
        crowd: &LoadClients,
        feed: &mut Feed,
        sent: &Arc<Sent>,
    ) -> io::Result<RoundResult> {
        let (count, rate) = (self.records(load), load.rate);
        thread::scope(|scope| {
            let feeding = scope.spawn(|| feed.run(count, rate, sent));
            thread::sleep(self.warm_up);
            let (began, cpu, before) = (Instant::now(), server.process.cpu()?, crowd.tally.delivered());
            thread::sleep(self.duration);
            let delivered = crowd.tally.delivered().since(before);
            let (took, cpu) = (began.elapsed(), server.process.cpu()? - cpu);
            let written = feeding.join().expect("the writer")?;
            Ok(RoundResult {
                written,
                deliveries: delivered.events(),
                event_bytes: delivered.event_bytes(),
                cpu,
                took,
            })
        })
    }

    fn plain(
        &self,
        load: &Load,
        round: usize,
        site: &Site<'_>,
        topic: &str,
        sent: &Arc<Sent>,
    ) -> io::Result<FanoutRound> {
        let before = site.cluster.client_counts();
        let consumer = yardstick::consumer(site.cluster, &[topic.to_owned()], Offset::Beginning);
        let mut feed = Feed::to_kafka(site.cluster, topic, self.record_bytes);
        let (count, rate, noted) = (self.records(load), load.rate, Arc::clone(sent));
        let feeding = thread::spawn(move || feed.run(count, rate, &noted));
        let until = Instant::now() + self.warm_up + self.duration + self.patience;
        let (mut stopwatch, mut got) = (Stopwatch::new(sent), 0);
        while got < count && Instant::now() < until {
            if let Some(arrival) = yardstick::next_arrival(&consumer) {
                stopwatch.arrived(arrival.number, arrival.at);
                got += 1;
            }
        }
        feeding.join().expect("the writer")?;
        let mut turn = FanoutRound::new(Kind::Plain, load, round);
        turn.fetched(before, site.cluster.client_counts());
        turn.latency = stopwatch.quantiles();
        (turn.judged, turn.finished) = (1, usize::from(got == count));
        Ok(turn)
    }

    fn in_warm_up(&self, load: &Load) -> u64 {
        (load.rate * self.warm_up.as_secs_f64()) as u64
    }

    fn records(&self, load: &Load) -> u64 {
        self.in_warm_up(load) + (load.rate * self.duration.as_secs_f64()) as u64
    }
}

/// The longest time until ten thousand streams have begun: a fraction of a second for some servers, a minute
/// for one with a consumer per client.
const COMING: Duration = Duration::from_secs(120);
