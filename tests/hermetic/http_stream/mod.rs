//! Events over real sockets: what a client reads, and how it resumes. Kafka is a model.

mod bounded;
mod checkpoints;
mod gaps;
mod lanes;

use std::{sync::Arc, time::Duration};

use riverhead::sse::{SseMessage, SseReader};
use tokio::time::timeout;

use crate::support::{
    gateway::{DEADLINE, TestClient, TestGateway},
    model::{ModelFixture, number},
    on_both_sinks,
};

const PATH: &str = "/v2/stream/edits";

/// Creates a topic of two partitions with the numbers 1 to 40, 20 in each.
fn fixture() -> ModelFixture {
    let fixture = ModelFixture::new(2);
    write(&fixture, 20);
    fixture
}

fn write(fixture: &ModelFixture, records: usize) {
    for partition in 0..2 {
        fixture.write(partition, records);
    }
}

/// Deletes the first half of partition 0, also from memory.
fn expire(fixture: &ModelFixture) {
    fixture.expire(0, 50);
    fixture.tail_lags(0);
}

/// The position before the first record of each partition.
const ALL: &str =
    r#"[{"topic":"edits","partition":0,"offset":-2},{"topic":"edits","partition":1,"offset":-2}]"#;

/// A client of a stream, after the head and the prelude.
struct Reading {
    client: TestClient,
    reader: SseReader,
}

impl Reading {
    async fn start(gateway: &TestGateway, target: &str, id: &str) -> Self {
        let from = format!("last-event-id: {id}\r\n");
        let mut client = TestClient::ask(gateway.public, target, &from).await;
        let head = client.head().await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        assert_eq!(client.chunk().await, ":ok\n\n");
        Self {
            client,
            reader: SseReader::new(1024 * 1024),
        }
    }

    /// Returns the next event; `None` at the end of the stream.
    async fn next(&mut self) -> Option<SseMessage> {
        loop {
            if let Some(message) = self.reader.next_message() {
                return Some(message);
            }
            let chunk = self.client.chunk().await;
            if chunk.is_empty() {
                return None;
            }
            assert!(
                chunk == ":\n" || chunk.ends_with("\n\n"),
                "a torn chunk: {chunk:?}"
            );
            self.reader.push(chunk.as_bytes()).unwrap();
        }
    }

    /// Returns the next `n` numbers, and the last id with them.
    async fn take(&mut self, n: usize) -> (Vec<u64>, String) {
        let (mut numbers, mut id) = (Vec::new(), String::new());
        while numbers.len() < n {
            let message = self.next().await.expect("more events");
            assert_eq!(message.event, "message", "{message:?}");
            numbers.push(number(&message.data));
            id = message.id.expect("an id");
        }
        (numbers, id)
    }

    /// Returns the last id after the next `n` numbers, whatever gaps lie between.
    async fn id_behind(&mut self, n: usize) -> String {
        let mut ids = Vec::new();
        while ids.len() < n {
            ids.extend(self.next().await.expect("more events").id);
        }
        ids.remove(n - 1)
    }
}

/// Returns two clients of the same stream. Their next batch is from a lane.
async fn shared(gateway: &TestGateway, fixture: &ModelFixture, target: &str) -> (Reading, Reading) {
    let mut first = Reading::start(gateway, target, ALL).await;
    let mut second = Reading::start(gateway, target, ALL).await;
    first.take(40).await;
    second.take(40).await;
    // One batch in the lane's ring, once the lane is ready for it. Then both clients are at its head.
    while gateway.lanes.bytes() == 0 {
        write(fixture, 1);
        assert_eq!(sorted(first.take(2).await.0), sorted(second.take(2).await.0));
    }
    (first, second)
}

fn sorted(mut numbers: Vec<u64>) -> Vec<u64> {
    numbers.sort_unstable();
    numbers
}

fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

