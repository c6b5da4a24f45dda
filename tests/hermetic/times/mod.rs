//! All ways to name a position by time mean the same, and our clock never decides what only the log knows.

mod extremes;
mod other_topic;
mod since;
mod undetermined;

use riverhead::{
    position::IdForm,
    sse::SseMessage,
    subscription::{SubscribeRequest, Subscription},
};

use crate::support::model::{ModelFixture, all, write};

/// When the records were written, unless a test sets other times.
const START: i64 = 1_790_000_000_000;

const YEAR_2099: i64 = 4_100_000_000_000;

/// Returns the reasons of the gaps, and the numbers.
async fn received(subscription: &mut Subscription) -> (Vec<String>, Vec<u64>) {
    let (gaps, events): (Vec<_>, Vec<_>) = all(subscription)
        .await
        .into_iter()
        .partition(|message| message.event == "gap");
    let value = |message: &SseMessage| serde_json::from_str::<serde_json::Value>(&message.data).unwrap();
    let reason = |gap: &SseMessage| value(gap)["reason"].as_str().unwrap().to_owned();
    let number = |event: &SseMessage| value(event)["n"].as_u64().unwrap();
    (
        gaps.iter().map(reason).collect(),
        events.iter().map(number).collect(),
    )
}

fn seconds(range: std::ops::Range<i64>) -> Vec<i64> {
    range.map(|second| START + second * 1000).collect()
}

fn numbers(range: std::ops::RangeInclusive<u64>) -> Vec<u64> {
    range.collect()
}

/// Creates a request from this time on, made at `now`.
fn since(fixture: &ModelFixture, time: i64, now: i64) -> Subscription {
    let request = SubscribeRequest {
        since: Some(time),
        now,
        ..fixture.request(None, IdForm::Json)
    };
    Subscription::start(&fixture.source, request)
}

fn at(fixture: &ModelFixture, id: &str, now: i64) -> Subscription {
    let request = SubscribeRequest {
        now,
        ..fixture.request(Some(id), IdForm::Json)
    };
    Subscription::start(&fixture.source, request)
}

/// Runs a check with the records in the ring, and again with the records in history only.
async fn in_ring_and_history(times: &[i64], check: impl AsyncFn(&ModelFixture)) {
    let fixture = ModelFixture::new(1);
    write(&fixture, 0, times);
    check(&fixture).await;
    fixture.tail_lags(0);
    check(&fixture).await;
}

/// Creates a model whose topic is not in the directory yet.
fn unknown() -> ModelFixture {
    let fixture = ModelFixture::new(1);
    let source = riverhead::subscription::LogSource {
        directory: riverhead::partition::LogDirectory::new(),
        history: fixture.source.history.clone(),
    };
    ModelFixture {
        source,
        model: fixture.model,
    }
}
