//! Latency from producing a record to reading it, for clients of a gateway and for a plain consumer of the
//! same records.

use std::{
    fmt,
    path::PathBuf,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use rdkafka::Offset;
use riverhead_brokers::{Cluster, NewTopic};
use serde::Serialize;

use super::{DETERMINED, exact, problems, runtime};
use crate::{
    client::Ask,
    gateway::{Gateway, GatewayPlan},
    numbers::{Faults, Truth},
    progress::Progress,
    reading::Reading,
    stopwatch::{Quantiles, Sent, Stopwatch},
    writer::now,
    yardstick::{self, Arrival},
};

/// The sizes of the scenario.
#[derive(Clone, Debug)]
pub struct Latency {
    /// The riverhead binary.
    pub binary: PathBuf,
    /// The number of clients of the gateway. There is always one plain consumer.
    pub clients: usize,
    /// Records per second, over three partitions.
    pub rate: f64,
    /// The duration of the measurement.
    pub duration: Duration,
    /// How long records are written before it.
    pub warm_up: Duration,
    /// How long the last record may take to arrive.
    pub patience: Duration,
    /// Reports progress.
    pub progress: Progress,
}

/// The result of the scenario.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Records per second.
    pub rate: f64,
    /// The number of clients of the gateway.
    pub clients: usize,
    /// The number of clients that received everything.
    pub finished: usize,
    /// Latency from passing a record to the producer until a client of the gateway has read the event, of all
    /// clients.
    pub gateway: Quantiles,
    /// The same, until the plain consumer has the record.
    pub plain: Quantiles,
    /// The faults of all clients together.
    pub faults: Faults,
    /// The number of gap events.
    pub gaps: usize,
    /// Processor time that the gateway used in total.
    pub gateway_cpu: Duration,
    /// The gateway's log.
    #[serde(skip)]
    pub log: String,
}

impl Latency {
    /// Runs the scenario on a healthy cluster. Other work on the machine affects both figures.
    ///
    /// # Panics
    /// If the cluster or the gateway does not start.
    pub fn run(&self, cluster: &Cluster, name: &str) -> Report {
        // One replica: three small brokers that copy single records take the machine from what is measured.
        cluster.create(&NewTopic::with_replicas(name, &[&[1], &[2], &[3]]));
        let gateway = GatewayPlan::new(&self.binary, cluster.bootstrap_list(), "numbers", &[name])
            .unlimited()
            .start()
            .expect("the gateway starts");
        gateway.wait_for_partitions(PARTITIONS, DETERMINED);
        let sent = Sent::new(self.records(), self.in_warm_up());
        self.progress.say(format_args!(
            "{} clients and a plain consumer, {} records per second",
            self.clients, self.rate
        ));
        let deadline = Instant::now() + self.warm_up + self.duration + self.patience;
        let (readings, plain) = thread::scope(|scope| {
            let plain = scope.spawn(|| self.consume(cluster, name, &sent, deadline));
            let readings = scope.spawn(|| self.read(&gateway, &sent, deadline));
            self.write(cluster, name, &sent);
            let readings = readings.join().expect("the clients");
            (readings, plain.join().expect("the plain consumer"))
        });
        self.report(&readings, &plain, &sent, &gateway)
    }

    fn in_warm_up(&self) -> u64 {
        (self.rate * self.warm_up.as_secs_f64()) as u64
    }

    fn records(&self) -> u64 {
        self.in_warm_up() + (self.rate * self.duration.as_secs_f64()) as u64
    }

    fn write(&self, cluster: &Cluster, topic: &str, sent: &Arc<Sent>) {
        let sent = Arc::clone(sent);
        // Idempotent: otherwise a retry on a busy machine writes records twice, and no client is exact. With one
        // replica it costs nothing.
        let mut producer = cluster
            .producer(topic)
            .property("linger.ms", "0")
            .numbers_from(0)
            .rate(self.rate)
            // The producer asks for it when it hands the record to librdkafka.
            .timestamp(move |number| {
                sent.note(number);
                now()
            })
            .start();
        producer.send(self.records());
        producer.flush();
    }

