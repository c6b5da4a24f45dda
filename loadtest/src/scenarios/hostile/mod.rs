//! Fifty addresses send all kinds of hostile requests. Two hundred honest clients must not notice.

mod attack;
mod http1;
mod http2;
mod ids;
mod report;

pub use report::{AttackResponses, Report};

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use fastrand::Rng;
use riverhead_brokers::{Cluster, Ledger};
use tokio::task::JoinSet;

use self::{attack::attack, ids::HostileIds};
use super::{DETERMINED, raise_descriptors, runtime};
use crate::{
    client::Ask,
    gateway::{Gateway, GatewayPlan},
    numbers::Truth,
    progress::Progress,
    reading::Reading,
    stopwatch::{Sent, Stopwatch},
    writer::now,
};

/// The sizes of a run.
#[derive(Clone, Debug)]
pub struct Hostile {
    /// The riverhead binary.
    pub binary: PathBuf,
    /// The number of honest clients, each with its own address from 127.0.2.1 on; at most 250.
    pub clients: u8,
    /// How often each honest client is cut and resumes.
    pub cuts: usize,
    /// The number of hostile addresses, from 127.0.3.1 on; at most 250.
    pub addresses: u8,
    /// The number of attacks of one address in progress at a time.
    pub at_once: usize,
    /// Records per second, over three partitions.
    pub rate: f64,
    /// How long the gateway runs undisturbed first, for comparison.
    pub quiet: Duration,
    /// The duration of the attacks.
    pub loud: Duration,
    /// How many times as late an event may be for an honest client at the 99th percentile during the attacks.
    pub ratio: f64,
    /// Each of the three budgets of `[memory]`, in MiB.
    pub memory: u32,
    /// How long the honest clients may take to finish after the last record is written.
    pub patience: Duration,
    /// The seed of the order of the attacks and of their mutations.
    pub seed: u64,
    /// Reports progress.
    pub progress: Progress,
}

impl Hostile {
    /// Runs the scenario on a healthy cluster.
    ///
    /// # Panics
    /// If the cluster or the gateway does not start.
    pub fn run(&self, cluster: &Cluster, name: &str) -> Report {
        raise_descriptors();
        cluster.create_topic(name, PARTITIONS);
        let gateway = self.gateway(cluster, name);
        gateway.wait_for_partitions(PARTITIONS, DETERMINED);
        let descriptors = gateway.process().descriptors().unwrap_or_default();
        let sent = Sent::new(self.records(), 0);
        let deadline = Instant::now() + self.quiet + self.loud + self.patience;
        let (readings, ledger, answers) = thread::scope(|scope| {
            let readings = scope.spawn(|| self.read(&gateway, &sent, deadline));
            let ledger = scope.spawn(|| self.write(cluster, name, &sent));
            self.progress.say("quiet");
            thread::sleep(self.quiet);
            sent.next_lap();
            self.progress.say(format_args!("attacks, seed {}", self.seed));
            let answers = runtime().block_on(self.attack_all(&gateway, name));
            self.progress.say("the attacks have ended");
            let ledger = ledger.join().expect("the producer");
            (readings.join().expect("the honest clients"), ledger, answers)
        });
        let mut report = Report::new(self, &gateway, &sent, &readings);
        report.faults = Truth::of(&[ledger]).judge_all(readings.iter().map(|(reading, _)| &reading.got));
        report.answers = answers;
        drop(readings);
        report.still_open = still_open(&gateway);
        report.descriptors = (descriptors, gateway.process().descriptors().unwrap_or(u64::MAX));
        report
    }

