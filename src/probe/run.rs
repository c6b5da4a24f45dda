//! One run: every check that was asked for, in the order in which they rest on each other.

use std::{io, time::Duration};

use jiff::Timestamp;
use tokio::{runtime, time::Instant};

use super::{
    Finding, Plan, Report,
    checks::{Youth, arrival, canary::Canaries, connect, freshness, head, limit, resume, since},
    client::{Ask, Client},
    deadline::Deadline,
    failure::Failure,
    marks::Marks,
    stream::{Event, Stream},
    watchdog,
};

/// Probes once. Blocks until there is a report, which is never long after the last check's deadline.
pub fn run(plan: &Plan) -> Report {
    let (at, begun) = (Timestamp::now(), std::time::Instant::now());
    let own = plan.clone();
    let found = watchdog::within(plan.longest() + GRACE, move || block(own));
    let findings = match found {
        Ok(Ok(findings)) => findings,
        Ok(Err(error)) => vec![Finding::critical(
            ITSELF,
            format!("the probe cannot run: {error}"),
        )],
        Err(stuck) => vec![Finding::critical(ITSELF, stuck.to_string())],
    };
    Report {
        stream: plan.target.name().to_owned(),
        url: plan.target.url(),
        at,
        took: begun.elapsed(),
        findings: judged(findings, plan),
    }
}

fn block(plan: Plan) -> io::Result<Vec<Finding>> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let findings = runtime.block_on(Run::new(&plan).complete());
    // A resolver that hangs on one of its threads is not waited for.
    runtime.shutdown_background();
    Ok(findings)
}

fn judged(findings: Vec<Finding>, plan: &Plan) -> Vec<Finding> {
    let thresholds = match plan.max_age {
        Some(max_age) => plan.thresholds.clone().with_max_age(max_age.as_secs_f64()),
        None => plan.thresholds.clone(),
    };
    findings
        .into_iter()
        .map(|finding| finding.judged(&thresholds))
        .collect()
}

struct Run<'a> {
    plan: &'a Plan,
    youth: Option<Youth>,
    findings: Vec<Finding>,
}

impl<'a> Run<'a> {
    fn new(plan: &'a Plan) -> Self {
        Self {
            plan,
            youth: plan.max_age.map(Youth::new),
            findings: Vec::new(),
        }
    }

    async fn complete(mut self) -> Vec<Finding> {
        match Client::new(self.plan) {
            Ok(client) => self.all(&client).await,
            Err(failure) => self.findings.push(Finding::failed(connect::NAME, &failure)),
        }
        self.findings
    }

    /// Without a stream, or any event of it, nothing else can be told.
    async fn all(&mut self, client: &Client) {
        let Some((stream, asked)) = self.greet(client).await else {
            return;
        };
        if let Some(mut marks) = self.listen(client, stream, asked).await {
            self.examine(client, &mut marks).await;
        }
        if let Some(limit) = &self.plan.limit {
            self.findings
                .push(limit::check(client, limit, self.deadline()).await);
        }
    }

    /// Connection, head and prelude.
    async fn greet(&mut self, client: &Client) -> Option<(Stream, Instant)> {
        let deadline = self.deadline();
        let answer = match client.open(&Ask::default(), deadline).await {
            Ok(answer) => answer,
            Err(failure) => {
                self.findings.push(Finding::failed(connect::NAME, &failure));
                return None;
            }
        };
        self.findings.push(connect::judge(&answer));
        let (asked, headers) = (answer.begun, answer.head.headers.clone());
        match Stream::begin(answer, deadline).await {
            Ok(stream) => {
                self.findings.push(head::judge(&headers));
                Some((stream, asked))
            }
            Err(failure) => {
                self.findings.push(Finding::failed(head::NAME, &failure));
                None
            }
        }
    }

    /// The first event, and the canaries if there are any; what the newest id says.
    async fn listen(&mut self, client: &Client, mut stream: Stream, asked: Instant) -> Option<Marks> {
        let canaries = self.canaries();
        let (finding, first) = arrival::check(&mut stream, asked, self.deadline()).await;
        let (finding, first) = match (first, self.youth) {
            (Err(failure), Some(youth)) if failure.is_silence() => {
                arrival::look_back(client, youth, self.deadline()).await
            }
            (first, _) => (finding, first),
        };
        self.findings.push(finding);
        let newest = self.watch(canaries, &mut stream, first).await;
        newest.ok().map(|event| event.marks)
    }

    /// Freshness, resume and since, by what is known of the partitions.
    async fn examine(&mut self, client: &Client, marks: &mut Marks) {
        let found = freshness::check(client, marks, self.youth, self.deadline()).await;
        self.findings.push(found);
        if self.plan.resume {
            self.findings
                .push(resume::check(client, marks, self.deadline()).await);
        }
        if let Some(back) = self.plan.since {
            self.findings
                .push(since::check(client, marks, back, self.deadline()).await);
        }
    }

    fn deadline(&self) -> Deadline {
        Deadline::after(self.plan.timeout)
    }
}

impl Run<'_> {
    /// Begins to produce the canaries: the stream is being listened to already.
    fn canaries(&self) -> Option<Canaries> {
        let canary = self.plan.canary.as_ref()?;
        Some(Canaries::release(canary, self.plan.timeout))
    }

    /// Waits for the canaries behind the first event; the last event that was seen.
    async fn watch(
        &mut self,
        canaries: Option<Canaries>,
        stream: &mut Stream,
        first: Result<Event, Failure>,
    ) -> Result<Event, Failure> {
        let Some(canaries) = canaries else {
            return first;
        };
        let (finding, newest) = canaries.watch(stream, first, self.deadline()).await;
        self.findings.push(finding);
        newest
    }
}

/// What the probe says of itself.
const ITSELF: &str = "probe";

/// How long after the last deadline a run may still be on its way: certificates are read from disk meanwhile.
const GRACE: Duration = Duration::from_secs(5);
