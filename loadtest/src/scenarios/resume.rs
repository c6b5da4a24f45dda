//! Numbered records, clients that are cut and resume, brokers that are killed: every client ends with each number once.

use std::{
    fmt,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use riverhead_brokers::{Cluster, Ledger};

use crate::{
    client::Ask,
    gateway::{Gateway, Plan},
    numbers::{Faults, Truth},
    reading::Reading,
};

/// How much of it.
#[derive(Clone, Debug)]
pub struct Resume {
    /// The riverhead binary.
    pub binary: PathBuf,
    /// Records, over two topics of three partitions each.
    pub records: u64,
    /// Records a second.
    pub rate: f64,
    /// Readers.
    pub clients: usize,
    /// How often each is cut at least.
    pub cuts: usize,
    /// Between two kills of a broker; each stays down for a third of it.
    pub kill_every: Duration,
    /// When to give up.
    pub patience: Duration,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Report {
    /// Records acknowledged by the brokers.
    pub written: usize,
    /// Readers that got all of them in time.
    pub finished: usize,
    /// All readers' faults together.
    pub faults: Faults,
    /// Gap events of all readers.
    pub gaps: Vec<String>,
    /// The fewest cuts of a reader.
    pub cuts: usize,
    /// Brokers killed.
    pub kills: usize,
    /// Connections that the gateway did not take.
    pub refusals: Vec<String>,
    /// From the first record to the last reader's end.
    pub took: Duration,
    /// The gateway's log.
    pub log: String,
}

impl Resume {
    /// Runs it on a healthy cluster.
    ///
    /// # Panics
    /// When the cluster or the gateway does not do as it is told.
    pub fn run(&self, cluster: &Cluster, name: &str) -> Report {
        let topics = [format!("{name}-a"), format!("{name}-b")];
        topics.iter().for_each(|topic| cluster.create_topic(topic, 3));
        let gateway = self.gateway(cluster, &topics);
        let began = Instant::now();
        let (readings, ledgers, kills) = thread::scope(|scope| {
            let readings = scope.spawn(|| self.read(&gateway));
            let writers: Vec<_> = topics
                .iter()
                .map(|topic| scope.spawn(|| self.write(cluster, topic)))
                .collect();
            let kills = self.kill_until(cluster, || readings.is_finished());
            let ledgers: Vec<_> = writers
                .into_iter()
                .map(|writer| writer.join().expect("a writer"))
                .collect();
            (readings.join().expect("the readers"), ledgers, kills)
        });
        report(&readings, &ledgers, kills, began.elapsed(), gateway.log())
    }

    fn gateway(&self, cluster: &Cluster, topics: &[String]) -> Gateway {
        let topics: Vec<_> = topics.iter().map(String::as_str).collect();
        let bootstrap = cluster
            .bootstrap_with_dead_first()
            .split(',')
            .map(Into::into)
            .collect();
        Plan::new(&self.binary, bootstrap, "numbers", &topics)
            .unlimited()
            .start()
            .expect("the gateway starts")
    }

    fn write(&self, cluster: &Cluster, topic: &str) -> Ledger {
        let mut producer = cluster.producer(topic).rate(self.rate / 2.0).start();
        producer.send(self.records / 2);
        producer.finish()
    }

    fn read(&self, gateway: &Gateway) -> Vec<(Reading, bool)> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let deadline = tokio::time::Instant::now() + self.patience;
        let count = self.records as usize;
        let cut_after = count / (self.cuts + 1);
        runtime.block_on(async {
            let tasks: Vec<_> = (0..self.clients)
                .map(|_| {
                    // From before anything was written: the first id may come minutes later.
                    let ask = Ask::new("/v2/stream/numbers?since=1");
                    let mut reading = Reading::new(gateway.http, ask);
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

    fn kill_until(&self, cluster: &Cluster, over: impl Fn() -> bool) -> usize {
        let mut brokers = cluster.broker_ids().into_iter().cycle();
        let mut kills = 0;
        while !wait(self.kill_every.mul_f64(2.0 / 3.0), &over) {
            let Some(broker) = brokers.next() else { break };
            cluster.kill(broker);
            kills += 1;
            wait(self.kill_every / 3, || false);
            cluster.start_broker(broker);
        }
        kills
    }
}

/// Waits so long; earlier, and true, when it is over.
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

fn report(
    readings: &[(Reading, bool)],
    ledgers: &[Ledger],
    kills: usize,
    took: Duration,
    log: String,
) -> Report {
    let truth = Truth::of(ledgers);
    let all = || readings.iter().map(|(reading, _)| reading);
    Report {
        written: truth.len(),
        finished: readings.iter().filter(|(_, done)| *done).count(),
        faults: all().fold(Faults::default(), |sum, reading| {
            sum.plus(truth.judge(&reading.got))
        }),
        gaps: all().flat_map(|reading| reading.got.gaps.clone()).collect(),
        cuts: all()
            .map(|reading| reading.connects - 1 - reading.refusals.len())
            .min()
            .unwrap_or_default(),
        kills,
        refusals: all().flat_map(|reading| reading.refusals.clone()).collect(),
        took,
        log,
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Faults {
            lost,
            repeated,
            out_of_order,
            invented,
        } = self.faults;
        writeln!(f, "written {}, readers finished {}", self.written, self.finished)?;
        writeln!(
            f,
            "lost {lost}, repeated {repeated}, out of order {out_of_order}, invented {invented}"
        )?;
        writeln!(
            f,
            "cuts of each reader at least {}, brokers killed {}",
            self.cuts, self.kills
        )?;
        writeln!(
            f,
            "gap events {}, refused connections {}",
            self.gaps.len(),
            self.refusals.len()
        )?;
        write!(f, "took {:.1} s", self.took.as_secs_f64())
    }
}
