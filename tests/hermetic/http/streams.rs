//! How a stream begins, what it sends in silence, and how HTTP/1.0, `HEAD` and requests with a body get one.

use std::time::Duration;

use super::{OPEN, ended, undated};
use crate::support::{
    gateway::{TestClient, TestGateway, get},
    on_both_sinks,
};

async fn a_stream_begins_as_its_clients_know_it() {
    let gateway = TestGateway::start(|_| {});
    let mut client = TestClient::stream(gateway.public, "/v2/stream/recentchange").await;
    let head = "HTTP/1.1 200 OK\r\n\
        content-type: text/event-stream; charset=utf-8\r\n\
        cache-control: no-cache, no-transform\r\n\
        x-accel-buffering: no\r\n\
        vary: Accept\r\n\
        access-control-allow-origin: *\r\n\
        access-control-allow-headers: accept, x-requested-with, content-type, last-event-id, cache-control\r\n\
        x-content-type-options: nosniff\r\n\
        transfer-encoding: chunked\r\n\r\n";
    assert_eq!(undated(&client.head().await), head);
    assert_eq!(client.exactly(10).await, "5\r\n:ok\n\n\r\n");
}

async fn ndjson_is_for_who_accepts_it_first() {
    let gateway = TestGateway::start(|_| {});
    for (accept, ndjson) in [
        ("application/json", true),
        ("application/json, */*", true),
        ("application/jsonl", true),
        ("text/event-stream, application/json", false),
        ("application/x-ndjson", false),
        // The beginning is not enough: RFC 9110 has qualities, and ignores case.
        ("Application/JSON", true),
        ("text/event-stream;q=0.5, application/json", true),
        ("application/json;q=0.5, text/event-stream", false),
        ("application/json;q=0, text/event-stream", false),
        ("*/*", false),
        ("", false),
    ] {
        let mut client = TestClient::connect(gateway.public).await;
        client
            .send(&format!(
                "GET /v2/stream/recentchange HTTP/1.1\r\nhost: test\r\naccept: {accept}\r\n\r\n"
            ))
            .await;
        let (content_type, prelude) = match ndjson {
            true => ("content-type: application/json; charset=utf-8\r\n", "\n"),
            false => ("content-type: text/event-stream; charset=utf-8\r\n", ":ok\n\n"),
        };
        assert!(client.head().await.contains(content_type), "{accept}");
        assert_eq!(client.chunk().await, prelude, "{accept}");
    }
}

async fn a_heartbeat_is_one_line_in_one_chunk() {
    let gateway = TestGateway::start(|settings| settings.heartbeat = Duration::from_millis(30));
    let mut client = TestClient::stream(gateway.public, "/v2/stream/recentchange").await;
    client.head().await;
    assert_eq!(client.chunk().await, ":ok\n\n");
    for _ in 0..3 {
        assert_eq!(client.chunk().await, ":\n");
    }
}

async fn streams_are_found_under_every_spelling_of_eventstreams() {
    let gateway = TestGateway::start(|_| {});
    for target in [
        "/v2/stream/recentchange",
        "/v2/stream/mediawiki.recentchange",
        "/v2/stream/recentchange/",
        "/V2/Stream/recentchange",
        "/v2/stream/recentchange,revision",
        "/v2/stream/recentchange%2Crevision",
        "/v2/stream/recentchange,recentchange",
        "http://stream.example/v2/stream/recentchange",
        "/v2/stream/recentchange?unknown=parameter",
        "/v2/stream/recentchange?since=",
        "/v2/stream/recentchange?since=2018-06-14T12:00:00+00:00",
        "/v2/stream/recentchange?since=2999-01-01",
        "/v2/stream/recentchange?id=compact",
        "/v2/stream/recentchange?lastEventId=%5B%5D",
        "/v2/stream/recentchange?lastEventId=&since=20250107",
        "/v2/stream/revision?last_event_id=%5B%22eqiad.old-revision%22%5D",
    ] {
        let mut client = TestClient::stream(gateway.public, target).await;
        assert!(client.head().await.starts_with("HTTP/1.1 200 "), "{target}");
        assert_eq!(client.chunk().await, ":ok\n\n", "{target}");
    }
}

