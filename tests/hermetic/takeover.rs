//! Connections that are taken over from hyper: which ones, and that clients see no difference.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use riverhead::{
    catalog::{Catalog, Stream},
    http::settings::Sink,
};
use tokio::time::timeout;

use crate::support::{
    gateway::{DEADLINE, TestClient, TestGateway, with_sink},
    model::{ModelFixture, TOPIC},
    on_both_sinks,
};

const STREAM: &str = "/v2/stream/recentchange";
const TAKEN_OVER: &str = "riverhead_http_connections_taken_over_total";
const OPEN: &str = "riverhead_streams_open{stream=\"recentchange\"}";
const PRELUDE: &str = "5\r\n:ok\n\n\r\n";
const END: &str = "0\r\n\r\n";

fn ended(reason: &str) -> String {
    format!("riverhead_streams_ended_total{{stream=\"recentchange\",reason=\"{reason}\"}}")
}

/// Returns the bytes of a stream that ends by itself after a few heartbeats, without the date.
async fn whole_stream(sink: Sink) -> (String, f64) {
    let gateway = with_sink(sink, async {
        TestGateway::start(|settings| {
            // Two heartbeats and a half, so that a busy machine makes no other number of them.
            settings.heartbeat = Duration::from_secs(1);
            settings.hold_limit = Duration::from_millis(2500);
        })
    });
    let gateway = gateway.await;
    let all = TestClient::stream(gateway.public, STREAM).await.rest().await;
    let undated = all
        .split_inclusive("\r\n")
        .filter(|line| !line.starts_with("date: "));
    (undated.collect(), gateway.metric(TAKEN_OVER).await)
}

#[tokio::test]
async fn both_sinks_write_the_same_bytes_from_the_head_to_the_last_chunk() {
    let (as_a_body, none) = whole_stream(Sink::Body).await;
    let (over_the_socket, one) = whole_stream(Sink::Socket).await;
    assert_eq!((none, one), (0.0, 1.0), "taken over");
    assert!(as_a_body.ends_with(&format!("{PRELUDE}2\r\n:\n\r\n2\r\n:\n\r\n{END}")));
    assert_eq!(over_the_socket, as_a_body);
}

#[tokio::test]
async fn only_a_plain_get_of_http_1_1_leaves_hyper() {
    let gateway = TestGateway::start(|settings| settings.sink = Sink::Socket);
    let mut held = Vec::new();
    for (request, prelude) in [
        (format!("GET {STREAM} HTTP/1.0\r\n\r\n"), ":ok\n\n"),
        (
            format!("GET {STREAM} HTTP/1.1\r\nhost: test\r\ncontent-length: 2\r\n\r\n{{}}"),
            PRELUDE,
        ),
        (
            format!("GET {STREAM} HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n{END}"),
            PRELUDE,
        ),
        (
            format!("GET {STREAM} HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n"),
            PRELUDE,
        ),
    ] {
        let mut client = TestClient::connect(gateway.public).await;
        client.send(&request).await;
        assert!(client.head().await.contains(" 200 OK\r\n"), "{request}");
        assert_eq!(client.exactly(prelude.len()).await, prelude, "{request}");
        held.push(client);
    }
    gateway.until_metric(OPEN, 4.0).await;
    assert_eq!(gateway.metric(TAKEN_OVER).await, 0.0);

    let close = "content-length: 0\r\nconnection: close\r\n";
    for headers in ["", close] {
        let mut client = TestClient::ask(gateway.public, STREAM, headers).await;
        client.until(PRELUDE).await;
        held.push(client);
    }
    gateway.until_metric(TAKEN_OVER, 2.0).await;
}

#[tokio::test]
async fn answers_that_come_before_a_stream_are_written_before_it() {
    let gateway = TestGateway::start(|settings| settings.sink = Sink::Socket);
    let mut client = TestClient::connect(gateway.public).await;
    let short = "GET /livez HTTP/1.1\r\nhost: test\r\n\r\n";
    client.send(short).await;
    assert_eq!(client.answer().await.body, "ok\n");
    // What follows it in the same packet is not answered.
    client
        .send(&format!(
            "{short}{short}GET {STREAM} HTTP/1.1\r\nhost: test\r\n\r\n{short}"
        ))
        .await;
    assert_eq!(client.answer().await.body, "ok\n");
    assert_eq!(client.answer().await.body, "ok\n");
    let head = client.head().await;
    assert!(head.contains("transfer-encoding: chunked\r\n"), "{head}");
    assert_eq!(client.exactly(PRELUDE.len()).await, PRELUDE);
    gateway.until_metric(TAKEN_OVER, 1.0).await;
    let _drain = tokio::spawn(gateway.signal.drain(Duration::ZERO));
    assert_eq!(client.rest().await, END);
}

