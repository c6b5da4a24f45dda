//! Requests that are understood and refused: their status, and the body in the shape of EventStreams.

use crate::support::gateway::{TestClient, TestGateway, get};

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
