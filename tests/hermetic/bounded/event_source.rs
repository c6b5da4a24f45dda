//! The `EventSource` of npm reads to the end, is answered 204 when it asks again, and stops.

use std::{env, process::Stdio, time::Duration};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
    time::timeout,
};

use crate::support::{gateway::TestGateway, model::ModelFixture};

/// The package, in the directory of the target by default: `./tests/run` fetches it.
const FETCHED: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/target/eventsource/node_modules/eventsource"
);

const PATIENCE: Duration = Duration::from_secs(60);

/// Returns everything that happens to an `EventSource` of this URL, until it has been closed for a while.
async fn watch(url: &str) -> Vec<Value> {
    let package = env::var("RIVERHEAD_EVENTSOURCE").unwrap_or_else(|_| FETCHED.into());
    let mut node = Command::new("node")
        .args(["-e", include_str!("event_source.js")])
        .env("EVENTSOURCE", package)
        .env("URL", url)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("node");
    let mut lines = BufReader::new(node.stdout.take().unwrap()).lines();
    let mut seen: Vec<Value> = Vec::new();
    loop {
        let line = timeout(PATIENCE, lines.next_line()).await.expect("an end");
        let line = line.unwrap().expect("a script that runs");
        let what = serde_json::from_str(&line).unwrap();
        if what == serde_json::json!({"closed": true}) {
            return seen;
        }
        seen.push(what);
    }
}

fn statuses(seen: &[Value]) -> Vec<u64> {
    seen.iter().filter_map(|what| what["status"].as_u64()).collect()
}

fn numbers(seen: &[Value]) -> Vec<u64> {
    let mut numbers: Vec<_> = seen.iter().filter_map(|what| what["n"].as_u64()).collect();
    numbers.sort_unstable();
    numbers
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs node and the npm package eventsource: ./tests/run"]
async fn an_event_source_reads_to_the_end_and_asks_once_more() {
    let fixture = ModelFixture::new(2);
    fixture.write(0, 20);
    fixture.write(1, 20);
    let gateway = TestGateway::of(&fixture, |_| {});
    let url = format!("http://{}/v2/stream/edits?since=0", gateway.public);
    for (bound, count) in [("limit=15", 15), ("until=now", 40), ("until=now&id=compact", 40)] {
        let seen = watch(&format!("{url}&{bound}")).await;
        assert_eq!(statuses(&seen), [200, 204], "{bound}: {seen:?}");
        assert_eq!(numbers(&seen).len(), count);
        let end = seen.iter().find_map(|what| what.get("end")).expect("an end");
        assert_eq!(end["events"], count);
    }
}

/// The URL stays the same when it connects again. It begins at `from` once only.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs node and the npm package eventsource: ./tests/run"]
async fn an_event_source_goes_on_behind_an_end_once() {
    let fixture = ModelFixture::new(2);
    fixture.write(0, 20);
    fixture.write(1, 20);
    let gateway = TestGateway::of(&fixture, |_| {});
    let url = format!("http://{}/v2/stream/edits", gateway.public);
    let first = watch(&format!("{url}?since=0&limit=15")).await;
    let id = first.last().unwrap()["id"].as_str().expect("the id of the end");
    let from: String = id.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let rest = watch(&format!("{url}?from={from}&until=now")).await;
    assert_eq!(statuses(&rest), [200, 204], "{rest:?}");
    let all = [&first[..], &rest[..]].concat();
    assert_eq!(numbers(&all), (1..=40).collect::<Vec<_>>());
}
