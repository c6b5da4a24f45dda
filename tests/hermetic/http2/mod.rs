//! HTTP/2: several streams on one connection of the public listener, over TCP and over TLS.

mod attacks;
mod transport;

use std::{net::SocketAddr, num::NonZeroU32, process::Command, time::Duration};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Full};
use hyper::{
    body::Incoming,
    client::conn::http2::{self, SendRequest},
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use riverhead::{http::settings::HttpSettings, limits::settings::LimitSettings, sse::SseReader};
use tokio::{net::TcpStream, task::JoinHandle, time::timeout};

use crate::support::{
    gateway::{DEADLINE, TestClient, TestGateway, catalog, edits, get, nothing, plenty},
    model::ModelFixture,
};
use transport::{H2Gateway, Socket, on_both_transports};

const STREAM: &str = "/v2/stream/recentchange";
const ADMITTED: &str = "riverhead_streams_admitted";
const WAITING: &str = "riverhead_http_connections_without_stream";

fn number(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap()
}

/// A connection of HTTP/2, and its task.
struct Connection {
    requests: SendRequest<Empty<Bytes>>,
    driver: JoinHandle<hyper::Result<()>>,
}

impl Connection {
    async fn to(gateway: &H2Gateway) -> Self {
        Self::with(gateway, &mut http2::Builder::new(TokioExecutor::new())).await
    }

    async fn with(gateway: &H2Gateway, builder: &mut http2::Builder<TokioExecutor>) -> Self {
        Self::over(gateway.connect().await, builder).await
    }

    /// Connects to a listener without TLS.
    async fn over_tcp(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).await.unwrap();
        Self::over(Box::new(socket), &mut http2::Builder::new(TokioExecutor::new())).await
    }

    async fn over(socket: Box<dyn Socket>, builder: &mut http2::Builder<TokioExecutor>) -> Self {
        builder.timer(TokioTimer::new());
        let (requests, connection) = builder.handshake(TokioIo::new(socket)).await.unwrap();
        Self {
            requests,
            driver: tokio::spawn(connection),
        }
    }

    /// Sends a request with this method and these headers.
    async fn ask(&mut self, method: &str, target: &str, headers: &[(&str, &str)]) -> Response<Incoming> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("http://test{target}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = self.requests.send_request(request.body(Empty::new()).unwrap());
        timeout(DEADLINE, answer).await.unwrap().unwrap()
    }

    async fn stream(&mut self) -> Response<Incoming> {
        let answer = self.ask("GET", STREAM, &[]).await;
        assert_eq!(answer.status(), StatusCode::OK);
        answer
    }
}

/// Returns the next bytes of a body; `None` at its end.
async fn more(answer: &mut Response<Incoming>) -> Option<Bytes> {
    let frame = timeout(DEADLINE, answer.frame()).await.unwrap();
    frame.map(|frame| frame.unwrap().into_data().unwrap())
}

async fn text(answer: Response<Incoming>) -> String {
    let body = timeout(DEADLINE, answer.into_body().collect()).await.unwrap();
    String::from_utf8(body.unwrap().to_bytes().to_vec()).unwrap()
}

fn limits(per_client: u32) -> LimitSettings {
    LimitSettings {
        streams_per_client: number(per_client),
        ..LimitSettings::default()
    }
}

fn gateway(limits: LimitSettings, change: impl FnOnce(&mut HttpSettings)) -> H2Gateway {
    H2Gateway::limited(catalog(), nothing(), limits, change)
}

/// Starts a gateway over partitions with 40 records, or with records large enough to fill every window.
fn full(records: usize) -> H2Gateway {
    let fixture = ModelFixture::new(2);
    for partition in 0..2 {
        fixture.write(partition, records);
    }
    H2Gateway::limited(edits(), fixture.source.clone(), plenty(), |settings| {
        settings.heartbeat = Duration::from_millis(100);
        settings.stall_timeout = Duration::from_millis(500);
    })
}

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