async fn a_client_that_closes_its_side_is_gone() {
    let gateway = TestGateway::start(|settings| settings.heartbeat = Duration::from_secs(3600));
    let mut client = TestClient::stream(gateway.public, STREAM).await;
    client.until(PRELUDE).await;
    gateway.until_metric(OPEN, 1.0).await;
    client.half_close().await;
    assert_eq!(
        client.rest().await,
        "",
        "it ends without a last chunk: it was cut"
    );
    gateway.until_metric(&ended("client_closed"), 1.0).await;
    gateway.until_metric("riverhead_http_connections", 1.0).await;
}

async fn rubbish_behind_the_head_is_heard_by_nobody() {
    let gateway = TestGateway::start(|settings| settings.heartbeat = Duration::from_millis(50));
    let mut client = TestClient::stream(gateway.public, STREAM).await;
    client.until(PRELUDE).await;
    for _ in 0..20 {
        client.send("\x16\x03\x01 GET / HTTP/9.9\r\n\r\n").await;
        assert_eq!(client.chunk().await, ":\n");
    }
    let _drain = tokio::spawn(gateway.signal.drain(Duration::ZERO));
    client.until(END).await;
    assert_eq!(client.rest().await, "");
}

async fn a_connection_is_counted_until_it_is_closed() {
    let gateway = TestGateway::start(|_| {});
    let connections = "riverhead_http_connections";
    let mut clients = Vec::new();
    for _ in 0..5 {
        let mut client = TestClient::stream(gateway.public, STREAM).await;
        client.until(PRELUDE).await;
        clients.push(client);
    }
    // And the connection of this request.
    gateway.until_metric(connections, 6.0).await;
    clients.pop().unwrap().reset();
    drop(clients);
    gateway.until_metric(connections, 1.0).await;
    gateway.until_metric(OPEN, 0.0).await;
}

fn gateway_over(fixture: &ModelFixture) -> TestGateway {
    let catalog = Catalog::new(vec![Stream::new("recentchange", [TOPIC])]).unwrap();
    TestGateway::over(catalog, fixture.source.clone(), |_| {})
}

/// More clients than a shard serves in one turn.
async fn hundreds_on_one_core_all_get_every_event() {
    let fixture = Arc::new(ModelFixture::new(1));
    let gateway = gateway_over(&fixture);
    let mut clients = Vec::new();
    for _ in 0..300 {
        let mut client = TestClient::stream(gateway.public, STREAM).await;
        client.until(PRELUDE).await;
        clients.push(client);
    }
    gateway.until_metric(OPEN, 300.0).await;
    gateway.until_metric("riverhead_streams_held", 0.0).await;
    for n in 1..=5 {
        fixture.write(0, 1);
        for client in &mut clients {
            let chunk = client.chunk().await;
            assert!(chunk.ends_with(&format!("data: {{\"n\":{n}}}\n\n")), "{chunk}");
        }
    }
}

/// The client is cut two seconds after the end of the window.
async fn a_drain_ends_although_somebody_does_not_read() {
    let fixture = ModelFixture::new(1);
    fixture.write(0, 200_000);
    let gateway = gateway_over(&fixture);
    let target = format!(
        "{STREAM}?lastEventId=%5B%7B%22topic%22:%22{TOPIC}%22,%22partition%22:0,%22offset%22:-2%7D%5D"
    );
    let client = TestClient::stream(gateway.public, &target).await;
    let sent = "riverhead_bytes_sent_total{stream=\"recentchange\"}";
    let (mut before, mut now) = (-1.0, 0.0);
    while now != before || now == 0.0 {
        tokio::time::sleep(Duration::from_millis(200)).await;
        (before, now) = (now, gateway.metric(sent).await);
    }
    let start = Instant::now();
    let drain = tokio::spawn(gateway.signal.drain(Duration::ZERO));
    timeout(DEADLINE, gateway.served).await.unwrap().unwrap().unwrap();
    timeout(DEADLINE, drain).await.unwrap().unwrap();
    assert!(start.elapsed() >= Duration::from_secs(2), "{:?}", start.elapsed());
    drop(client);
}

on_both_sinks! {
    #[tokio::test]
    a_client_that_closes_its_side_is_gone
    rubbish_behind_the_head_is_heard_by_nobody
    a_connection_is_counted_until_it_is_closed
    hundreds_on_one_core_all_get_every_event
    a_drain_ends_although_somebody_does_not_read
}
