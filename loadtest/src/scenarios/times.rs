//! Thousands of clients come at once, each with a `since` of its own, to brokers that are a round trip away.

use std::{
    fmt, io,
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use riverhead_brokers::{Cluster, Fault};
use serde::Serialize;
use tokio::{sync::Semaphore, time::sleep};

use super::{DETERMINED, problems, raise_descriptors, runtime, three_brokers};
use crate::{
    client::{Ask, Client},
    crowd::address,
    gateway::GatewayPlan,
    numbers::number,
    progress::Progress,
    table::figure,
};

/// How much of it.
#[derive(Clone, Debug)]
pub struct Times {
    /// The riverhead binary.
    pub binary: PathBuf,
    /// Clients, each with a time of its own.
    pub clients: usize,
    /// Addresses that they come from.
    pub addresses: usize,
    /// Partitions of their stream.
    pub partitions: usize,
    /// A round trip to a broker.
    pub round_trip: Duration,
    /// By when all of them are to have their first event.
    pub within: Duration,
    /// By when a client that comes in the middle of it and wants the earliest is to have its own.
    pub bystander_within: Duration,
    /// When to give up.
    pub patience: Duration,
    /// Says what it does.
    pub progress: Progress,
}

/// What came of it. Times are in seconds.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Clients.
    pub clients: usize,
    /// Those that got an event.
    pub served: usize,
    /// Those whose first event was one that came before the time they asked for.
    pub wrong: usize,
    /// From the first connection of all until the median client had its first event.
    pub median: Option<f64>,
    /// Until the last one had.
    pub last: Option<f64>,
    /// From the bystander's connection until its first event.
    pub bystander: Option<f64>,
    /// What `last` and `bystander` may be.
    pub within: [f64; 2],
    /// The gateway's log.
    #[serde(skip)]
    pub log: String,
}

impl Times {
    /// Runs it on a cluster of its own.
    ///
    /// # Errors
    /// If the gateway does not start.
    pub fn run(&self) -> io::Result<Report> {
        let (cluster, _) = three_brokers(0, self.progress);
        self.run_on(&cluster, "times")
    }

    /// Runs it on a healthy cluster, whose proxies then forward as before.
    ///
    /// # Errors
    /// If the gateway does not start.
    pub fn run_on(&self, cluster: &Cluster, topic: &str) -> io::Result<Report> {
        raise_descriptors();
        self.progress.say("writing the log");
        cluster.create_topic(topic, self.partitions);
        // An hour ago: old enough for any clock here, and far from what retention takes.
        let start = now() - 3_600_000;
        let mut producer = cluster
            .producer(topic)
            .numbers_from(0)
            .timestamp(move |number| time_of(start, number as usize))
            .start();
        producer.send((self.clients * RECORDS_A_CLIENT) as u64);
        producer.flush();
        let plan = GatewayPlan::new(&self.binary, cluster.bootstrap_list(), "numbers", &[topic]).unlimited();
        let gateway = plan.start()?;
        gateway.wait_for_partitions(self.partitions, DETERMINED);
        self.progress.say("the clients connect");
        set(cluster, Fault::Delay(self.round_trip / 2));
        let (firsts, bystander) = runtime().block_on(self.storm(gateway.http, topic, start));
        set(cluster, Fault::Pass);
        let mut took: Vec<_> = firsts.iter().flatten().map(|first| first.after).collect();
        took.sort_unstable();
        let seconds = |at: usize| took.get(at).map(Duration::as_secs_f64);
        Ok(Report {
            clients: self.clients,
            served: took.len(),
            wrong: firsts.iter().flatten().filter(|first| first.wrong).count(),
            median: seconds(self.clients / 2),
            last: (took.len() == self.clients)
                .then(|| seconds(self.clients - 1))
                .flatten(),
            bystander: bystander.map(|took| took.as_secs_f64()),
            within: [self.within, self.bystander_within].map(|within| within.as_secs_f64()),
            log: gateway.log(),
        })
    }

    async fn storm(
        &self,
        server: SocketAddr,
        topic: &str,
        start: i64,
    ) -> (Vec<Option<First>>, Option<Duration>) {
        let (began, connecting) = (Instant::now(), Arc::new(Semaphore::new(CONNECTING)));
        let clients = (0..self.clients).map(|client| {
            let connecting = Arc::clone(&connecting);
            let (patience, addresses) = (self.patience, self.addresses);
            let since = client * RECORDS_A_CLIENT;
            tokio::spawn(async move {
                let turn = connecting.acquire().await.ok()?;
                let target = format!("/v2/stream/numbers?since={}", time_of(start, since));
                let ask = Ask::new(target).browser_from(address(client, addresses));
                let mut client = Client::connect(server, &ask).await.ok()?;
                drop(turn);
                let event = client.next(patience.saturating_sub(began.elapsed())).await?;
                Some(First {
                    after: began.elapsed(),
                    wrong: number(&event.data).is_none_or(|number| number < since as u64),
                })
            })
        });
        let clients: Vec<_> = clients.collect();
        let bystander = self.bystander(server, topic).await;
        let mut firsts = Vec::with_capacity(self.clients);
        for client in clients {
            firsts.push(client.await.ok().flatten());
        }
        (firsts, bystander)
    }

    /// Comes in the middle of it, and wants the earliest event there is.
    async fn bystander(&self, server: SocketAddr, topic: &str) -> Option<Duration> {
        sleep(INTO_IT).await;
        let entry = |partition| format!(r#"{{"topic":"{topic}","partition":{partition},"offset":-2}}"#);
        let entries: Vec<_> = (0..self.partitions).map(entry).collect();
        let id = format!("[{}]", entries.join(","));
        let ask = Ask::new("/v2/stream/numbers").resume(Some(id));
        let began = Instant::now();
        let mut client = Client::connect(server, &ask).await.ok()?;
        client.next(self.patience).await?;
        Some(began.elapsed())
    }
}

/// A client's first event.
struct First {
    after: Duration,
    wrong: bool,
}

fn set(cluster: &Cluster, fault: Fault) {
    for broker in cluster.broker_ids() {
        cluster.proxy(broker).set(fault);
    }
}

/// The timestamp of a record: they rise from one to the next.
fn time_of(start: i64, number: usize) -> i64 {
    start + number as i64 * 10
}

fn now() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    since_epoch.map_or(0, |since| since.as_millis() as i64)
}

impl super::Report for Report {
    fn problems(&self) -> Vec<String> {
        let [within, bystander] = self.within;
        problems([
            (self.served == self.clients, "a client received no event"),
            (self.wrong == 0, "a client received an event from before its `since`"),
            (
                self.last.is_some_and(|took| took <= within),
                "the last client waited too long",
            ),
            (
                self.bystander.is_some_and(|took| took <= bystander),
                "the client that starts at the earliest event waited too long",
            ),
        ])
    }

    fn log(&self) -> &str {
        &self.log
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} of {} clients served: the median after {} s, the last after {} s; {} wrong",
            self.served,
            self.clients,
            figure(self.median, 2),
            figure(self.last, 2),
            self.wrong
        )?;
        write!(
            f,
            "the client that starts at the earliest event has it after {} s",
            figure(self.bystander, 2)
        )
    }
}

/// Records between the times of two clients.
const RECORDS_A_CLIENT: usize = 6;

/// Connections being made at a time: a gateway's accept queue holds more.
const CONNECTING: usize = 200;

/// When the bystander comes.
const INTO_IT: Duration = Duration::from_millis(500);