async fn a_stream_begins_as_it_does_on_http_1() {
    let gateway = H2Gateway::start(|settings| settings.heartbeat = Duration::from_millis(50));
    let mut connection = Connection::to(&gateway).await;
    let mut answer = connection.stream().await;
    for (name, value) in [
        ("content-type", "text/event-stream; charset=utf-8"),
        ("cache-control", "no-cache, no-transform"),
        ("x-accel-buffering", "no"),
        ("access-control-allow-origin", "*"),
    ] {
        assert_eq!(answer.headers()[name], value);
    }
    assert_eq!(more(&mut answer).await.unwrap(), ":ok\n\n");
    for _ in 0..3 {
        assert_eq!(more(&mut answer).await.unwrap(), ":\n");
    }
}

async fn events_arrive_whole_through_the_same_delivery() {
    let gateway = full(2_000);
    let mut connection = Connection::to(&gateway).await;
    let all = r#"[{"topic":"edits","partition":0,"offset":-2},{"topic":"edits","partition":1,"offset":-2}]"#;
    let mut answer = connection
        .ask("GET", "/v2/stream/edits", &[("last-event-id", all)])
        .await;
    let (mut reader, mut numbers) = (SseReader::new(1 << 20), Vec::new());
    while numbers.len() < 4_000 {
        reader.push(&more(&mut answer).await.unwrap()).unwrap();
        while let Some(message) = reader.next_message() {
            let data: serde_json::Value = serde_json::from_str(&message.data).unwrap();
            numbers.push(data["n"].as_u64().unwrap());
        }
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=4_000).collect::<Vec<_>>());
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

