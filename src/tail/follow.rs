//! The requests one after the other: read, cut, wait, resume.

use std::{fs::File, time::Duration};

use http::{StatusCode, header};
use serde_json::Value;
use tokio::time::{sleep, timeout};

use super::{
    TailEnd, TailError, TailPlan,
    format::{Record, json_line},
    notes::{EVERY, Notes},
    output::{Output, WriteEnd},
    state::{Source, StateFile},
};
use crate::{
    sse::{SseMessage, SseReader},
    stream_client::{
        CredentialFile, Deadline, IdPositions, MAX_EVENT_BYTES, RequestOptions, StreamClient, StreamError,
        StreamResponse,
    },
};

/// A read over as many requests as it takes.
pub(super) struct Follower {
    plan: TailPlan,
    client: StreamClient,
    output: Output,
    state: Option<StateFile>,
    notes: Notes,
    /// The id of the last event that was written.
    id: Option<String>,
    /// How many events are still to come, if the read is limited.
    left: Option<u64>,
    /// How often a request has failed since the last byte of a stream.
    failures: u32,
    /// Whether a stream was open once.
    was_open: bool,
    /// The delay that the gateway wants.
    delay: Duration,
}

/// Lines that are to be written together.
#[derive(Default)]
struct Batch {
    lines: String,
    id: Option<String>,
    events: u64,
    end: Option<Result<TailEnd, TailError>>,
}

/// Why a request ended.
enum Cut {
    End(TailEnd),
    /// The next request may succeed, after this time if the gateway said one.
    Temporary(StreamError, Option<Duration>),
    Final(TailError),
}

impl From<TailError> for Cut {
    fn from(error: TailError) -> Self {
        Self::Final(error)
    }
}

impl From<WriteEnd> for Cut {
    fn from(end: WriteEnd) -> Self {
        match end {
            WriteEnd::Closed => Self::End(TailEnd::Complete),
            WriteEnd::Interrupted => Self::End(TailEnd::Interrupted),
            WriteEnd::Failed(error) => Self::Final(TailError::Output(error)),
        }
    }
}

impl Follower {
    pub(super) fn new(plan: TailPlan, out: File) -> Result<Self, TailError> {
        let mut output = Output::new(out);
        let source = Source {
            url: plan.target.url(),
            filter: plan.filter.clone(),
            partitions: plan.partitions.clone(),
        };
        let open = |path| StateFile::open(path, source, &mut output);
        let state = plan.resume.clone().map(open).transpose()?;
        let mut client = StreamClient::new(plan.target.clone(), &plan.tls, deadline(), USER_AGENT)?;
        let is_compact = !plan.template.as_ref().is_some_and(|template| template.needs_id());
        let parameters = [
            plan.filter.clone().map(|filter| ("filter", filter)),
            plan.fields.clone().map(|fields| ("fields", fields)),
            plan.partitions
                .clone()
                .map(|partitions| ("partitions", partitions)),
            plan.until.clone().map(|until| ("until", until)),
            // Smaller than the other form, which names topics.
            is_compact.then(|| ("id", "compact".to_owned())),
            // Without it, a stream that is cut before its first event could only begin anew.
            Some(("checkpoint", "10s".to_owned())),
        ];
        client.credential = plan.token_file.clone().map(CredentialFile);
        client.parameters = parameters.into_iter().flatten().collect();
        Ok(Self {
            client,
            id: state.as_ref().and_then(|state| state.id().map(str::to_owned)),
            notes: Notes::new(plan.is_quiet),
            left: plan.limit,
            output,
            state,
            failures: 0,
            was_open: false,
            delay: RETRY,
            plan,
        })
    }

    /// Reads until the read is complete.
    pub(super) async fn follow(&mut self) -> Result<TailEnd, TailError> {
        loop {
            let cut = match self.request().await {
                Err(cut) => cut,
                Ok(never) => match never {},
            };
            match cut {
                Cut::End(end) => return Ok(end),
                Cut::Final(error) => return Err(error),
                Cut::Temporary(error, delay) => self.pause(&error, delay).await,
            }
        }
    }

