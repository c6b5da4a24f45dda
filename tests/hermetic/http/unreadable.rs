//! Requests whose head hyper cannot read.

use super::with_burst;
use crate::support::gateway::{TestClient, TestGateway, get};

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
    for unreadable in unreadable() {
        let gateway = with_burst(2, |_| {});
        for expected in [unreadable.status, unreadable.status, 429] {
            let answer = answer_to(gateway.public, &unreadable.head).await;
            assert_eq!(answer.status, expected, "{}", &unreadable.head[..20]);
        }
    }
}

/// A proxy that passes on what nobody can read keeps its own standing, and so do its clients.
#[tokio::test]
async fn what_a_proxy_passes_on_and_nobody_can_read_is_somebodys_behind_it() {
    let gateway = with_burst(1, |settings| {
        settings.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
    });
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
