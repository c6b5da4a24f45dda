//! The HTTP contract, byte by byte, over real sockets.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use riverhead::{
    health,
    position::{IdForm, IdWriter, LogPosition, LogTag, PartitionPosition},
};
use serde_json::Value;

use crate::support::{
    gateway::{DEADLINE, TOKEN, TestClient, TestGateway, get},
    on_both_sinks,
};

const OPEN: &str = "riverhead_streams_open{stream=\"recentchange\"}";

/// Removes the date, which hyper adds and which is the only part that changes.
fn undated(head: &str) -> String {
    let lines = head.split_inclusive("\r\n");
    lines.filter(|line| !line.starts_with("date: ")).collect()
}

fn ended(reason: &str) -> String {
    format!("riverhead_streams_ended_total{{stream=\"recentchange\",reason=\"{reason}\"}}")
}

async fn within<T>(deadline: Duration, what: impl Future<Output = T>) -> T {
    let start = Instant::now();
    let result = what.await;
    assert!(start.elapsed() < deadline, "took {:?}", start.elapsed());
    result
}

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

async fn an_id_is_taken_as_clients_send_it() {
    let gateway = TestGateway::start(|_| {});
    let one = r#"[{"topic":"eqiad.recentchange","partition":0,"offset":7}]"#;
    let padded = format!("[{}{}", " ".repeat(8_000), &one[1..]);
    for (name, id) in [
        ("Last-Event-ID", one),
        ("last-event-id", one),
        ("Last-Event-Id", r#"["eqiad.recentchange"]"#),
        ("Last-Event-ID", ""),
        ("Last-Event-ID", "   "),
        ("Last-Event-ID", &padded),
    ] {
        let mut client = TestClient::connect(gateway.public).await;
        client
            .send(&format!(
                "GET /v2/stream/recentchange HTTP/1.1\r\nhost: test\r\n{name}: {id}\r\n\r\n"
            ))
            .await;
        assert!(client.head().await.starts_with("HTTP/1.1 200 "), "{name}: {id}");
    }
}

/// A 4xx ends an `EventSource` for good. So what some version gave out, or took, no later one refuses: rows are added, and none goes.
#[tokio::test]
async fn what_a_client_may_have_from_an_earlier_version_is_taken() {
    let gateway = TestGateway::start(|_| {});
    let compact = "~1A5ecaKu2ZJ_AdBoSDXA_H0BWK7mRN1YruZE3";
    let proven = r#"[{"topic":"eqiad.recentchange","partition":0,"offset":43,"timestamp":1790487705415,"log":"q7Zk.1wPx9A.12"}]"#;
    let timed = r#"[{"topic":"eqiad.recentchange","partition":0,"timestamp":1790487705001},{"topic":"codfw.recentchange","partition":0,"offset":-1}]"#;
    for (query, id) in [
        ("", compact),
        ("", proven),
        ("", timed),
        ("?id=compact", proven),
        ("?id=json&encoding=gzip", compact),
        ("?lastEventId=~1A5ecaKu2ZJ_AdBoSDXA_H0BWK7mRN1YruZE3", ""),
        ("?last_event_id=~1A5ecaKu2ZJ_AdBoSDXA_H0BWK7mRN1YruZE3", ""),
        ("?since=1790487705415", ""),
        ("?since=2026-11-28T00:00:00Z", ""),
        ("?since=2026-11-28T00:00:00.000+00:00", compact),
        (
            "?filter=wiki%20%3D%20%22enwiki%22%20and%20not%20bot%20%3D%20true",
            proven,
        ),
        ("?filter=%40header.d%20%3D%202", ""),
        ("?filter=x%20%3D%201%20or%20%40offset%20%3D%201.5", ""),
        ("?filter=%40offset%20%21%3D%201.5", proven),
        ("?filter=%40offset%20in%20%281%2C%20x%29", ""),
        ("?filter=not%20%40key%20%3C%202", ""),
        ("?canary=true", ""),
        ("?utm_source=page&x=1", timed),
    ] {
        let mut client = TestClient::connect(gateway.public).await;
        let request = format!(
            "HEAD /v2/stream/recentchange{query} HTTP/1.1\r\nhost: test\r\nlast-event-id: {id}\r\nconnection: close\r\n\r\n"
        );
        client.send(&request).await;
        let head = client.head().await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{query} {id}: {head}");
    }
}

#[tokio::test]
async fn what_cannot_be_served_is_refused_in_the_shape_of_eventstreams() {
    let gateway = TestGateway::start(|_| {});
    let foreign = r#"[{"topic":"secret","partition":0,"offset":7}]"#;
    let long = format!("Last-Event-ID: [\"{}\"]\r\n", "x".repeat(20_000));
    let huge = format!("Last-Event-ID: [\"{}\"]\r\n", "x".repeat(100_000));
    let target = format!("/v2/stream/recentchange?x={}", "x".repeat(20_000));
    let many = format!("/v2/stream/{}", ["nope"; 33].join(","));
    for (target, headers, status, kind, title) in [
        ("/v2/stream/nope,zip", "", 400, "not_found", "Stream Not Found"),
        (
            "/v2/stream/Recentchange",
            "",
            400,
            "not_found",
            "Stream Not Found",
        ),
        ("/v2/stream/a%2Fb", "", 400, "not_found", "Stream Not Found"),
        ("/v2/stream/%ZZ", "", 400, "bad_request", "Bad Path"),
        ("/v2/stream/%FF", "", 400, "bad_request", "Bad Path"),
        (&many, "", 400, "bad_request", "Too Many Streams"),
        (
            "/v2/stream/recentchange?since=soon",
            "",
            400,
            "invalid_timestamp",
            "Invalid timestamp",
        ),
        (
            "/v2/stream/recentchange?since=1&since=2",
            "",
            400,
            "bad_request",
            "Bad Query Parameter",
        ),
        (
            "/v2/stream/recentchange?filter=x",
            "",
            400,
            "invalid_filter",
            "Invalid Filter",
        ),
        (
            "/v2/stream/recentchange?encoding=br",
            "",
            400,
            "bad_request",
            "Bad Query Parameter",
        ),
        (
            "/v2/stream/recentchange?id=tiny",
            "",
            400,
            "bad_request",
            "Bad Query Parameter",
        ),
        (
            "/v2/stream/recentchange?on_gap=jump",
            "",
            400,
            "bad_request",
            "Bad Query Parameter",
        ),
        (
            "/v2/stream/recentchange?lastEventId=x",
            "",
            400,
            "invalid_last_event_id",
            "Invalid Last-Event-ID",
        ),
        (
            "/v2/stream/recentchange",
            "Last-Event-ID: {{\r\n",
            400,
            "invalid_last_event_id",
            "Invalid Last-Event-ID",
        ),
        (
            "/v2/stream/recentchange",
            &long,
            400,
            "invalid_last_event_id",
            "Invalid Last-Event-ID",
        ),
        (
            "/v2/stream/recentchange",
            &format!("Last-Event-ID: {foreign}\r\n"),
            404,
            "topic_not_available",
            "Topic Not Available",
        ),
        ("/v2/stream/", "", 404, "not_found", "Not Found"),
        ("/v2/stream/a/b", "", 404, "not_found", "Not Found"),
        ("/healthz", "", 404, "not_found", "Not Found"),
        ("/metrics", "", 404, "not_found", "Not Found"),
        (&target, "", 414, "uri_too_long", "URI Too Long"),
        (
            "/v2/stream/recentchange",
            &huge,
            431,
            "headers_too_large",
            "Request Header Fields Too Large",
        ),
    ] {
        let answer = get(gateway.public, target, headers).await;
        let short = &target[..target.len().min(60)];
        assert_eq!(answer.status, status, "{short}");
        assert_eq!(
            answer.header("content-type"),
            Some("application/json; charset=utf-8"),
            "{short}"
        );
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "{short}");
        let body = answer.json();
        assert_eq!(
            (&body["type"], &body["title"]),
            (&kind.into(), &title.into()),
            "{short}"
        );
        assert_eq!(
            (&body["status"], &body["method"]),
            (&status.into(), &"GET".into()),
            "{short}"
        );
        assert!(target.starts_with(body["uri"].as_str().unwrap()), "{short}");
        assert!(
            body["detail"].as_str().is_some_and(|detail| !detail.is_empty()),
            "{short}"
        );
    }
}

