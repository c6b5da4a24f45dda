//! Requests: how they are answered and refused.

use std::process::Command;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{Empty, Full};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::time::timeout;

use super::{
    Connection, STREAM, text,
    transport::{H2Gateway, on_both_transports},
};
use crate::support::gateway::{DEADLINE, TestClient, TestGateway, get};

async fn what_is_refused_on_http_1_is_refused_alike() {
    let gateway = H2Gateway::start(|_| {});
    let many: Vec<_> = (0..300).map(|_| ("a", "b")).collect();
    let too_many: Vec<_> = (0..2000).map(|_| ("a", "b")).collect();
    for (headers, status, title) in [
        (&many[..], 431, "Request Header Fields Too Large"),
        (&too_many, 431, "Request Header Fields Too Large"),
        (&[("host", "a"), ("host", "b")], 400, "Bad Host"),
        (&[("host", "a b")], 400, "Bad Host"),
    ] {
        let mut connection = Connection::to(&gateway).await;
        let answer = connection.ask("GET", STREAM, headers).await;
        assert_eq!(answer.status(), status, "{title}");
        assert_eq!(answer.headers()["access-control-allow-origin"], "*");
        assert!(text(answer).await.contains(title), "{title}");
    }
    let mut connection = Connection::to(&gateway).await;
    let preflight = [
        ("origin", "https://page.example"),
        ("access-control-request-method", "GET"),
        ("access-control-request-headers", "authorization,traceparent"),
    ];
    let answer = connection.ask("OPTIONS", STREAM, &preflight).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(
        answer.headers()["access-control-allow-headers"],
        "authorization,traceparent"
    );
    assert_eq!(connection.ask("GET", "/", &many[..200]).await.status(), 200);
}

async fn what_is_too_large_or_wrong_is_told_as_on_http_1() {
    let gateway = H2Gateway::start(|_| {});
    let one = r#"[{"topic":"eqiad.recentchange","partition":0,"offset":7}]"#;
    let padded = format!("[{}{}", " ".repeat(8_000), &one[1..]);
    let mut connection = Connection::to(&gateway).await;
    let answer = connection.ask("GET", STREAM, &[("last-event-id", &padded)]).await;
    assert_eq!(answer.status(), StatusCode::OK, "an id of 8 KB");

    let long = format!("{STREAM}?x={}", "x".repeat(20_000));
    let (id, header) = ("x".repeat(20_000), "x".repeat(40_000));
    let rubbish = format!("[\"{id}\"]");
    for (target, headers, status, kind) in [
        (
            STREAM,
            &[("last-event-id", &*rubbish)][..],
            400,
            "invalid_last_event_id",
        ),
        (&*long, &[], 414, "uri_too_long"),
        (STREAM, &[("x", &*header)], 431, "headers_too_large"),
        ("/v2/stream/nope", &[], 400, "not_found"),
        ("/nowhere", &[], 404, "not_found"),
    ] {
        let answer = connection.ask("GET", target, headers).await;
        assert_eq!(answer.status(), status, "{kind}");
        let body: serde_json::Value = serde_json::from_str(&text(answer).await).unwrap();
        assert_eq!(body["type"], kind);
        let uri = body["uri"].as_str().unwrap();
        assert!(target.starts_with(uri) && uri.starts_with('/'), "{uri}");
    }
}

/// A client does not repeat it, as it would a stream that ends.
async fn a_body_that_is_too_large_is_refused_for_good_as_on_http_1() {
    let gateway = H2Gateway::start(|_| {});
    let socket = gateway.connect().await;
    let (mut requests, connection): (SendRequest<Full<Bytes>>, _) = http2::Builder::new(TokioExecutor::new())
        .handshake(TokioIo::new(socket))
        .await
        .unwrap();
    let driver = tokio::spawn(connection);
    let body = Full::new(Bytes::from(vec![b'x'; 100_000]));
    let request = Request::get(format!("http://test{STREAM}")).body(body).unwrap();
    let answer = timeout(DEADLINE, requests.send_request(request)).await.unwrap();
    let answer = answer.unwrap();
    assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(answer.headers()["access-control-allow-origin"], "*");
    assert!(text(answer).await.contains("content_too_large"));
    driver.abort();
}