    /// Writes the state file, and takes the status line away.
    pub(super) fn save(&mut self) -> Result<(), TailError> {
        self.notes.clear();
        if let Some(state) = &mut self.state {
            state.note(self.id.as_deref());
            state.write()?;
        }
        Ok(())
    }

    /// Waits before the next request: longer after each that fails, and never all clients at once.
    async fn pause(&mut self, error: &StreamError, wanted: Option<Duration>) {
        let longer = self.delay * 2_u32.saturating_pow(self.failures.min(10));
        let delay = wanted.unwrap_or_else(|| longer.min(LONGEST_PAUSE).mul_f64(0.5 + fastrand::f64() / 2.0));
        self.failures += 1;
        self.notes.reconnects += 1;
        self.notes.tell(format_args!(
            "{error}; trying again in {:.1} s",
            delay.as_secs_f64()
        ));
        sleep(delay).await;
    }

    /// Makes one request, and reads its stream to the end.
    async fn request(&mut self) -> Result<std::convert::Infallible, Cut> {
        let options = RequestOptions {
            parameters: match (&self.id, &self.plan.since) {
                (None, Some(since)) => vec![("since", since.clone())],
                // The id may be that of the end of an earlier run, behind which this one goes on.
                (Some(id), _) if self.plan.until.is_some() => vec![("from", id.clone())],
                _ => Vec::new(),
            },
            last_event_id: self.id.clone(),
            ..RequestOptions::default()
        };
        let response = self.client.until(deadline()).open(&options).await;
        let mut response = accept(response.map_err(|error| self.cut_by(error))?).await?;
        self.was_open = true;
        let mut reader = SseReader::new(MAX_EVENT_BYTES);
        let mut positions = self.id.as_deref().and_then(|id| IdPositions::read(id).ok());
        loop {
            let bytes = self.next_bytes(&mut response).await?;
            self.failures = 0;
            reader
                .push(&bytes)
                .map_err(|error| Cut::Final(StreamError::from(error).into()))?;
            self.delay = reader.retry().unwrap_or(self.delay);
            let batch = self.batch(&mut reader, &mut positions);
            self.write(batch)?;
            self.notes.status(self.id.as_deref());
        }
    }

    /// Waits for the next bytes, and writes the status line meanwhile.
    async fn next_bytes(&mut self, response: &mut StreamResponse) -> Result<bytes::Bytes, Cut> {
        let mut waited = Duration::ZERO;
        while waited < LONGEST_SILENCE {
            match timeout(EVERY, response.next_bytes()).await {
                Ok(read) => return read.map_err(|error| Cut::Temporary(error, None)),
                Err(_) => waited += EVERY,
            }
            self.notes.status(self.id.as_deref());
        }
        let silence = StreamError::Timeout {
            what: "heartbeat",
            after: LONGEST_SILENCE,
        };
        Err(Cut::Temporary(silence, None))
    }

    /// Takes all whole events, as far as the limit allows.
    fn batch(&mut self, reader: &mut SseReader, positions: &mut Option<IdPositions>) -> Batch {
        let mut batch = Batch::default();
        while batch.end.is_none()
            && let Some(message) = reader.next_message()
        {
            self.take(message, &mut batch, positions);
        }
        batch
    }

    fn take(&mut self, message: SseMessage, batch: &mut Batch, positions: &mut Option<IdPositions>) {
        match message.event.as_str() {
            "message" | "delete" => {
                self.print(&message, batch, positions);
                batch.events += 1;
                self.left = self.left.map(|left| left - 1);
                if self.left == Some(0) {
                    batch.end = Some(Ok(TailEnd::Complete));
                }
            }
            "gap" => self.notes.tell(format_args!("gap: {}", json_line(&message.data))),
            "end" => batch.end = Some(ended(&message.data)),
            // Of others only the id counts, such as that of a checkpoint.
            _ => {}
        }
        if let Some(id) = message.id {
            batch.id = Some(id);
        }
    }