#[tokio::test]
async fn an_unknown_stream_is_told_byte_by_byte_as_eventstreams_does() {
    let gateway = TestGateway::start(|_| {});
    let answer = get(gateway.public, "/v2/stream/nope,zip", "").await;
    assert_eq!(
        answer.body,
        "{\"status\":400,\"type\":\"not_found\",\"title\":\"Stream Not Found\",\
         \"detail\":\"Invalid streams: nope,zip\",\"method\":\"GET\",\"uri\":\"/v2/stream/nope,zip\"}"
    );
}

#[tokio::test]
async fn other_methods_are_405_with_what_is_allowed() {
    let gateway = TestGateway::start(|_| {});
    for method in ["POST", "PUT", "DELETE"] {
        let mut client = TestClient::connect(gateway.public).await;
        client
            .send(&format!(
                "{method} /v2/stream/recentchange HTTP/1.1\r\nhost: test\r\ncontent-length: 2\r\n\r\n{{}}"
            ))
            .await;
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some("GET,HEAD")));
        assert_eq!(answer.json()["method"], method);
    }
}

/// Sends a command with one more header line, which identifies the sender.
async fn command(
    gateway: &TestGateway,
    method: &str,
    stream: &str,
    who: &str,
    body: &str,
) -> crate::support::gateway::TestResponse {
    let mut client = TestClient::connect(gateway.admin).await;
    let length = body.len();
    client
        .send(&format!(
            "{method} /admin/clusters/{stream}/active HTTP/1.1\r\nhost: localhost:8081\r\n{who}content-length: {length}\r\n\r\n{body}"
        ))
        .await;
    client.answer().await
}

