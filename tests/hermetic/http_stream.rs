//! Events over real sockets: what a client reads, and how it resumes. Kafka is a model.

use std::{sync::Arc, time::Duration};

use riverhead::{
    catalog::{Catalog, Stream},
    sse::{SseMessage, SseReader},
};
use tokio::time::timeout;

use crate::support::{
    gateway::{DEADLINE, TestClient, TestGateway, get},
    model::{ModelFixture, TOPIC},
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

fn number(data: &str) -> u64 {
    let value: serde_json::Value = serde_json::from_str(data).unwrap();
    value["n"].as_u64().unwrap()
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

async fn a_client_is_told_of_a_gap_and_goes_on() {
    let fixture = fixture();
    let gateway = TestGateway::of(&fixture, |_| {});
    let (_, id) = Reading::start(&gateway, PATH, ALL).await.take(1).await;
    expire(&fixture);
    let mut reading = Reading::start(&gateway, PATH, &id).await;
    let gap = loop {
        let message = reading.next().await.expect("a gap");
        if message.event == "gap" {
            break message;
        }
    };
    let data: serde_json::Value = serde_json::from_str(&gap.data).unwrap();
    assert_eq!(
        (&data["partition"], &data["reason"]),
        (&0.into(), &"expired".into())
    );
    gateway
        .until_metric("riverhead_gaps_sent_total{reason=\"expired\"}", 1.0)
        .await;
}

async fn who_wants_no_gap_gets_410_and_its_data_instead() {
    let fixture = fixture();
    let gateway = TestGateway::of(&fixture, |_| {});
    let (_, id) = Reading::start(&gateway, PATH, ALL).await.take(1).await;
    expire(&fixture);
    let target = format!("{PATH}?on_gap=fail");
    let answer = get(gateway.public, &target, &format!("last-event-id: {id}\r\n")).await;
    assert_eq!(answer.status, 410, "{answer:?}");
    let body = answer.json();
    assert_eq!(
        (&body["type"], &body["gap"]["reason"]),
        (&"gap".into(), &"expired".into())
    );
    gateway
        .until_metric("riverhead_streams_open{stream=\"edits\"}", 0.0)
        .await;
}

async fn who_wants_no_gap_and_has_none_reads_until_one_comes() {
    let fixture = fixture();
    let gateway = TestGateway::of(&fixture, |_| {});
    let (_, id) = Reading::start(&gateway, PATH, ALL).await.take(1).await;
    let mut reading = Reading::start(&gateway, &format!("{PATH}?on_gap=fail"), &id).await;
    reading.take(39).await;
    fixture.recreate(5);
    let mut last = None;
    while let Some(message) = reading.next().await {
        last = Some(message);
    }
    assert_eq!(last.expect("a gap before the end").event, "gap");
    gateway
        .until_metric(
            "riverhead_streams_ended_total{stream=\"edits\",reason=\"gap\"}",
            1.0,
        )
        .await;
}

async fn clients_who_want_the_same_read_the_same_bytes_and_resume_by_the_ids_in_them() {
    let fixture = fixture();
    let gateway = TestGateway::of(&fixture, |_| {});
    let (mut first, mut second) = shared(&gateway, &fixture, PATH).await;
    write(&fixture, 10);
    let (numbers, id) = second.take(20).await;
    assert_eq!(first.take(20).await, (numbers.clone(), id));
    write(&fixture, 10);
    let (mut all, id) = first.take(7).await;
    all.extend(Reading::start(&gateway, PATH, &id).await.take(13).await.0);
    assert_eq!(all, second.take(20).await.0);
}

async fn a_gap_in_a_lane_ends_the_stream_of_who_wants_none_and_no_other() {
    let fixture = fixture();
    let gateway = TestGateway::of(&fixture, |_| {});
    let (mut strict, mut other) = shared(&gateway, &fixture, &format!("{PATH}?on_gap=fail")).await;
    let mut easy = Reading::start(&gateway, PATH, "").await;
    fixture.recreate(5);
    for reading in [&mut strict, &mut other] {
        let mut last = None;
        while let Some(message) = reading.next().await {
            last = Some(message);
        }
        assert_eq!(last.expect("a gap before the end").event, "gap");
    }
    assert_eq!(easy.next().await.expect("a gap").event, "gap");
    fixture.recreate(5);
    while easy.next().await.expect("events, and one more gap").event != "gap" {}
}

async fn what_cannot_be_read_is_a_gap_in_a_lane_and_ends_nobody_but_who_wants_none() {
    let fixture = fixture();
    let gateway = TestGateway::of(&fixture, |_| {});
    let (mut easy, mut other) = shared(&gateway, &fixture, PATH).await;
    let mut strict = Reading::start(&gateway, &format!("{PATH}?on_gap=fail"), "").await;
    let from = fixture.model.lock().partitions[0].end;
    fixture.damage(0, 10);
    write(&fixture, 3);
    for reading in [&mut easy, &mut other] {
        let (mut gap, mut numbers) = (None, 0);
        while gap.is_none() || numbers < 6 {
            let message = reading.next().await.expect("an event");
            match message.event.as_str() {
                "gap" => assert!(gap.replace(message).is_none(), "one gap only"),
                _ => numbers += 1,
            }
        }
        let gap = gap.expect("a gap");
        assert_eq!(gap.id, None, "the client's last id stays true");
        let data: serde_json::Value = serde_json::from_str(&gap.data).unwrap();
        assert_eq!(data["reason"], "unreadable");
        assert_eq!(
            (&data["requested"], &data["resumed"]),
            (&from.into(), &(from + 10).into())
        );
    }
    let mut gaps = 0;
    while let Some(message) = strict.next().await {
        gaps += usize::from(message.event == "gap");
    }
    assert_eq!(gaps, 1, "the stream ends with the batch of the gap");
}

async fn who_wants_no_gap_and_would_begin_with_what_cannot_be_read_gets_410() {
    let fixture = fixture();
    let gateway = TestGateway::of(&fixture, |_| {});
    let mut reading = Reading::start(&gateway, PATH, ALL).await;
    let (_, before) = reading.take(40).await;
    fixture.damage(0, 10);
    write(&fixture, 1);
    let behind = reading.id_behind(2).await;
    let target = format!("{PATH}?on_gap=fail");
    // From memory, and from the brokers.
    for _ in 0..2 {
        let answer = get(gateway.public, &target, &format!("last-event-id: {before}\r\n")).await;
        assert_eq!(answer.status, 410, "{answer:?}");
        let gap = &answer.json()["gap"];
        assert_eq!(gap["reason"], "unreadable", "{gap}");
        fixture.tail_lags(0);
    }
    write(&fixture, 1);
    Reading::start(&gateway, &target, &behind).await.take(2).await;
}

async fn filtered_clients_read_what_they_asked_for_and_resume_in_the_midst_of_it() {
    let fixture = fixture();
    let gateway = TestGateway::of(&fixture, |_| {});
    let target = format!("{PATH}?filter={}", escaped("n in (3, 17, 25) or n >= 38"));
    let (first, id) = Reading::start(&gateway, &target, ALL).await.take(3).await;
    let mut reading = Reading::start(&gateway, &target, &id).await;
    let (rest, _) = reading.take(3).await;
    assert_eq!(sorted([first, rest].concat()), [3, 17, 25, 38, 39, 40]);
    write(&fixture, 1);
    assert_eq!(sorted(reading.take(2).await.0), [41, 42]);
}

async fn a_sixth_different_filter_of_one_client_is_refused_and_a_seventh_use_of_one_is_not() {
    let fixture = fixture();
    let gateway = TestGateway::of(&fixture, |_| {});
    let target = |n| format!("{PATH}?filter=n%3D{n}");
    let mut readings = Vec::new();
    for n in 1..=5 {
        readings.push(Reading::start(&gateway, &target(n), ALL).await);
    }
    readings.push(Reading::start(&gateway, &target(1), ALL).await);
    let answer = get(gateway.public, &target(6), "").await;
    assert_eq!(answer.status, 429, "{answer:?}");
    assert!(answer.header("retry-after").is_some());
    for (n, reading) in readings.iter_mut().enumerate() {
        assert_eq!(reading.take(1).await.0, [n as u64 % 5 + 1]);
    }
}

async fn streams_in_another_order_and_a_filter_in_other_words_are_the_same_lane() {
    let fixture = fixture();
    let streams = ["edits", "other"].map(|name| Stream::new(name, [TOPIC]));
    let catalog = Catalog::new(streams.to_vec()).unwrap();
    let gateway = TestGateway::over(catalog, fixture.source.clone(), |_| {});
    let mut readings = Vec::new();
    for (streams, filter) in [
        ("edits,other", "n = 3 or n = 17"),
        ("other,edits", "n in (17, 3)"),
        ("edits,edits,other", "not not (n=17 or n=3)"),
    ] {
        let target = format!("/v2/stream/{streams}?filter={}", escaped(filter));
        readings.push(Reading::start(&gateway, &target, ALL).await);
    }
    for reading in &mut readings {
        assert_eq!(sorted(reading.take(2).await.0), [3, 17]);
    }
    assert_eq!(gateway.lanes.count(), 1);
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

/// The headers of a browser's `EventSource`.
const BROWSER: &str = "accept: text/event-stream\r\nsec-fetch-dest: empty\r\nsec-fetch-mode: cors\r\ncache-control: no-cache\r\n";

async fn a_client_cut_before_its_first_event_goes_on_where_its_checkpoint_says() {
    let fixture = fixture();
    let gateway = TestGateway::of(&fixture, |_| {});
    for form in ["", "&id=compact"] {
        let target = format!("{PATH}?checkpoint=1s{form}");
        // The first client is alone. The second one finds a lane, or opens it.
        let mut readings = [
            Reading::start(&gateway, &target, "").await,
            Reading::start(&gateway, &target, "").await,
        ];
        let mut ids = Vec::new();
        for reading in &mut readings {
            let message = reading.next().await.expect("a checkpoint");
            assert_eq!(
                (&*message.event, &*message.data),
                ("checkpoint", r#"{"skipped":0}"#)
            );
            ids.push(message.id.expect("an id"));
        }
        let first = fixture.model.lock().n + 1;
        write(&fixture, 5);
        for id in ids {
            let (numbers, _) = Reading::start(&gateway, PATH, &id).await.take(10).await;
            assert_eq!(sorted(numbers), (first..first + 10).collect::<Vec<_>>());
        }
        for reading in &mut readings {
            reading.take(10).await;
        }
    }
}

async fn a_client_cut_by_a_restart_before_its_first_event_goes_on_where_it_was() {
    let fixture = fixture();
    let gateway = TestGateway::of(&fixture, |_| {});
    let mut client = TestClient::ask(gateway.public, PATH, BROWSER).await;
    client.head().await;
    assert_eq!(client.chunk().await, ":ok\n\n");
    gateway.until_metric("riverhead_streams_held", 0.0).await;
    timeout(DEADLINE, gateway.signal.drain(Duration::ZERO))
        .await
        .unwrap();
    let mut reader = SseReader::new(1024);
    reader.push(client.chunk().await.as_bytes()).unwrap();
    let message = reader.next_message().expect("a checkpoint");
    assert_eq!(message.event, "checkpoint");
    assert_eq!(client.chunk().await, "");
    write(&fixture, 5);
    let successor = TestGateway::of(&fixture, |_| {});
    let id = message.id.expect("an id");
    let (numbers, _) = Reading::start(&successor, PATH, &id).await.take(10).await;
    assert_eq!(sorted(numbers), (41..=50).collect::<Vec<_>>());
}

async fn nobody_else_is_told_where_it_stands() {
    let fixture = fixture();
    let gateway = TestGateway::of(&fixture, |settings| {
        settings.heartbeat = Duration::from_millis(400)
    });
    let without = |header: &str| {
        let lines = BROWSER.split_inclusive("\r\n");
        lines.filter(|line| !line.starts_with(header)).collect::<String>()
    };
    let start = fixture.model.lock().clock;
    for (target, headers) in [
        (PATH.to_owned(), String::new()),
        (PATH.to_owned(), without("accept")),
        (PATH.to_owned(), without("sec-fetch-dest")),
        // A client that has a position requests it again.
        (format!("{PATH}?checkpoint=1s&since={}", start + 1), String::new()),
        (
            format!("{PATH}?checkpoint=1s"),
            format!("last-event-id: [\"{TOPIC}\"]\r\n"),
        ),
    ] {
        let mut client = TestClient::ask(gateway.public, &target, &headers).await;
        client.head().await;
        assert_eq!(client.chunk().await, ":ok\n\n");
        let heartbeats = [client.chunk().await, client.chunk().await, client.chunk().await];
        assert_eq!(heartbeats, [":\n"; 3], "{target} {headers}");
    }
}

async fn a_checkpoint_that_cannot_be_is_refused() {
    let fixture = fixture();
    let gateway = TestGateway::of(&fixture, |_| {});
    for value in ["", "0s", "2h", "10", "soon", "1s&checkpoint=1s"] {
        let answer = get(gateway.public, &format!("{PATH}?checkpoint={value}"), "").await;
        assert_eq!(answer.status, 400, "{value}: {answer:?}");
        assert!(answer.body.contains("'checkpoint'"), "{answer:?}");
    }
    let json = "accept: application/json\r\n";
    let answer = get(gateway.public, &format!("{PATH}?checkpoint=10s"), json).await;
    assert_eq!(answer.status, 400, "{answer:?}");
}

on_both_sinks! {
    #[tokio::test]
    a_client_cut_before_its_first_event_goes_on_where_its_checkpoint_says
    a_client_cut_by_a_restart_before_its_first_event_goes_on_where_it_was
    nobody_else_is_told_where_it_stands
    a_checkpoint_that_cannot_be_is_refused
    an_event_is_its_type_its_id_and_its_data_in_that_order
    a_client_that_is_cut_again_and_again_gets_everything_once
    a_polyfill_resumes_by_its_query_parameter
    compact_ids_are_short_and_resume_alike
    since_begins_at_a_time
    without_a_place_a_stream_begins_with_what_comes
    ndjson_is_one_document_a_line_and_nothing_else
    a_client_is_told_of_a_gap_and_goes_on
    who_wants_no_gap_gets_410_and_its_data_instead
    who_wants_no_gap_and_has_none_reads_until_one_comes
    a_leader_that_is_gone_holds_no_other_partition_up
    a_drain_under_load_tears_no_event_and_its_ids_resume
    clients_who_want_the_same_read_the_same_bytes_and_resume_by_the_ids_in_them
    a_gap_in_a_lane_ends_the_stream_of_who_wants_none_and_no_other
    what_cannot_be_read_is_a_gap_in_a_lane_and_ends_nobody_but_who_wants_none
    who_wants_no_gap_and_would_begin_with_what_cannot_be_read_gets_410
    filtered_clients_read_what_they_asked_for_and_resume_in_the_midst_of_it
    a_sixth_different_filter_of_one_client_is_refused_and_a_seventh_use_of_one_is_not
    streams_in_another_order_and_a_filter_in_other_words_are_the_same_lane
}
