//! One address asks for all streams. Other clients must not notice.

use std::{
    fmt, io,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use serde::Serialize;
use tokio::{
    sync::{Semaphore, mpsc},
    task::{JoinHandle, JoinSet, spawn_blocking},
    time::sleep,
};

use super::{problems, raise_descriptors, runtime};
use crate::{
    bystander::{ReferenceClient, ReferenceLatency, ask_from},
    client::Client,
    gateway::{Gateway, GatewayPlan},
    newcomers::{NewClients, newcomer},
    progress::Progress,
};

/// The sizes of the scenario.
#[derive(Clone, Debug)]
pub struct Hog {
    /// The riverhead binary.
    pub binary: PathBuf,
    /// The number of attempts of 127.0.0.1 to get a stream, over all rounds.
    pub attempts: usize,
    /// The number of attempts in progress at a time.
    pub at_once: usize,
    /// The number of streams that one address may have.
    pub limit: usize,
    /// The number of rounds. In each, the gateway first runs without attempts, then with them.
    pub rounds: usize,
    /// The minimum duration of each half of a round.
    pub half: Duration,
    /// Reports progress.
    pub progress: Progress,
}

/// The result of the scenario.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The number of streams that one address may have.
    pub limit: usize,
    /// The number of attempts made.
    pub attempts: usize,
    /// The number of attempts that got a stream.
    pub let_in: usize,
    /// The number of attempts that were refused with a 429.
    pub refused: usize,
    /// The number of attempts that were closed without an answer, or got another answer.
    pub closed: usize,
    /// The number of streams of the address that ended before the run did.
    pub ended: usize,
    /// The fewest and the most counted streams during the attempts, of all clients together: those of the
    /// address, of the reference client, and of at most one new client.
    pub admitted: (usize, usize),
    /// The new clients on 127.0.0.2.
    #[serde(flatten)]
    pub newcomers: NewClients,
    /// The latencies of the reference client on 127.0.0.3.
    pub bystander: ReferenceLatency,
    /// Processor time of the gateway per attempt, including the demo's brokers.
    pub cpu_an_attempt: Duration,
    /// The gateway's log.
    #[serde(skip)]
    pub log: String,
}

/// The result of one attempt.
enum Attempt {
    LetIn(JoinHandle<()>),
    Refused,
    Closed,
}

impl Hog {
    /// Runs the scenario against its own gateway with the demo's brokers.
    ///
    /// # Panics
    /// If the gateway does not start or stop as requested.
    pub fn run(&self) -> Report {
        raise_descriptors();
        let gateway = GatewayPlan::demo(&self.binary, RATE)
            .set("RIVERHEAD_LIMITS__STREAMS_PER_CLIENT", &self.limit.to_string())
            // This scenario tests the limit of open streams, not that of requests.
            .set("RIVERHEAD_LIMITS__REQUESTS_PER_MINUTE", "10000000")
            .set("RIVERHEAD_LIMITS__REQUEST_BURST", "1000000")
            .set("RIVERHEAD_LOG__LEVEL", "warn")
            .start()
            .expect("the gateway starts");
        let gateway = Arc::new(gateway);
        let bystander = ReferenceClient::start(gateway.http);
        let mut tally = HogCounts::default();
        let runtime = runtime();
        for round in 1..=self.rounds {
            self.progress
                .say(format_args!("round {round} of {}: quiet", self.rounds));
            bystander.set_loud(false);
            std::thread::sleep(self.half);
            self.progress.say("127.0.0.1 asks for all streams");
            let before = gateway.cpu().unwrap_or_default();
            bystander.set_loud(true);
            runtime.block_on(self.loud(&gateway, &mut tally));
            tally.cpu += gateway.cpu().unwrap_or_default() - before;
        }
        bystander.set_loud(false);
        self.report(tally, bystander.stop(), &gateway)
    }

    async fn loud(&self, gateway: &Arc<Gateway>, tally: &mut HogCounts) {
        let start = Instant::now();
        let (seen, mut sights) = mpsc::unbounded_channel();
        let mut watching = JoinSet::new();
        let from = if tally.held.is_empty() { self.limit } else { 0 };
        watching.spawn(watch(Arc::clone(gateway), from, seen));
        let mut coming = JoinSet::new();
        coming.spawn(come(gateway.http));
        tally.take(self.attempt_all(gateway).await);
        sleep(self.half.saturating_sub(start.elapsed())).await;
        watching.shutdown().await;
        while let Ok(sight) = sights.try_recv() {
            tally.see(sight);
        }
        // The last new client is allowed to finish, so that it does not count as one without an event.
        coming.spawn(come(gateway.http));
        while let Some(newcomer) = coming.join_next().await {
            tally.newcomers.add(newcomer.expect("a newcomer"));
        }
    }

