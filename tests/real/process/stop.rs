//! The end of the process, and its log lines and statuses meanwhile.

use std::{collections::HashMap, io, process::Command, time::Duration};

use futures_util::future::join_all;
use riverhead::sse::SseMessage;
use riverhead_brokers::{eventually, scaled, shared};
use riverhead_loadtest::{
    client::{Ask, Client},
    gateway::Gateway,
    numbers::{Faults, Got, Truth},
};
use serde_json::Value;
use tokio::time::timeout;

use crate::following::{
    FROM_THE_START, STREAM, follow, follow_stream, id, numbers, plan, start, take, terminate,
};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real brokers: ./tests/run"]
async fn a_drain_ends_streams_between_events_and_nobody_loses_one() {
    let brokers = shared();
    brokers.create_topic(DRAINED, 3);
    let plan = plan(&brokers, &[DRAINED]).set("RIVERHEAD_HTTP__DRAIN", "8s");
    let mut gateway = start(&plan);
    let clients = join_all((0..10).map(|_| follow(&gateway, FROM_THE_START, None))).await;
    let raw = follow(&gateway, FROM_THE_START, None).await;
    let producer = brokers.producer(DRAINED).rate(500.0).start().run();
    eventually(SOON, "a flow", || producer.acknowledged() > 300);
    let mut readers = Vec::new();
    for mut client in clients {
        let first = client.next(scaled(SOON)).await.expect("an event");
        readers.push(tokio::spawn(until_ended(first, client)));
    }
    let raw = tokio::spawn(raw.text());

    terminate(&gateway);
    not_ready(&gateway);
    // No client meets a closed port meanwhile.
    let mut late = follow(&gateway, FROM_THE_START, None).await;
    let first = late.next(scaled(SOON)).await.expect("an event");
    let late = until_ended(first, late).await;
    let mut ended = vec![late];
    for reader in readers {
        ended.push(reader.await.expect("a reader"));
    }
    let raw = raw.await.expect("no panic").expect("text");
    assert!(
        raw.ends_with("\n\n"),
        "the last bytes: {:?}",
        &raw[raw.len() - 200..]
    );
    let code = gateway.wait(scaled(SOON)).expect("an end");
    assert_eq!(code, Some(0), "{}", gateway.log());
    last_lines(&gateway.log(), ended.len() + 1);

    let successor = start(&plan);
    let truth = Truth::of(&[producer.finish()]);
    for messages in ended {
        let mut client = follow(&successor, "", messages.last().map(id)).await;
        let mut got = Got {
            numbers: numbers(&messages),
            ..Default::default()
        };
        let rest = take(&mut client, truth.len() - messages.len()).await;
        got.numbers.extend(numbers(&rest));
        assert_eq!(truth.judge(&got), Faults::default());
    }
}

/// Reads to the end, which must be a planned one.
async fn until_ended(first: SseMessage, mut client: Client) -> Vec<SseMessage> {
    let mut messages = vec![first];
    let reading = async {
        while let Some(message) = client.next(scaled(SOON)).await {
            messages.push(message);
        }
    };
    timeout(scaled(SOON), reading).await.expect("an end");
    assert!(client.ended(), "the last chunk came");
    messages
}

/// Asserts that both listeners are not ready, as soon as the signal has arrived.
fn not_ready(gateway: &Gateway) {
    eventually(SOON, "the signal", || gateway.log().contains("draining"));
    let public = ready_of(gateway).expect("the public listener answers");
    let admin = gateway.admin("/readyz").expect("the admin listener answers");
    for answer in [public, admin] {
        assert!(
            answer.contains(" 503 ") && answer.contains("draining"),
            "{answer}"
        );
    }
}

fn ready_of(gateway: &Gateway) -> io::Result<String> {
    let mut curl = Command::new("curl");
    curl.args(["-s", "-i", "--max-time", "10"]);
    let answer = curl.arg(format!("http://{}/readyz", gateway.http)).output()?;
    Ok(String::from_utf8_lossy(&answer.stdout).into_owned())
}