async fn options_of_the_server_are_answered_as_on_http_1() {
    let gateway = H2Gateway::start(|_| {});
    let mut connection = Connection::to(&gateway).await;
    let request = Request::builder().method("OPTIONS").uri("*");
    let request = request.header("host", "test").body(Empty::new()).unwrap();
    let answer = connection.requests.send_request(request);
    let answer = timeout(DEADLINE, answer).await.unwrap().unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["allow"], "GET,HEAD");
}

/// As with HTTP/1.1, where the name is in `Host`.
#[tokio::test]
async fn the_admin_listener_answers_under_names_that_it_knows_only() {
    let gateway = TestGateway::start(|_| {});
    let mut connection = Connection::over_tcp(gateway.admin).await;
    for (method, authority, host, status) in [
        ("GET", "127.0.0.1:8081", None, 200),
        ("GET", "test", None, 200),
        ("GET", "evil.example", None, 403),
        ("GET", "evil.example:8081", None, 403),
        ("POST", "evil.example", None, 421),
        ("GET", "evil.example", Some("127.0.0.1"), 400),
        ("GET", "127.0.0.1", Some("evil.example"), 400),
        ("GET", "127.0.0.1", Some("127.0.0.1"), 200),
    ] {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("http://{authority}/metrics"));
        if let Some(host) = host {
            request = request.header("host", host);
        }
        let answer = connection
            .requests
            .send_request(request.body(Empty::new()).unwrap());
        let answer = timeout(DEADLINE, answer).await.unwrap().unwrap();
        assert_eq!(answer.status(), status, "{method} {authority} {host:?}");
    }
}

async fn a_head_far_too_large_is_refused_without_being_kept() {
    let gateway = H2Gateway::start(|_| {});
    let mut connection = Connection::to(&gateway).await;
    let large = "x".repeat(150_000);
    let answer = connection.ask("GET", STREAM, &[("x", &large)]).await;
    assert_eq!(answer.status(), StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    let huge = Request::get("http://test/").header("x", "x".repeat(600_000));
    let answer = connection.requests.send_request(huge.body(Empty::new()).unwrap());
    let refused = timeout(DEADLINE, answer).await.unwrap().unwrap_err();
    assert!(
        format!("{refused:?}").contains("ENHANCE_YOUR_CALM"),
        "{refused:?}"
    );
}

#[tokio::test]
async fn both_protocols_are_spoken_on_one_port_and_rubbish_is_answered_in_the_older() {
    let gateway = TestGateway::start(|_| {});
    let mut connection = Connection::over_tcp(gateway.public).await;
    assert_eq!(text(connection.ask("GET", "/livez", &[]).await).await, "ok\n");
    assert_eq!(get(gateway.public, "/livez", "").await.body, "ok\n");
    let mut client = TestClient::connect(gateway.public).await;
    client.send("PRI * HTTP/1.1\r\nhost: test\r\n\r\n").await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 4"), "{head}");
    let mut admin = Connection::over_tcp(gateway.admin).await;
    assert_eq!(text(admin.ask("GET", "/livez", &[]).await).await, "ok\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_speaks_it() {
    let gateway = TestGateway::start(|_| {});
    let url = format!("http://{}/v2/stream/nope", gateway.public);
    let curl = || {
        let say = "\n%{http_version} %{http_code}";
        let options = [
            "-s",
            "--max-time",
            "10",
            "--http2-prior-knowledge",
            "-w",
            say,
            &url,
        ];
        Command::new("curl").args(options).output()
    };
    let said = String::from_utf8(curl().expect("curl").stdout).unwrap();
    let (body, code) = said.rsplit_once('\n').unwrap();
    assert_eq!(code, "2 400", "{said}");
    assert!(body.starts_with("{\"status\":400,"), "{said}");
}

on_both_transports! {
    what_is_refused_on_http_1_is_refused_alike
    what_is_too_large_or_wrong_is_told_as_on_http_1
    a_body_that_is_too_large_is_refused_for_good_as_on_http_1
    options_of_the_server_are_answered_as_on_http_1
    a_head_far_too_large_is_refused_without_being_kept
}