async fn an_event_is_its_type_its_id_and_its_data_in_that_order() {
    let fixture = fixture();
    let gateway = TestGateway::of(&fixture, |_| {});
    let mut client = TestClient::ask(gateway.public, PATH, &format!("last-event-id: {ALL}\r\n")).await;
    client.head().await;
    let start = client.chunk().await + &client.chunk().await;
    let event = start.strip_prefix(":ok\n\n").unwrap();
    let lines: Vec<_> = event.lines().take(4).collect();
    assert_eq!(lines[0], "event: message");
    assert!(
        lines[1].starts_with(r#"id: [{"topic":"edits","partition":0,"offset":"#),
        "{}",
        lines[1]
    );
    assert!(lines[1].is_ascii());
    assert_eq!(lines[2], r#"data: {"n":1}"#);
    assert_eq!(lines[3], "");
}

async fn a_client_that_is_cut_again_and_again_gets_everything_once() {
    let fixture = fixture();
    let gateway = TestGateway::of(&fixture, |_| {});
    let (mut all, mut id) = (Vec::new(), ALL.to_owned());
    for part in 1..=8 {
        let (numbers, last) = Reading::start(&gateway, PATH, &id).await.take(part).await;
        all.extend(numbers);
        id = last;
    }
    let mut last = Reading::start(&gateway, PATH, &id).await;
    all.extend(last.take(40 - all.len()).await.0);
    write(&fixture, 10);
    all.extend(last.take(20).await.0);
    assert_eq!(sorted(all), (1..=60).collect::<Vec<_>>());
    gateway
        .until_metric(
            "riverhead_events_sent_total{stream=\"edits\"}",
            gateway
                .metric("riverhead_events_sent_total{stream=\"edits\"}")
                .await,
        )
        .await;
    assert_eq!(gateway.metric("riverhead_gaps_sent_total").await, 0.0);
}

async fn a_polyfill_resumes_by_its_query_parameter() {
    let fixture = fixture();
    let gateway = TestGateway::of(&fixture, |_| {});
    let (first, id) = Reading::start(&gateway, PATH, ALL).await.take(15).await;
    for name in [
        "lastEventId",
        "lastEventID",
        "last_event_id",
        "Last-Event-ID",
        "last-event-id",
        "evs_last_event_id",
    ] {
        let target = format!("{PATH}?{name}={}", escaped(&id));
        let (rest, _) = Reading::start(&gateway, &target, "").await.take(25).await;
        assert_eq!(
            sorted([first.clone(), rest].concat()),
            (1..=40).collect::<Vec<_>>()
        );
    }
}

async fn compact_ids_are_short_and_resume_alike() {
    let fixture = fixture();
    let gateway = TestGateway::of(&fixture, |_| {});
    let target = format!("{PATH}?id=compact");
    let (first, id) = Reading::start(&gateway, &target, ALL).await.take(15).await;
    assert!(id.len() <= 128, "{id}");
    let (rest, _) = Reading::start(&gateway, PATH, &id).await.take(25).await;
    assert_eq!(sorted([first, rest].concat()), (1..=40).collect::<Vec<_>>());
}

async fn since_begins_at_a_time() {
    let fixture = fixture();
    let gateway = TestGateway::of(&fixture, |_| {});
    let records = |partition: usize| fixture.model.lock().partitions[partition].records.clone();
    let time = records(1)[10].time;
    let expected = (0..2).flat_map(records);
    let expected: Vec<_> = expected
        .filter(|record| record.time >= time)
        .map(|record| record.n)
        .collect();
    assert!(!expected.is_empty() && expected.len() < 20);
    let target = format!("{PATH}?since={time}");
    let (numbers, _) = Reading::start(&gateway, &target, "")
        .await
        .take(expected.len())
        .await;
    assert_eq!(sorted(numbers), sorted(expected));
}

async fn without_a_place_a_stream_begins_with_what_comes() {
    let fixture = fixture();
    let gateway = TestGateway::of(&fixture, |_| {});
    let mut reading = Reading::start(&gateway, PATH, "").await;
    gateway
        .until_metric("riverhead_streams_open{stream=\"edits\"}", 1.0)
        .await;
    gateway.until_metric("riverhead_streams_held", 0.0).await;
    write(&fixture, 5);
    assert_eq!(sorted(reading.take(10).await.0), (41..=50).collect::<Vec<_>>());
}

async fn ndjson_is_one_document_a_line_and_nothing_else() {
    let fixture = fixture();
    let gateway = TestGateway::of(&fixture, |_| {});
    let headers = format!("accept: application/json\r\nlast-event-id: {ALL}\r\n");
    let mut client = TestClient::ask(gateway.public, PATH, &headers).await;
    client.head().await;
    assert_eq!(client.chunk().await, "\n");
    let mut numbers = Vec::new();
    while numbers.len() < 40 {
        let chunk = client.chunk().await;
        assert!(chunk.ends_with('\n'), "{chunk:?}");
        numbers.extend(chunk.lines().map(number));
    }
    assert_eq!(sorted(numbers), (1..=40).collect::<Vec<_>>());
}

async fn a_leader_that_is_gone_holds_no_other_partition_up() {
    let fixture = fixture();
    fixture.model.lock().partitions[0].mute = true;
    fixture.publish(0, 30);
    let gateway = TestGateway::of(&fixture, |settings| {
        settings.heartbeat = Duration::from_millis(100)
    });
    let mut reading = Reading::start(&gateway, PATH, ALL).await;
    let (numbers, _) = reading.take(20).await;
    assert_eq!(sorted(numbers), (21..=40).collect::<Vec<_>>());
    fixture.model.lock().partitions[0].mute = false;
    let (numbers, _) = timeout(DEADLINE, reading.take(20)).await.unwrap();
    assert_eq!(sorted(numbers), (1..=20).collect::<Vec<_>>());
}

async fn a_drain_under_load_tears_no_event_and_its_ids_resume() {
    let fixture = Arc::new(fixture());
    let gateway = TestGateway::of(&fixture, |_| {});
    let mut reading = Reading::start(&gateway, PATH, ALL).await;
    let (mut numbers, mut id) = reading.take(40).await;
    let writer = tokio::spawn({
        let fixture = Arc::clone(&fixture);
        async move {
            loop {
                write(&fixture, 5);
                tokio::time::sleep(Duration::from_millis(3)).await;
            }
        }
    });
    let drain = tokio::spawn(gateway.signal.drain(Duration::from_millis(300)));
    // `next` checks that every chunk ends with a whole event.
    while let Some(message) = reading.next().await {
        numbers.push(number(&message.data));
        id = message.id.expect("an id");
    }
    timeout(DEADLINE, drain).await.unwrap().unwrap();
    writer.abort();
    assert!(writer.await.unwrap_err().is_cancelled());

    let last = fixture.model.lock().n;
    assert!(numbers.len() > 40, "it drained under load");
    let successor = TestGateway::of(&fixture, |_| {});
    let rest = last as usize - numbers.len();
    let (rest, _) = Reading::start(&successor, PATH, &id).await.take(rest).await;
    numbers.extend(rest);
    assert_eq!(sorted(numbers), (1..=last).collect::<Vec<_>>());
}

on_both_sinks! {
    #[tokio::test]
    an_event_is_its_type_its_id_and_its_data_in_that_order
    a_client_that_is_cut_again_and_again_gets_everything_once
    a_polyfill_resumes_by_its_query_parameter
    compact_ids_are_short_and_resume_alike
    since_begins_at_a_time
    without_a_place_a_stream_begins_with_what_comes
    ndjson_is_one_document_a_line_and_nothing_else
    a_leader_that_is_gone_holds_no_other_partition_up
    a_drain_under_load_tears_no_event_and_its_ids_resume
}