    fn read(&self, gateway: &Gateway, sent: &Arc<Sent>, deadline: Instant) -> Vec<Reading> {
        let count = self.records() as usize;
        runtime().block_on(async {
            let tasks: Vec<_> = (0..self.clients)
                .map(|_| {
                    let ask = Ask::new("/v2/stream/numbers?since=1");
                    let mut reading = Reading::new(gateway.http, ask).timed(Stopwatch::new(sent));
                    tokio::spawn(async move {
                        reading.read(count, None, deadline.into()).await;
                        reading
                    })
                })
                .collect();
            let mut readings = Vec::new();
            for task in tasks {
                readings.push(task.await.expect("a client"));
            }
            readings
        })
    }

    fn consume(&self, cluster: &Cluster, topic: &str, sent: &Arc<Sent>, deadline: Instant) -> Plain {
        let consumer = yardstick::consumer(cluster, &[topic.to_owned()], Offset::Beginning);
        let mut plain = Plain {
            stopwatch: Stopwatch::new(sent),
            partitions: vec![Vec::new(); PARTITIONS],
            count: 0,
        };
        while plain.count < self.records() && Instant::now() < deadline {
            if let Some(arrival) = yardstick::next_arrival(&consumer) {
                plain.note(arrival);
            }
        }
        plain
    }

    fn report(&self, readings: &[Reading], plain: &Plain, sent: &Arc<Sent>, gateway: &Gateway) -> Report {
        let truth = Truth::of_partitions(&plain.partitions);
        let all = || readings.iter().map(|reading| &reading.got);
        let watches = readings.iter().filter_map(|reading| reading.stopwatch.as_ref());
        Report {
            rate: self.rate,
            clients: self.clients,
            finished: all()
                .filter(|got| got.numbers.len() as u64 == self.records())
                .count(),
            gateway: watches.fold(Stopwatch::new(sent), Stopwatch::plus).quantiles(),
            plain: plain.stopwatch.quantiles(),
            faults: truth.judge_all(all()),
            gaps: all().map(|got| got.gaps.len()).sum(),
            gateway_cpu: gateway.cpu().unwrap_or_default(),
            log: gateway.log(),
        }
    }
}

/// What the plain consumer got.
struct Plain {
    stopwatch: Stopwatch,
    /// The numbers of each partition.
    partitions: Vec<Vec<u64>>,
    count: u64,
}

impl Plain {
    fn note(&mut self, arrival: Arrival) {
        self.stopwatch.arrived(arrival.number, arrival.at);
        self.partitions[arrival.partition as usize].push(arrival.number);
        self.count += 1;
    }
}

impl Report {
    /// How many times as long a client of the gateway waits as a plain consumer: the medians, and the 99th percentiles.
    pub fn ratios(&self) -> (f64, f64) {
        (
            self.gateway.p50 / self.plain.p50,
            self.gateway.p99 / self.plain.p99,
        )
    }
}

impl super::Report for Report {
    fn problems(&self) -> Vec<String> {
        problems([
            (self.finished == self.clients, "a client did not finish in time"),
            exact(self.faults),
            (self.gaps == 0, "a client received a gap"),
        ])
    }

    fn log(&self) -> &str {
        &self.log
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (p50, p99) = self.ratios();
        writeln!(
            f,
            "{} records/s, {} clients, finished {}",
            self.rate, self.clients, self.finished
        )?;
        writeln!(f, "through the gateway: {}", self.gateway)?;
        writeln!(f, "plain consumer:      {}", self.plain)?;
        writeln!(f, "ratio: p50 {p50:.2}, p99 {p99:.2}")?;
        let per_event = self.gateway_cpu.as_secs_f64() * 1e6 / (self.gateway.count as f64).max(1.0);
        writeln!(f, "gateway: about {per_event:.2} us of processor per delivery")?;
        write!(f, "{}, gap events {}", self.faults, self.gaps)
    }
}

const PARTITIONS: usize = 3;
