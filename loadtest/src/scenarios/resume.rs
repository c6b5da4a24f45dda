//! Numbered records, clients that are cut and resume, and brokers that are killed. Every client must get each
//! number once.

use std::{
    fmt,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use riverhead_brokers::{Cluster, Ledger};
use serde::Serialize;

use super::{exact, problems, runtime};
use crate::{
    client::Ask,
    gateway::{Gateway, GatewayPlan},
    numbers::{Faults, Truth},
    progress::Progress,
    reading::Reading,
};

/// The sizes of the scenario.
#[derive(Clone, Debug)]
pub struct Resume {
    /// The riverhead binary.
    pub binary: PathBuf,
    /// The number of records, over two topics of three partitions each.
    pub records: u64,
    /// Records per second.
    pub rate: f64,
    /// The number of readers.
    pub clients: usize,
    /// The minimum number of cuts of each reader.
    pub cuts: usize,
    /// The time between two kills of a broker. Each stays down for a third of it.
    pub kill_every: Duration,
    /// The deadline.
    pub patience: Duration,
    /// Reports which broker was killed, and the progress.
    pub progress: Progress,
}

/// The result of the scenario.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The number of records to write.
    pub wanted: u64,
    /// The number of records that the brokers acknowledged.
    pub written: usize,
    /// The number of readers.
    pub clients: usize,
    /// The number of readers that received all records in time.
    pub finished: usize,
    /// The faults of all readers together.
    pub faults: Faults,
    /// The gap events of all readers.
    pub gaps: Vec<String>,
    /// Responses that could not be parsed as events, with the cause.
    pub strange: Vec<String>,
    /// How often each reader had to be cut.
    pub cuts_wanted: usize,
    /// The fewest cuts of a reader.
    pub cuts: usize,
    /// The number of killed brokers.
    pub kills: usize,
    /// The connections that the gateway refused.
    pub refusals: Vec<String>,
    /// Time from the first record until the last reader has everything.
    pub took: Duration,
    /// Processor time that the gateway used in this time.
    pub gateway_cpu: Duration,
    /// The peak of the gateway's resident memory, in bytes.
    pub gateway_resident: u64,
    /// The gateway's log.
    #[serde(skip)]
    pub log: String,
}

impl Resume {
    /// Runs the scenario on a healthy cluster.
    ///
    /// # Panics
    /// If the cluster or the gateway does not start.
    pub fn run(&self, cluster: &Cluster, name: &str) -> Report {
        let topics = [format!("{name}-a"), format!("{name}-b")];
        topics.iter().for_each(|topic| cluster.create_topic(topic, 3));
        let gateway = self.gateway(cluster, &topics);
        let began = Instant::now();
        let delivered = Arc::default();
        let (readings, ledgers, kills) = thread::scope(|scope| {
            let readings = scope.spawn(|| self.read(&gateway, &delivered));
            let writers: Vec<_> = topics
                .iter()
                .map(|topic| scope.spawn(|| self.write(cluster, topic)))
                .collect();
            let kills = self.kill_until(cluster, &delivered, || readings.is_finished());
            let ledgers: Vec<_> = writers
                .into_iter()
                .map(|writer| writer.join().expect("a writer"))
                .collect();
            (readings.join().expect("the readers"), ledgers, kills)
        });
        self.report(&readings, &ledgers, kills, began.elapsed(), &gateway)
    }

    fn gateway(&self, cluster: &Cluster, topics: &[String]) -> Gateway {
        let topics: Vec<_> = topics.iter().map(String::as_str).collect();
        let bootstrap = cluster
            .bootstrap_with_dead_first()
            .split(',')
            .map(Into::into)
            .collect();
        GatewayPlan::new(&self.binary, bootstrap, "numbers", &topics)
            .unlimited()
            .start()
            .expect("the gateway starts")
    }

    fn write(&self, cluster: &Cluster, topic: &str) -> Ledger {
        let mut producer = cluster.producer(topic).rate(self.rate / 2.0).start();
        producer.send(self.records / 2);
        producer.finish()
    }

