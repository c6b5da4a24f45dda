//! One run: every check of the plan, in an order in which each can use the results before it.

use std::{io, time::Duration};

use jiff::Timestamp;
use tokio::{runtime, time::Instant};

use super::{
    CheckResult, ProbePlan, ProbeReport, Status,
    checks::{AgeLimit, arrival, canary::Canaries, connect, freshness, head, limit, resume, since},
    client::{ProbeClient, ProbeRequest},
    deadline::Deadline,
    failure::ProbeError,
    id_positions::IdPositions,
    reasons,
    stream::{EventStream, ReceivedEvent},
    watchdog,
};

/// Runs the probe once. Blocks until there is a report, which is soon after the deadline of the last check.
pub fn run(plan: &ProbePlan) -> ProbeReport {
    let (at, begun) = (Timestamp::now(), std::time::Instant::now());
    let own = plan.clone();
    let found = watchdog::within(plan.longest() + GRACE, move || block(own));
    let results = match found {
        Ok(Ok(results)) => results,
        Ok(Err(error)) => vec![CheckResult::critical(
            PROBE,
            format!("the probe cannot run: {error}"),
        )],
        Err(stuck) => vec![CheckResult::critical(PROBE, stuck.to_string())],
    };
    ProbeReport {
        stream: plan.target.name().to_owned(),
        url: plan.target.url(),
        at,
        took: begun.elapsed(),
        results: judged(results, plan),
    }
}

fn block(plan: ProbePlan) -> io::Result<Vec<CheckResult>> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let results = runtime.block_on(ProbeRun::new(&plan).complete());
    // A resolver that hangs on one of the runtime's threads is not waited for.
    runtime.shutdown_background();
    Ok(results)
}

fn judged(results: Vec<CheckResult>, plan: &ProbePlan) -> Vec<CheckResult> {
    let thresholds = match plan.max_age {
        Some(max_age) => plan.thresholds.clone().with_max_age(max_age.as_secs_f64()),
        None => plan.thresholds.clone(),
    };
    results
        .into_iter()
        .map(|check_result| check_result.judged(&thresholds))
        .collect()
}

struct ProbeRun<'a> {
    plan: &'a ProbePlan,
    age_limit: Option<AgeLimit>,
    results: Vec<CheckResult>,
}

impl<'a> ProbeRun<'a> {
    fn new(plan: &'a ProbePlan) -> Self {
        Self {
            plan,
            age_limit: plan.max_age.map(AgeLimit::new),
            results: Vec::new(),
        }
    }

    async fn complete(mut self) -> Vec<CheckResult> {
        match ProbeClient::new(self.plan) {
            Ok(client) => self.run_checks(&client).await,
            Err(failure) => self.results.push(CheckResult::failed(connect::NAME, &failure)),
        }
        self.append_reasons().await;
        self.results
    }

    /// Appends the reasons that the admin listener gives to the first check that failed.
    async fn append_reasons(&mut self) {
        let deadline = self.deadline();
        let mut results = self.results.iter_mut();
        if let Some(failed) = results.find(|check_result| check_result.status == Status::Critical)
            && let Some(admin) = &self.plan.admin
        {
            let said = reasons::of_gateway(admin, deadline).await;
            failed.sentence += &format!(" ({said})");
        }
    }

    /// Runs all checks. Without a stream, or without any event of it, the remaining checks cannot be run.
    async fn run_checks(&mut self, client: &ProbeClient) {
        let Some((stream, asked)) = self.check_head(client).await else {
            return;
        };
        if let Some(mut positions) = self.check_first_event(client, stream, asked).await {
            self.check_positions(client, &mut positions).await;
        }
        if let Some(limit) = &self.plan.limit {
            self.results
                .push(limit::check(client, limit, self.deadline()).await);
        }
    }

    /// Checks the connection, the head and the prelude. Returns the stream, and when it was requested.
    async fn check_head(&mut self, client: &ProbeClient) -> Option<(EventStream, Instant)> {
        let deadline = self.deadline();
        let answer = match client.open(&ProbeRequest::default(), deadline).await {
            Ok(answer) => answer,
            Err(failure) => {
                self.results.push(CheckResult::failed(connect::NAME, &failure));
                return None;
            }
        };
        self.results.push(connect::judge(&answer));
        let (asked, headers) = (answer.begun, answer.head.headers.clone());
        match EventStream::begin(answer, deadline).await {
            Ok(stream) => {
                self.results.push(head::judge(&headers));
                Some((stream, asked))
            }
            Err(failure) => {
                self.results.push(CheckResult::failed(head::NAME, &failure));
                None
            }
        }
    }

    /// Checks the first event, and the canaries if there are any. Returns the positions in the newest id.
    async fn check_first_event(
        &mut self,
        client: &ProbeClient,
        mut stream: EventStream,
        asked: Instant,
    ) -> Option<IdPositions> {
        let canaries = self.canaries();
        let (check_result, first) = arrival::check(&mut stream, asked, self.deadline()).await;
        let (check_result, first) = match (first, self.age_limit) {
            (Err(failure), Some(age_limit)) if failure.is_silence() => {
                arrival::look_back(client, age_limit, self.deadline()).await
            }
            (first, _) => (check_result, first),
        };
        self.results.push(check_result);
        let newest = self.watch(canaries, &mut stream, first).await;
        newest.ok().map(|event| event.positions)
    }

    /// Checks freshness, resume and since, from the positions of the partitions.
    async fn check_positions(&mut self, client: &ProbeClient, positions: &mut IdPositions) {
        let found = freshness::check(client, positions, self.age_limit, self.deadline()).await;
        self.results.push(found);
        if self.plan.resume {
            self.results
                .push(resume::check(client, positions, self.deadline()).await);
        }
        if let Some(back) = self.plan.since {
            self.results
                .push(since::check(client, positions, back, self.deadline()).await);
        }
    }

    fn deadline(&self) -> Deadline {
        Deadline::after(self.plan.timeout)
    }
}

impl ProbeRun<'_> {
    /// Begins to produce the canaries. The stream is open already.
    fn canaries(&self) -> Option<Canaries> {
        let canary = self.plan.canary.as_ref()?;
        Some(Canaries::release(canary, self.plan.timeout))
    }

    /// Waits for the canaries after the first event. Returns the last event that was seen.
    async fn watch(
        &mut self,
        canaries: Option<Canaries>,
        stream: &mut EventStream,
        first: Result<ReceivedEvent, ProbeError>,
    ) -> Result<ReceivedEvent, ProbeError> {
        let Some(canaries) = canaries else {
            return first;
        };
        let (check_result, newest) = canaries.watch(stream, first, self.deadline()).await;
        self.results.push(check_result);
        newest
    }
}

/// The name of the check for faults of the probe itself.
const PROBE: &str = "probe";

/// How long a run may go on after the last deadline: certificates are read from disk meanwhile.
const GRACE: Duration = Duration::from_secs(5);
