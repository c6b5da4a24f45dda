//! What a page in a browser may send and read.

use super::with_burst;
use crate::support::gateway::{TestClient, TestGateway, get};

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
    let gateway = with_burst(1, |_| {});
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