/// Asserts that the end of each stream has a log line, and that the last line says that the drain is over.
fn last_lines(log: &str, streams: usize) {
    let lines: Vec<_> = log.lines().collect();
    let drained = lines.iter().filter(|line| line.contains("stream ended"));
    assert_eq!(
        drained.filter(|line| line.contains("reason=drained")).count(),
        streams,
        "{log}"
    );
    assert!(log.contains("signal=\"SIGTERM\""), "{log}");
    let last = lines.last().expect("lines");
    assert!(last.ends_with("drained"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real brokers: ./tests/run"]
async fn every_stream_has_a_line_at_its_start_and_one_at_its_end() {
    let brokers = shared();
    brokers.create_topic(LOGGED, 1);
    let mut producer = brokers.producer(LOGGED).start();
    producer.send(20);
    assert_eq!(producer.finish().len(), 20);
    for format in ["text", "json"] {
        let gateway = start(&plan(&brokers, &[LOGGED]).set("RIVERHEAD_LOG__FORMAT", format));
        let bytes = visits(&gateway).await;
        eventually(SOON, "all ends", || {
            gateway.log().matches("stream ended").count() == 7
        });
        let log = gateway.log();
        let lines: Vec<_> = match format {
            "json" => log.lines().map(json).collect(),
            _ => log.lines().map(text).collect(),
        };
        assert_eq!(
            streams(&lines, "stream started"),
            EXPECTED.map(|(start, _)| start.to_owned()),
            "{log}"
        );
        ends(&lines, &bytes, &log);
    }
}

/// Runs seven streams, one after the other: four replays, two resumes, and a live one. Returns the bytes that
/// each received.
async fn visits(gateway: &Gateway) -> Vec<u64> {
    let (mut last, mut bytes) = (String::new(), Vec::new());
    for _ in 0..4 {
        let mut client = follow(gateway, FROM_THE_START, None).await;
        let messages = take(&mut client, 20).await;
        last = id(&messages[9]).to_owned();
        bytes.push(gone(gateway, client).await);
    }
    for _ in 0..2 {
        let mut client = follow(gateway, "", Some(&last)).await;
        assert_eq!(take(&mut client, 10).await.len(), 10);
        bytes.push(gone(gateway, client).await);
    }
    let mut live = follow_stream(gateway, STREAM, None).await;
    while live.comments() == 0 {
        assert!(
            live.fill(usize::MAX).await.is_ok_and(|read| read > 0),
            "the prelude"
        );
    }
    bytes.push(gone(gateway, live).await);
    // A request that is refused is not a stream.
    let ask = Ask::new("/v2/stream/unknown");
    let refused = Client::connect(gateway.http, &ask).await.expect("a response");
    assert_eq!(refused.status, 400);
    bytes
}

/// Closes the client, and waits until the gateway has noticed it, so that log lines have the order of the
/// streams. Returns the bytes that the client received.
async fn gone(gateway: &Gateway, client: Client) -> u64 {
    let bytes = client.bytes;
    let before = gateway.log().matches("stream ended").count();
    drop(client);
    eventually(SOON, "an end", || {
        gateway.log().matches("stream ended").count() > before
    });
    bytes
}

/// The starting point and the events of each stream.
const EXPECTED: [(&str, &str); 7] = [
    ("since", "20"),
    ("since", "20"),
    ("since", "20"),
    ("since", "20"),
    ("id", "10"),
    ("id", "10"),
    ("live", "0"),
];

type Line = HashMap<String, String>;

fn streams(lines: &[Line], message: &str) -> Vec<String> {
    let own = lines.iter().filter(|line| line["message"] == message);
    own.map(|line| {
        assert_eq!(
            (line["level"].as_str(), line["streams"].as_str()),
            ("INFO", STREAM)
        );
        assert_eq!(line["client"], "127.0.0.1");
        line["start"].clone()
    })
    .collect()
}

fn ends(lines: &[Line], bytes: &[u64], log: &str) {
    assert_eq!(
        streams(lines, "stream ended"),
        EXPECTED.map(|(start, _)| start.to_owned()),
        "{log}"
    );
    let ended = lines.iter().filter(|line| line["message"] == "stream ended");
    for ((line, (_, events)), bytes) in ended.zip(EXPECTED).zip(bytes) {
        assert_eq!(line["events"], events, "{log}");
        assert_eq!(
            (line["gaps"].as_str(), line["reason"].as_str()),
            ("0", "client_closed")
        );
        assert_eq!(line["bytes"], bytes.to_string(), "{log}");
        assert!(line["seconds"].parse::<f64>().is_ok_and(|seconds| seconds > 0.0));
    }
}

/// Parses a line in the format `json`.
fn json(line: &str) -> Line {
    let line: serde_json::Map<String, Value> =
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line}"));
    assert!(
        line.contains_key("timestamp") && line.contains_key("target"),
        "{line:?}"
    );
    let text = |value: Value| value.as_str().map_or_else(|| value.to_string(), Into::into);
    line.into_iter().map(|(key, value)| (key, text(value))).collect()
}

/// Parses a line in the format `text`: `TIME LEVEL TARGET: MESSAGE KEY=VALUE ...`.
fn text(line: &str) -> Line {
    let (head, rest) = line.split_once(": ").unwrap_or((line, ""));
    let level = head.split_whitespace().nth(1).unwrap_or_default();
    let message = rest.split_once(" client=").map_or(rest, |(message, _)| message);
    let pairs = rest.split(' ').filter_map(|word| word.split_once('='));
    let mut fields: Line = pairs
        .map(|(key, value)| (key.into(), value.trim_matches('"').into()))
        .collect();
    fields.insert("level".into(), level.into());
    fields.insert("message".into(), message.into());
    fields
}

const DRAINED: &str = "process-drained";
const LOGGED: &str = "process-logged";
const SOON: Duration = Duration::from_secs(60);
