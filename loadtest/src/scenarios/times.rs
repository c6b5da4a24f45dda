//! Thousands of clients connect at once, each with a different `since`, while the brokers are a round trip
//! away.

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

/// The sizes of the scenario.
#[derive(Clone, Debug)]
pub struct Times {
    /// The riverhead binary.
    pub binary: PathBuf,
    /// The number of clients, each with a different `since`.
    pub clients: usize,
    /// The number of client addresses.
    pub addresses: usize,
    /// The number of partitions of the stream.
    pub partitions: usize,
    /// The duration of a round trip to a broker.
    pub round_trip: Duration,
    /// The time within which all clients must have their first event.
    pub within: Duration,
    /// The time within which a client that connects meanwhile and asks for the earliest event must have it.
    pub bystander_within: Duration,
    /// The deadline.
    pub patience: Duration,
    /// Reports progress.
    pub progress: Progress,
}

/// The result of the scenario. Times are in seconds.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The number of clients.
    pub clients: usize,
    /// The number of clients that received an event.
    pub served: usize,
    /// The number of clients whose first event was older than their `since`.
    pub wrong: usize,
    /// Seconds from the first connection until the median client had its first event.
    pub median: Option<f64>,
    /// Seconds from the first connection until the last client had its first event.
    pub last: Option<f64>,
    /// Seconds from the connection of the client for the earliest event until its first event.
    pub bystander: Option<f64>,
    /// The limits of `last` and `bystander`.
    pub within: [f64; 2],
    /// The gateway's log.
    #[serde(skip)]
    pub log: String,
}

impl Times {
    /// Runs the scenario on its own cluster.
    ///
    /// # Errors
    /// If the gateway does not start.
    pub fn run(&self) -> io::Result<Report> {
        let (cluster, _) = three_brokers(0, self.progress);
        self.run_on(&cluster, "times")
    }

    /// Runs the scenario on a healthy cluster, whose proxies then forward as before.
    ///
    /// # Errors
    /// If the gateway does not start.
    pub fn run_on(&self, cluster: &Cluster, topic: &str) -> io::Result<Report> {
        raise_descriptors();
        self.progress.say("writing the log");
        cluster.create_topic(topic, self.partitions);
        // An hour ago: old enough for any clock here, and far from the retention limit.
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

    /// Connects a client meanwhile that asks for the earliest event.
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

/// The first event of a client.
struct First {
    after: Duration,
    wrong: bool,
}

fn set(cluster: &Cluster, fault: Fault) {
    for broker in cluster.broker_ids() {
        cluster.proxy(broker).set(fault);
    }
}

/// Returns the timestamp of a record. Timestamps increase.
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
            (
                self.wrong == 0,
                "a client received an event from before its `since`",
            ),
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

/// The number of connections being made at a time: fewer than a gateway's accept queue holds.
const CONNECTING: usize = 200;

/// When the client for the earliest event connects.
const INTO_IT: Duration = Duration::from_millis(500);
