//! The resume table, row by row, with a model of the brokers. `tests/real` checks the same with real ones.

mod no_log;
mod other_log;
mod partitions;
mod same_log;
mod unreadable;
mod verdict;

use riverhead::{
    position::{IdForm, LogTag},
    sse::SseMessage,
    subscription::Subscription,
};

use crate::support::model::{ModelFixture, TOPIC, all};

/// Creates a topic of one partition with the records 1..=100 at the offsets 0..=105 (a marker follows every
/// 17th record). The tail has read them, and all are still in its ring.
fn fixture() -> ModelFixture {
    let fixture = ModelFixture::new(1);
    fixture.write(0, 100);
    fixture
}

/// Returns an id whose record before `offset` was written under `epoch`, in the log with this tag.
fn id(offset: i64, timestamp: Option<i64>, log: Option<(LogTag, Option<i32>)>) -> String {
    let timestamp = timestamp
        .map(|time| format!(r#","timestamp":{time}"#))
        .unwrap_or_default();
    let log = log.map(|(tag, epoch)| match epoch {
        Some(epoch) => format!(r#","log":"{tag}.{epoch}""#),
        None => format!(r#","log":"{tag}""#),
    });
    let log = log.unwrap_or_default();
    format!(r#"[{{"topic":"{TOPIC}","partition":0,"offset":{offset}{timestamp}{log}}}]"#)
}

/// Returns the gaps and the numbers that a client receives if it resumes with `id`.
async fn resume(fixture: &ModelFixture, id: &str) -> (Vec<serde_json::Value>, Vec<u64>) {
    received(&mut fixture.subscribe(Some(id), IdForm::Json)).await
}

/// Returns the gaps and numbers that a client receives until nothing more arrives.
async fn received(subscription: &mut Subscription) -> (Vec<serde_json::Value>, Vec<u64>) {
    let (gaps, events): (Vec<_>, Vec<_>) = all(subscription)
        .await
        .into_iter()
        .partition(|message| message.event == "gap");
    let value = |message: SseMessage| serde_json::from_str::<serde_json::Value>(&message.data).unwrap();
    let numbers = events
        .into_iter()
        .map(|event| value(event)["n"].as_u64().unwrap())
        .collect();
    (gaps.into_iter().map(value).collect(), numbers)
}

fn numbers(range: std::ops::RangeInclusive<u64>) -> Vec<u64> {
    range.collect()
}

fn gap(requested: i64, resumed: i64, reason: &str) -> Vec<serde_json::Value> {
    vec![serde_json::json!({
        "topic": TOPIC, "partition": 0, "requested": requested, "resumed": resumed, "reason": reason
    })]
}

/// Returns the offset of the record with this number.
fn offset_of(fixture: &ModelFixture, n: u64) -> i64 {
    fixture.model.lock().partitions[0]
        .records
        .iter()
        .find(|record| record.n == n)
        .unwrap()
        .offset
}

fn time_of(fixture: &ModelFixture, n: u64) -> i64 {
    fixture.model.lock().partitions[0]
        .records
        .iter()
        .find(|record| record.n == n)
        .unwrap()
        .time
}

fn tag(fixture: &ModelFixture) -> LogTag {
    fixture.model.lock().tag()
}

/// Runs a check with the records in the ring, and again with the records in history only.
async fn in_ring_and_history(check: impl AsyncFn(&ModelFixture)) {
    let fixture = fixture();
    check(&fixture).await;
    fixture.tail_lags(0);
    check(&fixture).await;
}

/// 89 records and 5 markers are before it, and the id is after it.
fn offset_of_90() -> i64 {
    89 + 5 + 1
}

/// Makes another leader whose log ends at 50, and then writes 100 records.
fn cut_off_at_50(fixture: &ModelFixture) {
    let mut brokers = fixture.model.lock();
    let partition = &mut brokers.partitions[0];
    partition.records.retain(|record| record.offset < 50);
    partition.damaged.clear();
    (partition.end, partition.epoch) = (50, 2);
    brokers.produce(0, 100);
    let end = brokers.partitions[0].end;
    drop(brokers);
    fixture.publish(0, end);
}
