//! The `EventSource`s of npm read to the end, are answered 204 when they ask again, and stop.

use std::{
    env,
    net::SocketAddr,
    path::Path,
    process::Stdio,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, copy},
    net::{TcpListener, TcpStream},
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

fn package() -> String {
    env::var("RIVERHEAD_EVENTSOURCE").unwrap_or_else(|_| FETCHED.into())
}

/// Returns everything that happens to the `EventSource` of the package `eventsource`, until it has been closed for a while.
async fn watch(url: &str) -> Vec<Value> {
    run(include_str!("event_source.js"), &package(), url).await
}

/// Returns what a script shows of an `EventSource` of this URL, until it has been closed for a while.
async fn run(script: &str, package: &str, url: &str) -> Vec<Value> {
    let mut node = Command::new("node")
        .args(["-e", script])
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

/// Passes connections on to a gateway, and keeps the statuses of its answers.
async fn watched(gateway: SocketAddr) -> (SocketAddr, Arc<Mutex<Vec<u16>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, statuses) = (listener.local_addr().unwrap(), Arc::default());
    let kept = Arc::clone(&statuses);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(gateway).await.unwrap();
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_server, mut to_server) = server.into_split();
            let kept: Arc<Mutex<Vec<u16>>> = Arc::clone(&kept);
            tokio::spawn(async move {
                let _ = copy(&mut from_client, &mut to_server).await;
                let _ = to_server.shutdown().await;
            });
            tokio::spawn(async move {
                let mut buffer = vec![0; 1 << 16];
                while let Ok(length @ 1..) = from_server.read(&mut buffer).await {
                    let text = String::from_utf8_lossy(&buffer[..length]);
                    // A head comes in one piece, and no event has this text.
                    let heads = text.split("HTTP/1.1 ").skip(1);
                    kept.lock()
                        .unwrap()
                        .extend(heads.filter_map(|head| head.get(..3)?.parse::<u16>().ok()));
                    if to_client.write_all(&buffer[..length]).await.is_err() {
                        return;
                    }
                }
                let _ = to_client.shutdown().await;
            });
        }
    });
    (address, statuses)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs node and packages of npm: ./tests/run"]
async fn the_one_of_launchdarkly_reads_to_the_end_and_asks_once_more() {
    let fixture = ModelFixture::new(2);
    fixture.write(0, 20);
    fixture.write(1, 20);
    let gateway = TestGateway::of(&fixture, |_| {});
    for (bound, count) in [("limit=15", 15), ("until=now", 40)] {
        let (address, statuses) = watched(gateway.public).await;
        let url = format!("http://{address}/v2/stream/edits?since=0&{bound}");
        let package = Path::new(&package()).with_file_name("launchdarkly-eventsource");
        let package = package.to_str().unwrap();
        let seen = run(include_str!("launchdarkly_event_source.js"), package, &url).await;
        assert_eq!(*statuses.lock().unwrap(), [200, 204], "{bound}: {seen:?}");
        assert_eq!(numbers(&seen).len(), count, "{bound}");
        let end = seen.iter().find_map(|what| what.get("end")).expect("an end");
        assert_eq!(end["events"], count);
    }
}