    async fn attempt_all(&self, gateway: &Arc<Gateway>) -> Vec<Attempt> {
        let turns = Arc::new(Semaphore::new(self.at_once));
        let mut attempts = JoinSet::new();
        for _ in 0..self.attempts / self.rounds {
            let turn = Arc::clone(&turns).acquire_owned().await.expect("never closed");
            let server = gateway.http;
            attempts.spawn(async move {
                let attempt = attempt(server).await;
                drop(turn);
                attempt
            });
        }
        attempts.join_all().await
    }

    fn report(&self, tally: HogCounts, bystander: ReferenceLatency, gateway: &Gateway) -> Report {
        let attempts = tally.let_in + tally.refused + tally.closed;
        Report {
            limit: self.limit,
            attempts,
            let_in: tally.let_in,
            refused: tally.refused,
            closed: tally.closed,
            ended: tally.held.iter().filter(|held| held.is_finished()).count(),
            admitted: tally.admitted.unwrap_or_default(),
            newcomers: tally.newcomers,
            bystander,
            cpu_an_attempt: tally.cpu / u32::try_from(attempts).unwrap_or(u32::MAX).max(1),
            log: gateway.log(),
        }
    }
}

/// The counts so far.
#[derive(Default)]
struct HogCounts {
    held: Vec<JoinHandle<()>>,
    let_in: usize,
    refused: usize,
    closed: usize,
    admitted: Option<(usize, usize)>,
    newcomers: NewClients,
    cpu: Duration,
}

impl HogCounts {
    fn take(&mut self, attempts: Vec<Attempt>) {
        for attempt in attempts {
            match attempt {
                Attempt::LetIn(held) => {
                    self.let_in += 1;
                    self.held.push(held);
                }
                Attempt::Refused => self.refused += 1,
                Attempt::Closed => self.closed += 1,
            }
        }
    }

    fn see(&mut self, admitted: usize) {
        let (least, most) = self.admitted.unwrap_or((admitted, admitted));
        self.admitted = Some((least.min(admitted), most.max(admitted)));
    }
}

async fn attempt(server: std::net::SocketAddr) -> Attempt {
    match Client::connect(server, &ask_from([127, 0, 0, 1])).await {
        Ok(client) if client.status == 200 => Attempt::LetIn(tokio::spawn(hold(client))),
        Ok(client) if client.status == 429 => Attempt::Refused,
        _ => Attempt::Closed,
    }
}

/// Reads, so that the stream stays open. Returns when it ends.
async fn hold(mut client: Client) {
    while client.fill(usize::MAX).await.is_ok_and(|read| read > 0) {
        while client.ready().is_some() {}
    }
}

/// Sends the number of counted streams ten times a second, once it was more than `from`.
async fn watch(gateway: Arc<Gateway>, from: usize, seen: mpsc::UnboundedSender<usize>) {
    let mut full = false;
    loop {
        let gateway = Arc::clone(&gateway);
        let admitted = spawn_blocking(move || gateway.metric("riverhead_streams_admitted"));
        if let Ok(Ok(admitted)) = admitted.await {
            let admitted = admitted as usize;
            full |= admitted > from;
            if full {
                // This fails if the round is over.
                _ = seen.send(admitted);
            }
        }
        sleep(LOOK).await;
    }
}

/// Connects a new client during the attempts.
async fn come(server: std::net::SocketAddr) -> io::Result<Duration> {
    sleep(FILLING).await;
    newcomer(server).await
}

impl super::Report for Report {
    fn problems(&self) -> Vec<String> {
        let (least, most) = self.admitted;
        let own = [
            (
                self.let_in == self.limit,
                "the address did not get exactly as many streams as its limit",
            ),
            (self.ended == 0, "a stream of the busy address ended"),
            (
                least > self.limit,
                "fewer streams counted than those of the busy address and the other client",
            ),
            (
                most <= self.limit + 2,
                "more streams counted than those of the busy address, the other client and a new client",
            ),
        ];
        let others = self.newcomers.checks().into_iter().chain(self.bystander.checks());
        problems(own.into_iter().chain(others))
    }

    fn log(&self) -> &str {
        &self.log
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            let_in,
            refused,
            closed,
            ..
        } = self;
        let (least, most) = self.admitted;
        writeln!(f, "attempts of 127.0.0.1      {}", self.attempts)?;
        writeln!(f, "  limit                    {}", self.limit)?;
        writeln!(f, "  streams, 429, closed     {let_in}, {refused}, {closed}")?;
        writeln!(f, "  streams ended            {}", self.ended)?;
        writeln!(
            f,
            "streams counted            {least} to {most}, including the other client's and a new client's"
        )?;
        writeln!(f, "{}", self.newcomers)?;
        writeln!(f, "{}", self.bystander)?;
        write!(
            f,
            "gateway and its brokers    {:.0} us of processor per attempt",
            self.cpu_an_attempt.as_secs_f64() * 1e6
        )
    }
}

/// Events per second: enough for a percentile within a round.
const RATE: u32 = 200;

/// The time between two checks.
const LOOK: Duration = Duration::from_millis(100);

/// After this time the first attempts are answered.
const FILLING: Duration = Duration::from_millis(500);