#[tokio::test]
async fn a_command_needs_post_a_token_and_sense() {
    let gateway = TestGateway::start(|_| {});
    let who = &format!("authorization: Bearer {TOKEN}\r\n");
    let done = command(
        &gateway,
        "POST",
        "mediawiki.recentchange",
        who,
        r#"{"cluster":"b"}"#,
    )
    .await;
    assert_eq!(done.status, 200);
    let moved = serde_json::json!({"streams": ["recentchange"], "from": "a", "to": "b"});
    assert_eq!(done.json(), moved);

    let get = command(&gateway, "GET", "recentchange", who, "").await;
    assert_eq!((get.status, get.header("allow")), (405, Some("POST")));
    let nobody = command(&gateway, "POST", "recentchange", "", r#"{"cluster":"b"}"#).await;
    assert_eq!(
        (nobody.status, nobody.header("www-authenticate")),
        (401, Some("Bearer"))
    );
    for (stream, body, status) in [
        ("recentchange", r#"{"cluster":"c"}"#, 400),
        ("recentchange", r#"{"cluster":"b","fource":true}"#, 400),
        ("recentchange", "", 400),
        ("recentchange", r#"{"cluster":"down"}"#, 409),
        ("recentchange", r#"{"cluster":"down","force":true}"#, 200),
        ("nope", r#"{"cluster":"b"}"#, 400),
        ("recentchange,revision", r#"{"cluster":"b"}"#, 400),
    ] {
        let answer = command(&gateway, "POST", stream, who, body).await;
        assert_eq!(answer.status, status, "{stream} {body}");
    }
    let large = format!("{{\"cluster\":\"{}\"}}", "b".repeat(5000));
    assert_eq!(
        command(&gateway, "POST", "recentchange", who, &large)
            .await
            .status,
        400
    );
}

#[tokio::test]
async fn options_say_what_is_allowed_and_to_whom() {
    let gateway = TestGateway::start(|_| {});
    let mut client = TestClient::connect(gateway.public).await;
    client
        .send(
            "OPTIONS /v2/stream/recentchange HTTP/1.1\r\nhost: test\r\norigin: https://page.example\r\n\
             access-control-request-headers: last-event-id\r\n\r\n",
        )
        .await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.header("allow")), (200, Some("GET,HEAD")));
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    let allowed = answer.header("access-control-allow-headers").unwrap();
    assert!(allowed.contains("last-event-id") && allowed.contains("cache-control"));
    assert_eq!(answer.body, "GET,HEAD");
}

/// Sends the preflight request that a browser sends before a request of a page.
async fn preflight(
    gateway: &TestGateway,
    target: &str,
    headers: &str,
) -> crate::support::gateway::TestResponse {
    let mut client = TestClient::connect(gateway.public).await;
    let request = format!(
        "OPTIONS {target} HTTP/1.1\r\nhost: test\r\norigin: https://page.example\r\n\
         access-control-request-method: GET\r\naccess-control-request-headers: {headers}\r\n\r\n"
    );
    client.send(&request).await;
    client.answer().await
}

#[tokio::test]
async fn a_page_may_send_what_tracing_adds_to_its_requests() {
    let gateway = TestGateway::start(|_| {});
    let asked = "authorization,baggage,last-event-id,sentry-trace,traceparent,x-request-id";
    // Also for a path that does not exist: a page may read that response.
    for target in ["/v2/stream/recentchange", "/", "/v2/stream/nope", "/nope"] {
        let answer = preflight(&gateway, target, asked).await;
        assert_eq!(answer.status, 200, "{target}");
        assert_eq!(
            answer.header("access-control-allow-headers"),
            Some(asked),
            "{target}"
        );
        assert_eq!(answer.header("access-control-max-age"), Some("86400"), "{target}");
        assert_eq!(
            answer.header("access-control-allow-origin"),
            Some("*"),
            "{target}"
        );
    }
    let rubbish = preflight(&gateway, "/", "a b, <c>").await;
    let allowed = rubbish.header("access-control-allow-headers").unwrap();
    assert!(
        allowed.contains("last-event-id") && !allowed.contains('<'),
        "{allowed}"
    );
}

#[tokio::test]
async fn no_page_of_another_origin_is_given_what_the_admin_listener_says() {
    let gateway = TestGateway::start(|_| {});
    for target in [
        "/healthz",
        "/metrics",
        "/admin/clients",
        "/livez",
        "/readyz",
        "/nope",
    ] {
        for headers in ["", "origin: https://page.example\r\n"] {
            let answer = get(gateway.admin, target, headers).await;
            // A page cannot omit `origin`, so a request without it comes from another program.
            assert_eq!(answer.status == 403, !headers.is_empty(), "{}", answer.head);
            assert!(
                !answer.head.to_lowercase().contains("access-control-"),
                "{}",
                answer.head
            );
        }
    }
}

#[tokio::test]
async fn a_page_can_read_when_to_come_back() {
    let limits = riverhead::limits::settings::LimitSettings {
        request_burst: std::num::NonZeroU32::MIN,
        requests_per_minute: std::num::NonZeroU32::MIN,
        ..Default::default()
    };
    let gateway = TestGateway::limited(
        crate::support::gateway::catalog(),
        crate::support::gateway::nothing(),
        limits,
        |_| {},
    );
    assert_eq!(get(gateway.public, "/", "").await.status, 200);
    let refused = get(gateway.public, "/", "").await;
    assert_eq!(refused.status, 429);
    assert!(refused.header("retry-after").is_some());
    assert_eq!(
        refused.header("access-control-expose-headers"),
        Some("retry-after")
    );
}

#[tokio::test]
async fn options_of_the_server_are_answered() {
    let gateway = TestGateway::start(|_| {});
    for head in ["OPTIONS * HTTP/1.1\r\nhost: test\r\n", "OPTIONS * HTTP/1.0\r\n"] {
        let mut client = TestClient::connect(gateway.public).await;
        client.send(&format!("{head}connection: close\r\n\r\n")).await;
        let answer = client.answer().await;
        assert_eq!(
            (answer.status, answer.header("allow")),
            (200, Some("GET,HEAD")),
            "{head}"
        );
    }
    assert_eq!(get(gateway.public, "*", "").await.status, 404, "only OPTIONS");
}

#[tokio::test]
async fn a_request_without_one_host_that_can_be_one_is_a_400() {
    let gateway = TestGateway::start(|_| {});
    for (head, status) in [
        ("GET /livez HTTP/1.1\r\n", 400),
        ("GET /livez HTTP/1.1\r\nhost: a\r\nhost: a\r\n", 400),
        ("GET /livez HTTP/1.1\r\nhost: a\r\nHost: b\r\n", 400),
        ("GET /livez HTTP/1.1\r\nhost: a b\r\n", 400),
        ("GET /livez HTTP/1.1\r\nhost: user@a\r\n", 400),
        ("GET /livez HTTP/1.1\r\nhost: a/b\r\n", 400),
        ("GET /livez HTTP/1.1\r\nhost: [::1\r\n", 400),
        ("GET http://a/livez HTTP/1.1\r\n", 400),
        ("GET /livez HTTP/1.0\r\nhost: a\r\nhost: b\r\n", 400),
        ("GET /livez HTTP/1.1\r\nhost: \r\n", 200),
        ("GET /livez HTTP/1.1\r\nhost: [::1]:80\r\n", 200),
        ("GET http://a/livez HTTP/1.1\r\nhost: a\r\n", 200),
        ("GET /livez HTTP/1.0\r\n", 200),
    ] {
        for listener in [gateway.public, gateway.admin] {
            let mut client = TestClient::connect(listener).await;
            client.send(&format!("{head}connection: close\r\n\r\n")).await;
            let answer = client.answer().await;
            assert_eq!(answer.status, status, "{head}");
            if status == 400 {
                assert_eq!(answer.json()["title"], "Bad Host", "{head}");
            }
        }
    }
}

#[tokio::test]
async fn a_transfer_coding_that_is_there_twice_is_a_400_and_ends_the_connection() {
    let gateway = TestGateway::start(|_| {});
    for coding in [
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked, chunked\r\n",
        "transfer-encoding: gzip, chunked\r\n",
        "transfer-encoding: identity\r\ntransfer-encoding: chunked\r\n",
    ] {
        for method in ["GET", "POST"] {
            let mut client = TestClient::connect(gateway.public).await;
            let request = format!("{method} / HTTP/1.1\r\nhost: test\r\n{coding}\r\n0\r\n\r\n");
            client.send(&request).await;
            let answer = client.answer().await;
            assert_eq!(answer.status, 400, "{method} {coding}");
            assert_eq!(answer.json()["title"], "Bad Transfer-Encoding", "{coding}");
            assert_eq!(client.rest().await, "", "{coding}");
        }
    }
    let mut client = TestClient::connect(gateway.public).await;
    client
        .send("GET /livez HTTP/1.1\r\nhost: test\r\nTransfer-Encoding: Chunked\r\n\r\n0\r\n\r\n")
        .await;
    assert_eq!(client.answer().await.status, 200);
}

#[tokio::test]
async fn a_length_beside_a_transfer_coding_means_nothing_and_ends_the_connection() {
    let gateway = TestGateway::start(|_| {});
    let (coding, length) = ("transfer-encoding: chunked\r\n", "content-length: 5\r\n");
    for lines in [format!("{coding}{length}"), format!("{length}{coding}")] {
        let mut client = TestClient::connect(gateway.public).await;
        let smuggled = "GET /robots.txt HTTP/1.1\r\nhost: test\r\n\r\n";
        let request = format!("GET /livez HTTP/1.1\r\nhost: test\r\n{lines}\r\n0\r\n\r\n{smuggled}");
        client.send(&request).await;
        let answer = client.answer().await;
        assert_eq!(answer.status, 200, "{lines}");
        assert_eq!(answer.header("connection"), Some("close"), "{lines}");
        assert_eq!(client.rest().await, "", "another request was answered: {lines}");
    }
}

/// A head that hyper cannot read. It answers such a head by itself, bare, and no limit counts that.
struct Unreadable {
    head: String,
    status: u16,
    kind: &'static str,
    /// The target that the error repeats.
    target: String,
}

fn unreadable() -> Vec<Unreadable> {
    let head = |line: &str, rest: &str| format!("{line} HTTP/1.1\r\nhost: test\r\n{rest}\r\n");
    let long = format!("/v2/stream/{}", "x".repeat(70_000));
    let of = |head, status, kind, target: &str| Unreadable {
        head,
        status,
        kind,
        target: target.to_owned(),
    };
    vec![
        of(
            head("GET /a", &"a: b\r\n".repeat(2000)),
            431,
            "headers_too_large",
            "/a",
        ),
        of(
            head("GET /b?c", &format!("a: {}\r\n", "b".repeat(200 * 1024))),
            431,
            "headers_too_large",
            "/b?c",
        ),
        of(
            head(&format!("GET {long}"), ""),
            414,
            "uri_too_long",
            &long[..2048],
        ),
        of(head("GET /", "a b: c\r\n"), 400, "bad_request", ""),
        of(head("GET /a b", ""), 400, "bad_request", ""),
        of(head("GET /", "content-length: x\r\n"), 400, "bad_request", ""),
        of(
            head("GET /", "content-length: 1\r\ncontent-length: 2\r\n"),
            400,
            "bad_request",
            "",
        ),
        of(
            "\x16\x03\x01 this is not HTTP\r\n\r\n".to_owned(),
            400,
            "bad_request",
            "",
        ),
    ]
}

/// Sends a head on a connection of its own, and returns the answer.
async fn answer_to(address: std::net::SocketAddr, head: &str) -> crate::support::gateway::TestResponse {
    let mut client = TestClient::connect(address).await;
    // The rest of a head that is much too large may meet a closed connection.
    let _ = client.try_send(head).await;
    let answer = client.answer().await;
    assert_eq!(
        client.rest().await,
        "",
        "one answer, and the end of the connection"
    );
    answer
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_and_counted_as_everything_else_is() {
    let gateway = TestGateway::start(|_| {});
    for unreadable in unreadable() {
        let (status, start) = (unreadable.status, &unreadable.head[..20]);
        let count = format!("riverhead_http_responses_total{{status=\"{status}\"}}");
        let before = gateway.metric(&count).await;
        let answer = answer_to(gateway.public, &unreadable.head).await;
        assert_eq!(answer.status, status, "{start}");
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "{start}");
        assert_eq!(answer.json()["type"], unreadable.kind, "{start}");
        assert_eq!(answer.json()["uri"], unreadable.target, "{start}");
        gateway.until_metric(&count, before + 1.0).await;
        let admin = answer_to(gateway.admin, &unreadable.head).await;
        assert_eq!(admin.status, status, "{start}");
        assert_eq!(admin.header("access-control-allow-origin"), None, "{start}");
    }
}

#[tokio::test]
async fn what_cannot_be_read_counts_as_a_request_of_its_client() {
    let limits = riverhead::limits::settings::LimitSettings {
        requests_per_minute: std::num::NonZeroU32::new(1).unwrap(),
        request_burst: std::num::NonZeroU32::new(2).unwrap(),
        ..Default::default()
    };
    for unreadable in unreadable() {
        let gateway = TestGateway::limited(
            crate::support::gateway::catalog(),
            crate::support::gateway::nothing(),
            limits.clone(),
            |_| {},
        );
        for expected in [unreadable.status, unreadable.status, 429] {
            let answer = answer_to(gateway.public, &unreadable.head).await;
            assert_eq!(answer.status, expected, "{}", &unreadable.head[..20]);
        }
    }
}

/// A proxy that passes on what nobody can read keeps its own standing, and so do its clients.
#[tokio::test]
async fn what_a_proxy_passes_on_and_nobody_can_read_is_somebodys_behind_it() {
    let limits = riverhead::limits::settings::LimitSettings {
        requests_per_minute: std::num::NonZeroU32::new(1).unwrap(),
        request_burst: std::num::NonZeroU32::new(1).unwrap(),
        ..Default::default()
    };
    let gateway = TestGateway::limited(
        crate::support::gateway::catalog(),
        crate::support::gateway::nothing(),
        limits,
        |settings| settings.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()],
    );
    let rubbish = "GET /a b HTTP/1.1\r\nhost: test\r\nx-forwarded-for: 192.0.2.1\r\n\r\n";
    for expected in [400, 429] {
        assert_eq!(answer_to(gateway.public, rubbish).await.status, expected);
    }
    let named = get(gateway.public, "/", "x-forwarded-for: 192.0.2.1\r\n").await;
    assert_eq!(named.status, 200);
}

#[tokio::test]
async fn what_cannot_be_read_behind_other_requests_leaves_their_answers_whole() {
    let gateway = TestGateway::start(|_| {});
    let mut client = TestClient::connect(gateway.public).await;
    let good = "GET /livez HTTP/1.1\r\nhost: test\r\n\r\n";
    client
        .send(&format!("{good}{good}GET /a b HTTP/1.1\r\n\r\n"))
        .await;
    for _ in 0..2 {
        let answer = client.answer().await;
        assert_eq!((answer.status, &*answer.body), (200, "ok\n"));
    }
    let answer = client.answer().await;
    assert_eq!(
        (answer.status, &answer.json()["type"]),
        (400, &"bad_request".into())
    );
    assert_eq!(client.rest().await, "");
}

#[tokio::test]
async fn a_head_request_that_cannot_be_read_gets_no_body() {
    let gateway = TestGateway::start(|_| {});
    let mut client = TestClient::connect(gateway.public).await;
    client
        .send(&format!(
            "HEAD / HTTP/1.1\r\nhost: test\r\n{}\r\n",
            "a: b\r\n".repeat(2000)
        ))
        .await;
    assert!(client.head().await.starts_with("HTTP/1.1 431 "));
    assert_eq!(client.rest().await, "");
}

#[tokio::test]
async fn an_id_is_taken_from_a_query_up_to_the_longest_target() {
    let gateway = TestGateway::start(|_| {});
    let topic: std::sync::Arc<str> = "eqiad.revision".into();
    let id = |partitions: i32| {
        let mut id = Vec::new();
        let place = PartitionPosition::At(LogPosition {
            offset: 1 << 40,
            timestamp: Some(1_790_000_000_000),
            log: Some(LogTag::new("cluster", &[1; 16])),
            epoch: Some(4),
        });
        let entries = (0..partitions).map(|partition| (topic.clone(), partition, place));
        IdWriter::new(IdForm::Compact, entries).write(&mut id);
        String::from_utf8(id).unwrap()
    };
    let target = |id: &str| format!("/v2/stream/revision?lastEventId={id}");
    let target_of = |partitions| target(&id(partitions));
    let longest = (1..2048)
        .rev()
        .find(|partitions| target_of(*partitions).len() <= 16 * 1024);
    let longest = longest.unwrap();
    assert!(longest > 1000, "{longest}");
    let mut client = TestClient::stream(gateway.public, &target_of(longest)).await;
    assert!(client.head().await.starts_with("HTTP/1.1 200 "));
    let beyond = format!("{}&x={}", target_of(longest), "x".repeat(1024));
    assert_eq!(get(gateway.public, &beyond, "").await.status, 414);
}

#[tokio::test]
async fn more_headers_than_allowed_are_told_as_everything_else_is() {
    let gateway = TestGateway::start(|_| {});
    for (count, status) in [(150, 200), (250, 200), (300, 431), (1000, 431), (2000, 431)] {
        let answer = get(gateway.public, "/", &"a: b\r\n".repeat(count)).await;
        assert_eq!(answer.status, status, "{count}");
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        if status == 431 {
            assert_eq!(answer.json()["type"], "headers_too_large");
        }
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

#[tokio::test]
async fn a_head_far_too_large_is_answered_so_that_its_sender_sees_it() {
    let gateway = TestGateway::start(|_| {});
    let mut client = TestClient::connect(gateway.public).await;
    client.send("GET / HTTP/1.1\r\nhost: test\r\nx: ").await;
    client.send(&"x".repeat(200_000)).await;
    assert_eq!(client.answer().await.status, 431);
    for _ in 0..3 {
        // A client in the middle of its head must not get a reset, which would discard the response.
        client.send(&"x".repeat(100_000)).await;
    }
    assert_eq!(client.rest().await, "");
}

#[tokio::test]
async fn rubbish_is_a_400() {
    let gateway = TestGateway::start(|_| {});
    let mut client = TestClient::connect(gateway.public).await;
    client.send("\x16\x03\x01 this is not HTTP\r\n\r\n").await;
    assert!(client.rest().await.starts_with("HTTP/1.1 400 "));
}

async fn a_client_that_closes_during_silence_is_gone_at_once() {
    let gateway = TestGateway::start(|settings| settings.heartbeat = Duration::from_secs(3600));
    let mut client = TestClient::stream(gateway.public, "/v2/stream/recentchange").await;
    client.until(":ok\n\n\r\n").await;
    gateway.until_metric(OPEN, 1.0).await;
    drop(client);
    gateway.until_metric(OPEN, 0.0).await;
    assert_eq!(gateway.metric(&ended("client_closed")).await, 1.0);
}

async fn a_client_that_pipelined_something_and_closed_is_gone_at_once() {
    let gateway = TestGateway::start(|settings| settings.heartbeat = Duration::from_secs(3600));
    let mut client = TestClient::stream(gateway.public, "/v2/stream/recentchange").await;
    client
        .send("GET /livez HTTP/1.1\r\nhost: test\r\n\r\nrubbish")
        .await;
    client.until(":ok\n\n\r\n").await;
    client.send("more rubbish").await;
    gateway.until_metric(OPEN, 1.0).await;
    drop(client);
    gateway.until_metric(OPEN, 0.0).await;
}

async fn a_client_that_sends_without_end_is_not_listened_to_without_end() {
    let gateway = TestGateway::start(|_| {});
    let mut client = TestClient::stream(gateway.public, "/v2/stream/recentchange").await;
    client.until(":ok\n\n\r\n").await;
    client.send(&"x".repeat(200_000)).await;
    gateway.until_metric(&ended("client_closed"), 1.0).await;
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

#[tokio::test]
async fn one_connection_carries_many_requests() {
    let gateway = TestGateway::start(|_| {});
    let mut client = TestClient::connect(gateway.public).await;
    for (target, status) in [("/livez", 200), ("/v2/stream/nope", 400), ("/readyz", 200)] {
        client
            .send(&format!("GET {target} HTTP/1.1\r\nhost: test\r\n\r\n"))
            .await;
        assert_eq!(client.answer().await.status, status, "{target}");
    }
}

#[tokio::test]
async fn both_listeners_answer_probes_and_only_one_tells_more() {
    let gateway = TestGateway::start(|_| {});
    for address in [gateway.public, gateway.admin] {
        for target in ["/livez", "/readyz"] {
            let answer = get(address, target, "").await;
            assert_eq!((answer.status, answer.body.as_str()), (200, "ok\n"));
            assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
        }
    }
    let health = get(gateway.admin, "/healthz", "").await;
    assert_eq!(health.status, 200);
    let health = health.json();
    assert_eq!(health["state"], "ok");
    assert_eq!(
        (&health["ready"], &health["draining"]),
        (&true.into(), &false.into())
    );
    let metrics = get(gateway.admin, "/metrics", "").await;
    assert!(
        metrics
            .header("content-type")
            .unwrap()
            .starts_with("application/openmetrics-text")
    );
    assert!(
        metrics
            .body
            .contains("riverhead_http_responses_total{status=\"200\"}"),
        "{metrics:?}"
    );
    assert_eq!(
        get(gateway.admin, "/v2/stream/recentchange", "").await.status,
        404
    );
}

#[tokio::test]
async fn health_fails_when_a_stream_does_and_neither_life_nor_readiness_follows() {
    let gateway = TestGateway::start(|_| {});
    let long_ago = Instant::now() - Duration::from_secs(60);
    let seeds = vec!["b1:9092".to_owned()];
    let cluster = gateway.health.cluster(&"main".into(), seeds, long_ago);
    gateway.health.set_streams(vec![health::ExpectedStream {
        name: "recentchange".into(),
        topics: vec!["eqiad.recentchange".into()],
        expect_event_within: None,
    }]);
    cluster.error("b1:9092/bootstrap: Connect to ipv4#10.0.0.1:9092 failed: Connection refused (after 0ms in state CONNECT)");
    let answer = get(gateway.admin, "/healthz", "").await;
    assert_eq!(answer.status, 503);
    let health = answer.json();
    assert_eq!(health["state"], "failing");
    assert_eq!(
        health["clusters"][0]["reason"],
        "none of the bootstrap brokers answers: b1:9092: connection refused"
    );
    assert_eq!(health["streams"][0]["state"], "failing");
    for target in ["/livez", "/readyz"] {
        assert_eq!(get(gateway.admin, target, "").await.status, 200, "{target}");
    }
}

#[tokio::test]
async fn the_root_lists_the_streams_for_people_and_for_programs() {
    let gateway = TestGateway::start(|_| {});
    let list = get(gateway.public, "/", "").await.json();
    assert_eq!(list["streams"][0]["name"], "recentchange");
    assert_eq!(list["streams"][0]["aliases"][0], "mediawiki.recentchange");
    let spec = get(gateway.public, "/?spec", "").await.json();
    let parameter = &spec["paths"]["/v2/stream/{streams}"]["get"]["parameters"][0];
    let names: Value = vec!["recentchange", "revision"].into();
    assert_eq!(parameter["schema"]["items"]["enum"], names);
    let revision = &spec["paths"]["/v2/stream/revision"]["get"];
    assert!(revision["responses"]["429"].is_object());
    for parameter in ["Last-Event-ID", "filter", "encoding", "since"] {
        let all = revision["parameters"].as_array().expect("parameters");
        assert!(all.iter().any(|it| it["name"] == parameter), "{parameter}");
    }
    let robots = get(gateway.public, "/robots.txt", "").await;
    assert_eq!(robots.body, "User-agent: *\nDisallow: /\n");
    let info = get(gateway.public, "/_info", "").await.json();
    assert_eq!(info["name"], "riverhead");
    for field in ["name", "version"] {
        let alone = get(gateway.public, &format!("/_info/{field}"), "").await.json();
        assert_eq!(alone, serde_json::json!({field: info[field]}));
    }
    for moved in ["/_info/home", "/rc", "/RC/"] {
        let answer = get(gateway.public, moved, "").await;
        assert_eq!(
            (answer.status, answer.header("location")),
            (301, info["home"].as_str())
        );
    }
}

#[tokio::test]
async fn a_program_that_reads_the_earlier_openapi_gets_it_and_the_later_one_tells_what_events_are() {
    let gateway = TestGateway::start(|_| {});
    for (target, version) in [
        ("/?spec", "3.0.3"),
        ("/?spec=", "3.0.3"),
        ("/?spec=true", "3.0.3"),
        ("/?spec=3.1", "3.0.3"),
        ("/?spec=3.2", "3.2.0"),
    ] {
        let spec = get(gateway.public, target, "").await.json();
        assert_eq!(spec["openapi"], version, "{target}");
        let parameter = &spec["paths"]["/v2/stream/{streams}"]["get"]["parameters"][0];
        assert_eq!(
            parameter["schema"]["items"]["enum"].as_array().map(Vec::len),
            Some(2)
        );
        assert!(spec["paths"]["/v2/streams/{name}"]["get"]["responses"]["404"].is_object());
    }
    let spec = get(gateway.public, "/?spec=3.2", "").await.json();
    let content = &spec["paths"]["/v2/stream/revision"]["get"]["responses"]["200"]["content"];
    let items = |media: &str| content[media]["itemSchema"]["anyOf"].as_array().unwrap().len();
    assert_eq!((items("text/event-stream"), items("application/json")), (3, 2));
}

async fn a_drain_keeps_accepting_until_its_end_and_closes_streams_oldest_first() {
    let gateway = TestGateway::start(|_| {});
    let mut clients = Vec::new();
    for open in 1..=4 {
        let mut client = TestClient::stream(gateway.public, "/v2/stream/recentchange").await;
        client.until(":ok\n\n\r\n").await;
        gateway.until_metric(OPEN, f64::from(open)).await;
        clients.push(client);
    }
    let (public, start) = (gateway.public, Instant::now());
    let drain = tokio::spawn(gateway.signal.drain(Duration::from_millis(2000)));

    let mut ends = Vec::new();
    for client in &mut clients {
        assert_eq!(
            client.chunk().await,
            "",
            "the last chunk, and nothing torn before it"
        );
        assert_eq!(client.rest().await, "");
        ends.push(start.elapsed());
        if ends.len() < 4 {
            let probes = (get(public, "/livez", "").await, get(public, "/readyz", "").await);
            assert_eq!((probes.0.status, probes.1.status), (200, 503));
            assert_eq!(probes.1.body, "draining\n");
        }
    }
    for (end, due) in ends.iter().zip([500, 1000, 1500, 2000]) {
        assert!(*end >= Duration::from_millis(due), "{ends:?}");
    }
    assert!(ends[0] < Duration::from_millis(1500), "spread: {ends:?}");
    drop(clients);
    within(DEADLINE, gateway.served).await.unwrap().unwrap();
    within(DEADLINE, drain).await.unwrap();
    assert!(
        tokio::net::TcpStream::connect(public).await.is_err(),
        "the port is closed behind it"
    );
}

async fn a_drain_waits_for_nobody_who_does_not_listen() {
    let gateway = TestGateway::start(|_| {});
    let mut silent = TestClient::connect(gateway.public).await;
    silent.send("GET /livez HTTP/1.1\r\nhost:").await;
    let idle = TestClient::connect(gateway.public).await;
    gateway.until_metric("riverhead_http_connections", 3.0).await;
    let drain = tokio::spawn(gateway.signal.drain(Duration::from_millis(100)));
    within(DEADLINE, gateway.served).await.unwrap().unwrap();
    within(DEADLINE, drain).await.unwrap();
    drop((silent, idle));
}

on_both_sinks! {
    #[tokio::test]
    a_stream_begins_as_its_clients_know_it
    ndjson_is_for_who_accepts_it_first
    a_heartbeat_is_one_line_in_one_chunk
    streams_are_found_under_every_spelling_of_eventstreams
    an_id_is_taken_as_clients_send_it
    a_head_has_the_headers_of_a_stream_and_begins_none
    http_1_0_gets_bytes_without_chunks_until_the_end
    http_1_0_does_not_keep_a_connection_for_what_has_no_end
    what_is_sent_with_a_stream_is_ignored_or_refused_for_good
    a_client_that_closes_during_silence_is_gone_at_once
    a_client_that_pipelined_something_and_closed_is_gone_at_once
    a_client_that_sends_without_end_is_not_listened_to_without_end
    a_stream_held_for_too_long_ends_whole
    who_wants_no_gap_is_told_when_it_cannot_be_known_and_leaves_nothing_behind
    a_drain_keeps_accepting_until_its_end_and_closes_streams_oldest_first
    a_drain_waits_for_nobody_who_does_not_listen
}

#[tokio::test]
async fn what_is_too_large_counts_as_a_request_of_its_client() {
    let limits = riverhead::limits::settings::LimitSettings {
        requests_per_minute: std::num::NonZeroU32::new(1).unwrap(),
        request_burst: std::num::NonZeroU32::new(2).unwrap(),
        ..Default::default()
    };
    let long = format!("/v2/stream/{}", "x".repeat(17_000));
    let large = format!("x-large: {}\r\n", "x".repeat(33_000));
    for (target, headers, status) in [(&*long, "", 414), ("/", &*large, 431)] {
        let gateway = TestGateway::limited(
            crate::support::gateway::catalog(),
            crate::support::gateway::nothing(),
            limits.clone(),
            |_| {},
        );
        for expected in [status, status, 429] {
            assert_eq!(get(gateway.public, target, headers).await.status, expected);
        }
        assert_eq!(
            get(gateway.admin, target, headers).await.status,
            status,
            "the admin listener has no rate"
        );
    }
}

/// The same for what reaches no route.
#[tokio::test]
async fn what_is_refused_for_its_form_counts_as_a_request_of_its_client() {
    let limits = riverhead::limits::settings::LimitSettings {
        requests_per_minute: std::num::NonZeroU32::new(1).unwrap(),
        request_burst: std::num::NonZeroU32::new(2).unwrap(),
        ..Default::default()
    };
    for head in [
        "GET / HTTP/1.1\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n",
        "GET / HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked, chunked\r\n",
        "GET /v2/stream/%FF HTTP/1.1\r\nhost: test\r\n",
    ] {
        let gateway = TestGateway::limited(
            crate::support::gateway::catalog(),
            crate::support::gateway::nothing(),
            limits.clone(),
            |_| {},
        );
        for expected in [400, 400, 429] {
            let mut client = TestClient::connect(gateway.public).await;
            client.send(&format!("{head}connection: close\r\n\r\n")).await;
            assert_eq!(client.answer().await.status, expected, "{head}");
        }
    }
}