async fn what_is_too_large_counts_as_a_request_of_its_client_too() {
    let limits = LimitSettings {
        requests_per_minute: number(1),
        request_burst: number(2),
        ..LimitSettings::default()
    };
    let long = format!("{STREAM}?x={}", "x".repeat(20_000));
    let (large, larger) = ("x".repeat(40_000), "x".repeat(120_000));
    let many: Vec<_> = (0..2000).map(|_| ("a", "b")).collect();
    let too_large = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
    for (target, headers, status) in [
        (STREAM, &[("x", &*large)][..], too_large),
        (STREAM, &[("x", &*larger)], too_large),
        (STREAM, &many, too_large),
        (&*long, &[], StatusCode::URI_TOO_LONG),
    ] {
        let gateway = gateway(limits.clone(), |_| {});
        let mut connection = Connection::to(&gateway).await;
        for expected in [status, status, StatusCode::TOO_MANY_REQUESTS] {
            let answer = connection.ask("GET", target, headers).await;
            assert_eq!(answer.status(), expected);
        }
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

async fn a_head_has_no_body_and_begins_no_stream() {
    let gateway = H2Gateway::start(|_| {});
    let mut connection = Connection::to(&gateway).await;
    let answer = connection.ask("HEAD", STREAM, &[]).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(!answer.headers().contains_key("content-length"));
    assert_eq!(text(answer).await, "");
    let answer = connection.ask("OPTIONS", STREAM, &[]).await;
    assert_eq!(answer.headers()["allow"], "GET,HEAD");
    assert_eq!(gateway.metric(ADMITTED).await, 0.0);
}

async fn streams_on_one_connection_count_one_by_one() {
    let gateway = gateway(limits(3), |_| {});
    let mut connection = Connection::to(&gateway).await;
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(connection.stream().await);
    }
    let refused = connection.ask("GET", STREAM, &[]).await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(refused.headers().contains_key("retry-after"));
    assert_eq!(gateway.metric(ADMITTED).await, 3.0);
    // A stream that is cancelled alone frees its slot, and the others continue.
    drop(held.pop());
    gateway.until_metric(ADMITTED, 2.0).await;
    held.push(connection.stream().await);
    drop((held, connection));
    gateway.until_metric(ADMITTED, 0.0).await;
}

async fn requests_on_one_connection_count_one_by_one() {
    let limits = LimitSettings {
        requests_per_minute: number(1),
        request_burst: number(5),
        ..LimitSettings::default()
    };
    let gateway = gateway(limits, |_| {});
    let mut connection = Connection::to(&gateway).await;
    for _ in 0..5 {
        assert_eq!(connection.ask("GET", "/", &[]).await.status(), StatusCode::OK);
    }
    let refused = connection.ask("GET", "/", &[]).await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
}

async fn behind_a_trusted_proxy_each_request_has_its_own_client() {
    let gateway = gateway(limits(1), |settings| {
        settings.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
    });
    let mut connection = Connection::to(&gateway).await;
    let mut held = Vec::new();
    for (client, status) in [
        ("198.51.100.1", 200),
        ("198.51.100.2", 200),
        ("198.51.100.1", 429),
    ] {
        let answer = connection
            .ask("GET", STREAM, &[("x-forwarded-for", client)])
            .await;
        assert_eq!(answer.status(), status, "{client}");
        held.push(answer);
    }
}

async fn a_stream_whose_client_does_not_read_is_reset_and_its_neighbour_goes_on() {
    let gateway = full(20_000);
    let mut builder = http2::Builder::new(TokioExecutor::new());
    let builder = builder
        .initial_stream_window_size(64 * 1024)
        .initial_connection_window_size(4 * 1024 * 1024);
    let mut connection = Connection::with(&gateway, builder).await;
    let all = r#"[{"topic":"edits","partition":0,"offset":-2},{"topic":"edits","partition":1,"offset":-2}]"#;
    let unread = connection
        .ask("GET", "/v2/stream/edits", &[("last-event-id", all)])
        .await;
    let mut read = connection.ask("GET", "/v2/stream/edits", &[]).await;
    let stalled = "riverhead_streams_ended_total{stream=\"edits\",reason=\"stalled\"}";
    let reading = async {
        while gateway.metric(stalled).await == 0.0 {
            assert!(more(&mut read).await.is_some());
        }
    };
    timeout(DEADLINE, reading).await.unwrap();
    assert_eq!(more(&mut read).await.unwrap(), ":\n");
    let end = timeout(DEADLINE, unread.into_body().collect()).await.unwrap();
    assert!(end.is_err(), "a reset, and not an end");
    assert_eq!(gateway.metric(ADMITTED).await, 1.0);
}

async fn a_connection_counts_as_one_without_a_stream_while_it_has_none() {
    let gateway = H2Gateway::start(|_| {});
    let mut connection = Connection::to(&gateway).await;
    gateway.until_metric(WAITING, 1.0).await;
    let (first, second) = (connection.stream().await, connection.stream().await);
    gateway.until_metric(WAITING, 0.0).await;
    drop(first);
    gateway.until_metric(ADMITTED, 1.0).await;
    assert_eq!(gateway.metric(WAITING).await, 0.0);
    drop(second);
    gateway.until_metric(WAITING, 1.0).await;
    drop(connection);
    gateway.until_metric(WAITING, 0.0).await;
}

async fn a_drain_ends_streams_whole_and_says_goodbye() {
    let gateway = H2Gateway::start(|_| {});
    let mut connection = Connection::to(&gateway).await;
    let mut answer = connection.stream().await;
    assert_eq!(more(&mut answer).await.unwrap(), ":ok\n\n");
    let gateway = gateway.into_inner();
    let drain = tokio::spawn(gateway.signal.drain(Duration::from_millis(200)));
    assert_eq!(text(answer).await, "", "an end, and not a reset");
    timeout(DEADLINE, connection.driver)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    timeout(DEADLINE, drain).await.unwrap().unwrap();
    timeout(DEADLINE, gateway.served).await.unwrap().unwrap().unwrap();
}

on_both_transports! {
    what_is_refused_on_http_1_is_refused_alike
    a_stream_begins_as_it_does_on_http_1
    events_arrive_whole_through_the_same_delivery
    what_is_too_large_or_wrong_is_told_as_on_http_1
    what_is_too_large_counts_as_a_request_of_its_client_too
    a_body_that_is_too_large_is_refused_for_good_as_on_http_1
    options_of_the_server_are_answered_as_on_http_1
    a_head_far_too_large_is_refused_without_being_kept
    a_head_has_no_body_and_begins_no_stream
    streams_on_one_connection_count_one_by_one
    requests_on_one_connection_count_one_by_one
    behind_a_trusted_proxy_each_request_has_its_own_client
    a_stream_whose_client_does_not_read_is_reset_and_its_neighbour_goes_on
    a_connection_counts_as_one_without_a_stream_while_it_has_none
    a_drain_ends_streams_whole_and_says_goodbye
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
