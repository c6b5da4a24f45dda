//! One run: every check of the plan, in an order in which each can use the results before it.

use std::{io, time::Duration};

use jiff::Timestamp;
use tokio::{runtime, time::Instant};

use super::{
    Check, CheckResult, CredentialFile, Deadline, EventStream, IdPositions, ProbePlan, ProbeReport,
    RequestOptions, Status, StreamClient, StreamError, StreamResponse, USER_AGENT,
    checks::{AgeLimit, arrival, canary::Canaries, closed, connect, freshness, head, limit, resume, since},
    reasons, time_limit,
};

/// Runs the probe once. Blocks until there is a report, which is soon after the deadline of the last check.
pub fn run(plan: &ProbePlan) -> ProbeReport {
    let (at, begun) = (Timestamp::now(), std::time::Instant::now());
    let own = plan.clone();
    let found = time_limit::within(plan.longest() + GRACE, move || block(own));
    let results = match found {
        Ok(Ok(results)) => results,
        Ok(Err(error)) => vec![PROBE.critical(format!("the probe cannot run: {error}"))],
        Err(stuck) => vec![PROBE.critical(stuck.to_string())],
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
    let run = ProbeRun {
        plan: &plan,
        age_limit: plan.max_age.map(AgeLimit::new),
        results: Vec::new(),
    };
    let results = runtime.block_on(run.complete());
    // A resolver that hangs on one of the runtime's threads is not waited for.
    runtime.shutdown_background();
    Ok(results)
}

fn judged(results: Vec<CheckResult>, plan: &ProbePlan) -> Vec<CheckResult> {
    let thresholds = match plan.max_age {
        Some(max_age) => plan.thresholds.clone().with_max_age(max_age.as_secs_f64()),
        None => plan.thresholds.clone(),
    };
    let judged = results.into_iter().map(|result| result.judged(&thresholds));
    judged.collect()
}

fn client(plan: &ProbePlan) -> Result<StreamClient, StreamError> {
    let deadline = Deadline::after(plan.timeout);
    let sees_canaries = plan.canary.as_ref().map(|_| ("canary", "true".to_owned()));
    let mut client = StreamClient::new(plan.target.clone(), &plan.tls, deadline, USER_AGENT)?;
    client.credential = plan.token_file.clone().map(CredentialFile);
    client.parameters = sees_canaries.into_iter().collect();
    Ok(client)
}

struct ProbeRun<'a> {
    plan: &'a ProbePlan,
    age_limit: Option<AgeLimit>,
    results: Vec<CheckResult>,
}

impl ProbeRun<'_> {
    async fn complete(mut self) -> Vec<CheckResult> {
        if let Some(client) = self.unless_failed(connect::CHECK, client(self.plan)) {
            self.run_checks(&client).await;
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
            let said = reasons::of_gateway(admin, &self.plan.tls, deadline).await;
            failed.sentence += &format!(" ({said})");
        }
    }

    /// Runs all checks. Without a connection none can be run.
    async fn run_checks(&mut self, client: &StreamClient) {
        let client = self.renewed(client);
        let answer = client.open(&RequestOptions::default()).await;
        let is_reachable = answer.as_ref().err().is_none_or(StreamError::is_of_credential);
        if let Some(answer) = self.unless_failed(connect::CHECK, answer) {
            self.results.push(connect::judge(&answer));
            self.check_stream(&client, answer).await;
        }
        // Also if the stream itself fails: its credential may be the only thing that is wrong.
        if is_reachable && !self.plan.closed.is_empty() {
            let found = closed::check(self.plan, self.deadline()).await;
            self.results.push(found);
        }
    }

    /// Checks the stream. Without it, or without any event of it, the remaining checks of it cannot be run.
    async fn check_stream(&mut self, client: &StreamClient, answer: StreamResponse) {
        let asked = answer.begun;
        let Some(stream) = self.check_head(client, answer).await else {
            return;
        };
        if let Some(mut positions) = self.check_first_event(client, stream, asked).await {
            self.check_positions(client, &mut positions).await;
        }
        if let Some(limit) = &self.plan.limit {
            let found = limit::check(&self.renewed(client), limit).await;
            self.results.push(found);
        }
    }

    /// Checks the head and the prelude. Returns the stream.
    async fn check_head(&mut self, client: &StreamClient, answer: StreamResponse) -> Option<EventStream> {
        let headers = answer.head.headers.clone();
        let stream = EventStream::begin(answer, client.deadline).await;
        let stream = self.unless_failed(head::CHECK, stream)?;
        let is_private = self.plan.token_file.is_some();
        self.results.push(head::judge(&headers, is_private));
        Some(stream)
    }

    /// Checks the first event, and the canaries if there are any. Returns the positions in the newest id.
    async fn check_first_event(
        &mut self,
        client: &StreamClient,
        mut stream: EventStream,
        asked: Instant,
    ) -> Option<IdPositions> {
        // The stream is open already, so no canary comes too early for it.
        let canary = self.plan.canary.as_ref();
        let canaries = canary.map(|canary| Canaries::release(canary, self.plan.timeout));
        stream.deadline = self.deadline();
        let (result, first) = arrival::check(&mut stream, asked).await;
        let (result, first) = match (first, self.age_limit) {
            (Err(failure), Some(age_limit)) if failure.is_silence() => {
                arrival::look_back(&self.renewed(client), age_limit).await
            }
            (first, _) => (result, first),
        };
        self.results.push(result);
        let newest = match canaries {
            Some(canaries) => {
                stream.deadline = self.deadline();
                let (result, newest) = canaries.watch(&mut stream, first).await;
                self.results.push(result);
                newest
            }
            None => first,
        };
        newest.ok().map(|event| event.positions)
    }

    /// Checks freshness, resume and since, from the positions of the partitions.
    async fn check_positions(&mut self, client: &StreamClient, positions: &mut IdPositions) {
        let found = freshness::check(&self.renewed(client), positions, self.age_limit).await;
        self.results.push(found);
        if self.plan.resume {
            let found = resume::check(&self.renewed(client), positions).await;
            self.results.push(found);
        }
        if let Some(back) = self.plan.since {
            let found = since::check(&self.renewed(client), positions, back).await;
            self.results.push(found);
        }
    }

    /// Returns the value. A failure becomes the result of `check`.
    fn unless_failed<T>(&mut self, check: Check, found: Result<T, StreamError>) -> Option<T> {
        let failed = |failure: StreamError| self.results.push(check.failed(&failure));
        found.map_err(failed).ok()
    }

    /// Returns the client with a new deadline, for the next check.
    fn renewed(&self, client: &StreamClient) -> StreamClient {
        client.until(self.deadline())
    }

    fn deadline(&self) -> Deadline {
        Deadline::after(self.plan.timeout)
    }
}

/// The name of the check for faults of the probe itself.
const PROBE: Check = Check("probe");

/// How long a run may go on after the last deadline: certificates are read from disk meanwhile.
const GRACE: Duration = Duration::from_secs(5);
