//! Reads with an end: `limit` and `until`.

mod ends;
mod event_source;
mod packed;
mod tiles;

use std::{future::poll_fn, num::NonZeroU64, time::Duration};

use riverhead::{
    position::{EndMark, IdForm, decode},
    sse::{SseMessage, SseReader},
    subscription::{BatchSource, BoundedRead, Lanes, ReadBounds, ReadEnd, SubscribeRequest},
};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use crate::support::model::{ModelFixture, number, write};

/// When the records were written, unless a test sets other times.
const START: i64 = 1_790_000_000_000;

/// Ends the log with offsets without a record, as a transaction marker does. The tail is not told of them.
fn end_with_hole(fixture: &ModelFixture, partition: usize, offsets: i64) {
    fixture.model.lock().partitions[partition].end += offsets;
}

/// What a test asks for.
#[derive(Clone, Debug, Default)]
struct Wish {
    id: Option<String>,
    since: Option<i64>,
    until: Option<ReadEnd>,
    limit: Option<u64>,
    filter: Option<String>,
    /// The time of the request; that of the last record if it is `None`.
    now: Option<i64>,
    form: IdForm,
}

impl Wish {
    fn since(time: i64) -> Self {
        Self {
            since: Some(time),
            ..Self::default()
        }
    }

    fn until(self, end: ReadEnd) -> Self {
        Self {
            until: Some(end),
            ..self
        }
    }

    fn start(&self, fixture: &ModelFixture) -> BoundedRead {
        let filter = self.filter.as_deref();
        let request = fixture.filtered(self.id.as_deref(), self.form, filter);
        let request = SubscribeRequest {
            since: self.since,
            now: self.now.unwrap_or(request.now),
            ..request
        };
        let lanes = Lanes::new(fixture.source.clone(), 16 << 20, TaskTracker::new());
        let bounds = ReadBounds {
            mark: EndMark::First,
            limit: self.limit.and_then(NonZeroU64::new),
            until: self.until.clone(),
        };
        lanes.read_bounded(request, bounds).unwrap()
    }

    /// Reads to the end. Returns everything, the end last.
    async fn read(&self, fixture: &ModelFixture) -> Vec<SseMessage> {
        let mut read = self.start(fixture);
        let mut messages = Vec::new();
        while !read_some(&mut read, &mut messages, LONG).await {}
        messages
    }

    /// Reads to the end. Returns the numbers and the data of the end.
    async fn numbers(&self, fixture: &ModelFixture) -> (Vec<u64>, serde_json::Value) {
        let mut messages = self.read(fixture).await;
        let end = messages.pop().unwrap();
        (numbers(&messages), serde_json::from_str(&end.data).unwrap())
    }
}

/// Reads the next batch. Returns whether it was the last, which must be the end.
async fn read_some(read: &mut BoundedRead, messages: &mut Vec<SseMessage>, wait: Duration) -> bool {
    let batch = timeout(wait, poll_fn(|context| read.poll_batch(context)));
    let batch = batch.await.expect("the read ends");
    let mut reader = SseReader::new(1 << 20);
    reader.push(&batch.bytes).unwrap();
    messages.extend(std::iter::from_fn(|| reader.next_message()));
    let has_ended = messages.last().expect("a message").event == "end";
    assert_eq!(read.end(), None, "nothing was written");
    read.mark_written();
    assert_eq!(read.end().is_some(), has_ended);
    has_ended
}

/// Returns whether the read gives nothing for this long.
async fn is_silent(read: &mut BoundedRead, wait: Duration) -> bool {
    timeout(wait, poll_fn(|context| read.poll_batch(context)))
        .await
        .is_err()
}

/// Returns the numbers of the records among these messages.
fn numbers(messages: &[SseMessage]) -> Vec<u64> {
    let records = messages.iter().filter(|message| message.event == "message");
    records.map(|message| number(&message.data)).collect()
}

fn sorted(mut numbers: Vec<u64>) -> Vec<u64> {
    numbers.sort_unstable();
    numbers
}

/// Returns the end of a read at this id.
fn at_id(id: &str) -> ReadEnd {
    ReadEnd::Position {
        position: decode(id.as_bytes()).unwrap(),
        ranges: None,
    }
}

/// Longer than any answer of the model takes. Time is simulated.
const LONG: Duration = Duration::from_secs(120);