async fn what_is_sent_with_a_stream_is_ignored_or_refused_for_good() {
    let gateway = TestGateway::start(|_| {});
    let chunk = format!("8000\r\n{}\r\n", "x".repeat(0x8000));
    for (head, body, status) in [
        ("content-length: 2\r\n", "{}".to_owned(), "200"),
        ("content-length: 1000\r\n", "x".repeat(1000), "200"),
        (
            "transfer-encoding: chunked\r\n",
            "2\r\n{}\r\n0\r\n\r\n".to_owned(),
            "200",
        ),
        ("content-length: 100000\r\n", String::new(), "413"),
        ("transfer-encoding: chunked\r\n", chunk.repeat(3), "413"),
    ] {
        let mut client = TestClient::connect(gateway.public).await;
        let request = format!("GET /v2/stream/recentchange HTTP/1.1\r\nhost: test\r\n{head}\r\n{body}");
        client.send(&request).await;
        let said = client.head().await;
        assert!(said.starts_with(&format!("HTTP/1.1 {status} ")), "{head} {said}");
        if status == "413" {
            assert!(said.contains("content-type: application/json"), "{said}");
        } else {
            assert_eq!(client.chunk().await, ":ok\n\n", "{head}");
        }
    }
}

async fn http_1_0_does_not_keep_a_connection_for_what_has_no_end() {
    let gateway = TestGateway::start(|_| {});
    let mut client = TestClient::connect(gateway.public).await;
    client
        .send("GET /v2/stream/recentchange HTTP/1.0\r\nconnection: keep-alive\r\n\r\n")
        .await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.0 200 OK\r\n"), "{head}");
    assert!(
        !head.contains("keep-alive") && !head.contains("transfer-encoding"),
        "{head}"
    );
    assert_eq!(client.exactly(5).await, ":ok\n\n");
}

async fn a_head_has_the_headers_of_a_stream_and_begins_none() {
    let gateway = TestGateway::start(|_| {});
    let mut client = TestClient::connect(gateway.public).await;
    client
        .send("HEAD /v2/stream/recentchange HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n")
        .await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"));
    assert!(!head.contains("content-length"), "a stream has none: {head}");
    assert_eq!(client.rest().await, "");
    let started = "riverhead_streams_started_total{stream=\"recentchange\",from=\"live\"}";
    assert_eq!(gateway.metric(started).await, 0.0);
    let mut client = TestClient::connect(gateway.public).await;
    client
        .send("HEAD /v2/stream/nope HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n")
        .await;
    assert!(client.head().await.starts_with("HTTP/1.1 400 "));
}

async fn http_1_0_gets_bytes_without_chunks_until_the_end() {
    let gateway = TestGateway::start(|_| {});
    let mut client = TestClient::connect(gateway.public).await;
    client.send("GET /v2/stream/recentchange HTTP/1.0\r\n\r\n").await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.0 200 OK\r\n"), "{head}");
    assert!(!head.contains("transfer-encoding"), "{head}");
    assert!(!head.contains("keep-alive"), "{head}");
    assert_eq!(client.exactly(5).await, ":ok\n\n");
}

async fn a_stream_held_for_too_long_ends_whole() {
    let gateway = TestGateway::start(|settings| {
        settings.heartbeat = Duration::from_millis(20);
        settings.hold_limit = Duration::from_millis(100);
    });
    let mut client = TestClient::stream(gateway.public, "/v2/stream/recentchange").await;
    client.head().await;
    assert_eq!(client.chunk().await, ":ok\n\n");
    while client.chunk().await == ":\n" {}
    assert_eq!(client.rest().await, "", "behind the last chunk");
    gateway.until_metric(&ended("held_too_long"), 1.0).await;
    assert_eq!(gateway.metric("riverhead_streams_held").await, 0.0);
}

async fn who_wants_no_gap_is_told_when_it_cannot_be_known_and_leaves_nothing_behind() {
    let gateway = TestGateway::start(|_| {});
    let target = "/v2/stream/recentchange?on_gap=fail&lastEventId=%5B%22eqiad.recentchange%22%5D";
    let answer = get(gateway.public, target, "").await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("5")));
    assert_eq!(answer.json()["type"], "unavailable");
    assert_eq!(gateway.metric(OPEN).await, 0.0);
}

on_both_sinks! {
    #[tokio::test]
    a_stream_begins_as_its_clients_know_it
    ndjson_is_for_who_accepts_it_first
    a_heartbeat_is_one_line_in_one_chunk
    streams_are_found_under_every_spelling_of_eventstreams
    a_head_has_the_headers_of_a_stream_and_begins_none
    http_1_0_gets_bytes_without_chunks_until_the_end
    http_1_0_does_not_keep_a_connection_for_what_has_no_end
    what_is_sent_with_a_stream_is_ignored_or_refused_for_good
    a_stream_held_for_too_long_ends_whole
    who_wants_no_gap_is_told_when_it_cannot_be_known_and_leaves_nothing_behind
}