    fn gateway(&self, cluster: &Cluster, topic: &str) -> Gateway {
        let budget = format!("{}MiB", self.memory);
        GatewayPlan::new(&self.binary, cluster.bootstrap_list(), STREAM, &[topic])
            .set("RIVERHEAD_MEMORY__TAIL", &budget)
            .set("RIVERHEAD_MEMORY__HISTORY", &budget)
            .set("RIVERHEAD_MEMORY__LANES", &budget)
            // One hostile proxy is trusted, so that the headers that it forwards are parsed.
            .set("RIVERHEAD_HTTP__TRUSTED_PROXIES", "[\"127.0.3.1/32\"]")
            .set("RIVERHEAD_HTTP__STALL_TIMEOUT", "15s")
            .set("RIVERHEAD_HTTP__HEARTBEAT", "5s")
            .start()
            .expect("the gateway starts")
    }

    /// Returns the number of records written in total.
    fn records(&self) -> u64 {
        (self.rate * (self.quiet + self.loud).as_secs_f64()) as u64
    }

    fn write(&self, cluster: &Cluster, topic: &str, sent: &Arc<Sent>) -> Ledger {
        let sent = Arc::clone(sent);
        let mut producer = cluster
            .producer(topic)
            .property("linger.ms", "0")
            .numbers_from(0)
            .rate(self.rate)
            // The producer calls this when it passes the record to librdkafka.
            .timestamp(move |number| {
                sent.note(number);
                now()
            })
            .start();
        producer.send(self.records());
        producer.finish()
    }

    /// Runs the honest clients. Returns whether each has received everything.
    fn read(&self, gateway: &Gateway, sent: &Arc<Sent>, deadline: Instant) -> Vec<(Reading, bool)> {
        let count = self.records() as usize;
        let cut_after = (self.cuts > 0).then(|| count / (self.cuts + 1));
        runtime().block_on(async {
            let mut clients = JoinSet::new();
            for index in 0..self.clients {
                let ask = Ask {
                    from: Some(([127, 0, 2, index + 1], 0).into()),
                    ..Ask::new(format!("/v2/stream/{STREAM}?since=1"))
                };
                let mut reading = Reading::new(gateway.http, ask).timed(Stopwatch::new(sent));
                clients.spawn(async move {
                    let done = reading.read(count, cut_after, deadline.into()).await;
                    (reading, done)
                });
            }
            clients.join_all().await
        })
    }

    /// Attacks from every address until the time is over. Returns the results.
    async fn attack_all(&self, gateway: &Gateway, topic: &str) -> AttackResponses {
        let until = Instant::now() + self.loud;
        let ids = Arc::new(HostileIds::new(topic));
        let mut seeds = Rng::with_seed(self.seed);
        let mut attackers = JoinSet::new();
        for address in 0..self.addresses {
            for _ in 0..self.at_once {
                let (server, ids, rng) = (gateway.http, Arc::clone(&ids), seeds.fork());
                let from = ([127, 0, 3, address + 1], 0).into();
                attackers.spawn(async move {
                    let (mut rng, mut answers) = (rng, AttackResponses::default());
                    while Instant::now() < until {
                        let (shape, outcome) = attack(server, from, &ids, &mut rng).await;
                        answers.note(shape, outcome);
                    }
                    answers
                });
            }
        }
        let all = attackers.join_all().await;
        all.into_iter()
            .fold(AttackResponses::default(), AttackResponses::plus)
    }
}

/// Waits until the gateway has closed the connections of all clients, which have left. Returns the number of those that it has not.
fn still_open(gateway: &Gateway) -> u64 {
    let deadline = Instant::now() + GIVEN_BACK;
    loop {
        let open = |address: SocketAddr| gateway.process().accepted_on(address.port());
        let open = [gateway.http, gateway.admin].map(|address| open(address).unwrap_or(u64::MAX));
        let open = open.into_iter().fold(0, u64::saturating_add);
        if open == 0 || Instant::now() >= deadline {
            return open;
        }
        thread::sleep(Duration::from_millis(200));
    }
}

/// The name of the stream that the honest clients read.
const STREAM: &str = "numbers";

const PARTITIONS: usize = 3;

/// A stalled client is reset after 15 s here, and an idle connection is closed after 30 s.
const GIVEN_BACK: Duration = Duration::from_secs(60);