    fn print(&self, message: &SseMessage, batch: &mut Batch, positions: &mut Option<IdPositions>) {
        let Some(template) = &self.plan.template else {
            let line = json_line(&message.data);
            batch.lines += &match message.event.as_str() {
                "delete" => format!("{{\"delete\":{line}}}\n"),
                _ => format!("{line}\n"),
            };
            return;
        };
        let id = message.id.as_deref().unwrap_or_default();
        let behind = match template.needs_id() {
            true => IdPositions::read(id).ok(),
            false => None,
        };
        let record = match (&*positions, &behind) {
            (Some(before), Some(behind)) => Record::between(before, behind, id),
            (None, Some(behind)) => Record::between(&IdPositions::default(), behind, id),
            _ => Record {
                id,
                ..Record::default()
            },
        };
        template.write(&mut batch.lines, &message.data, &record);
        *positions = behind.or(positions.take());
    }

    /// Writes what a batch has, so that the state file knows of it.
    fn write(&mut self, batch: Batch) -> Result<(), Cut> {
        let id = batch.id.or_else(|| self.id.clone());
        if !batch.lines.is_empty() {
            self.notes.clear();
            let file = self.output.position();
            if let (Some(state), Some(file)) = (&mut self.state, file) {
                state
                    .announce(id.as_deref(), file, batch.lines.len())
                    .map_err(TailError::from)?;
            }
            self.output.write(batch.lines.as_bytes())?;
            self.notes.events += batch.events;
            if let Some(state) = &mut self.state {
                state.note(id.as_deref());
                // What was announced settles by the length of the file.
                if file.is_none() {
                    state.write().map_err(TailError::from)?;
                }
            }
        }
        self.id = id;
        match batch.end {
            None => Ok(()),
            Some(Ok(end)) => Err(Cut::End(end)),
            Some(Err(error)) => Err(Cut::Final(error)),
        }
    }

    /// Tells whether an error before the response may mend. A certificate or a file that cannot be used is told at once at the start, and
    /// may be mended meanwhile later.
    fn cut_by(&self, error: StreamError) -> Cut {
        match error {
            StreamError::Tls(_)
            | StreamError::Handshake(_)
            | StreamError::Credential { .. }
            | StreamError::Request(_)
                if !self.was_open =>
            {
                Cut::Final(error.into())
            }
            error => Cut::Temporary(error, None),
        }
    }
}

/// Returns the response if it is a stream.
async fn accept(response: StreamResponse) -> Result<StreamResponse, Cut> {
    let status = response.head.status;
    match status {
        StatusCode::OK => return Ok(response),
        // The read has ended before, and was asked for again.
        StatusCode::NO_CONTENT => return Err(Cut::End(TailEnd::Complete)),
        _ => {}
    }
    let delay = response.head.headers.get(header::RETRY_AFTER);
    let delay = delay.and_then(|delay| delay.to_str().ok()?.parse().ok());
    let error = response.refusal(deadline()).await;
    Err(match status {
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
            Cut::Temporary(error, delay.map(Duration::from_secs))
        }
        status if status.is_server_error() => Cut::Temporary(error, delay.map(Duration::from_secs)),
        _ => Cut::Final(error.into()),
    })
}

/// Returns what an `event: end` means.
fn ended(data: &str) -> Result<TailEnd, TailError> {
    let data: Value = serde_json::from_str(data).unwrap_or_default();
    match data.get("reason").and_then(Value::as_str) {
        Some("limit" | "until") => Ok(TailEnd::Complete),
        reason => Err(TailError::Ended(
            reason.unwrap_or("without a reason").escape_default().to_string(),
        )),
    }
}

fn deadline() -> Deadline {
    Deadline::after(RESPONSE_WITHIN)
}

const USER_AGENT: &str = concat!("riverhead-tail/", env!("CARGO_PKG_VERSION"));

/// The time within which a response has to begin. A gateway answers before it asks Kafka anything.
const RESPONSE_WITHIN: Duration = Duration::from_secs(30);

/// The time without a byte after which a connection counts as dead. Heartbeats come every 15 s, if they are configured as usual.
const LONGEST_SILENCE: Duration = Duration::from_secs(120);

/// The first pause, as in browsers.
const RETRY: Duration = Duration::from_secs(2);

const LONGEST_PAUSE: Duration = Duration::from_secs(30);