    fn read(&self, gateway: &Gateway, delivered: &Arc<AtomicU64>) -> Vec<(Reading, bool)> {
        let deadline = tokio::time::Instant::now() + self.patience;
        let count = self.records as usize;
        let cut_after = count / (self.cuts + 1);
        runtime().block_on(async {
            let tasks: Vec<_> = (0..self.clients)
                .map(|_| {
                    // From before the first record: the first id may arrive minutes later.
                    let ask = Ask::new("/v2/stream/numbers?since=1");
                    let mut reading = Reading::new(gateway.http, ask).counted(delivered);
                    tokio::spawn(async move {
                        let done = reading.read(count, Some(cut_after), deadline).await;
                        (reading, done)
                    })
                })
                .collect();
            let mut readings = Vec::new();
            for task in tasks {
                readings.push(task.await.expect("a reader"));
            }
            readings
        })
    }

    /// The times are fixed, so that a broker that takes long to start does not delay the next kill.
    fn kill_until(&self, cluster: &Cluster, delivered: &AtomicU64, over: impl Fn() -> bool) -> usize {
        let mut brokers = cluster.broker_ids().into_iter().cycle();
        let mut next = Instant::now() + self.kill_every.mul_f64(2.0 / 3.0);
        let mut kills = 0;
        while !wait(next.saturating_duration_since(Instant::now()), &over) {
            let Some(broker) = brokers.next() else { break };
            cluster.kill(broker);
            kills += 1;
            self.progress.say(format_args!(
                "killed broker {broker}; {} of {} events delivered",
                delivered.load(Ordering::Relaxed),
                self.records * self.clients as u64,
            ));
            wait(self.kill_every / 3, || false);
            cluster.start_broker(broker);
            next += self.kill_every;
        }
        kills
    }

    fn report(
        &self,
        readings: &[(Reading, bool)],
        ledgers: &[Ledger],
        kills: usize,
        took: Duration,
        gateway: &Gateway,
    ) -> Report {
        let truth = Truth::of(ledgers);
        let all = || readings.iter().map(|(reading, _)| reading);
        let cuts = all().map(|reading| reading.connects - 1 - reading.refusals.len());
        Report {
            wanted: self.records,
            written: truth.len(),
            clients: self.clients,
            finished: readings.iter().filter(|(_, done)| *done).count(),
            faults: truth.judge_all(all().map(|reading| &reading.got)),
            gaps: all().flat_map(|reading| reading.got.gaps.clone()).collect(),
            strange: all().flat_map(|reading| reading.got.strange.clone()).collect(),
            cuts_wanted: self.cuts,
            cuts: cuts.min().unwrap_or_default(),
            kills,
            refusals: all().flat_map(|reading| reading.refusals.clone()).collect(),
            took,
            gateway_cpu: gateway.cpu().unwrap_or_default(),
            gateway_resident: gateway.most_resident().unwrap_or_default(),
            log: gateway.log(),
        }
    }
}

/// Waits for this time. Returns true earlier if `over` returns true.
fn wait(duration: Duration, over: impl Fn() -> bool) -> bool {
    let deadline = Instant::now() + duration;
    while Instant::now() < deadline {
        if over() {
            return true;
        }
        thread::sleep(Duration::from_millis(20));
    }
    over()
}

impl super::Report for Report {
    fn problems(&self) -> Vec<String> {
        problems([
            (
                self.written as u64 == self.wanted,
                "the brokers did not accept every record",
            ),
            (self.finished == self.clients, "a client did not finish in time"),
            exact(self.faults),
            (self.gaps.is_empty(), "a client received a gap"),
            (
                self.strange.is_empty(),
                "a client received something that is not an event",
            ),
            (
                self.cuts >= self.cuts_wanted,
                "a client was cut less often than requested",
            ),
            (self.kills > 0, "no broker was killed"),
        ])
    }

    fn log(&self) -> &str {
        &self.log
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { written, wanted, .. } = self;
        writeln!(f, "records written {written} of {wanted}")?;
        writeln!(f, "clients finished {} of {}", self.finished, self.clients)?;
        writeln!(f, "{}", self.faults)?;
        writeln!(
            f,
            "gap events {}, refused connections {}",
            self.gaps.len(),
            self.refusals.len()
        )?;
        writeln!(
            f,
            "cuts of each client at least {}, brokers killed {}",
            self.cuts, self.kills
        )?;
        let (took, cpu) = (self.took.as_secs_f64(), self.gateway_cpu.as_secs_f64());
        let per_event = cpu * 1e6 / (self.written * self.clients).max(1) as f64;
        writeln!(f, "took {took:.1} s")?;
        let megabytes = self.gateway_resident as f64 / 1e6;
        write!(
            f,
            "gateway: {cpu:.1} s of processor, {per_event:.2} us per delivery, at most {megabytes:.0} MB \
             resident"
        )
    }
}
