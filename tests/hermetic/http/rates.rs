//! The request rate counts requests that are refused for their form.

use super::with_burst;
use crate::support::gateway::{TestClient, get};

#[tokio::test]
async fn what_is_too_large_counts_as_a_request_of_its_client() {
    let long = format!("/v2/stream/{}", "x".repeat(17_000));
    let large = format!("x-large: {}\r\n", "x".repeat(33_000));
    for (target, headers, status) in [(&*long, "", 414), ("/", &*large, 431)] {
        let gateway = with_burst(2, |_| {});
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
    for head in [
        "GET / HTTP/1.1\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n",
        "GET / HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked, chunked\r\n",
        "GET /v2/stream/%FF HTTP/1.1\r\nhost: test\r\n",
    ] {
        let gateway = with_burst(2, |_| {});
        for expected in [400, 400, 429] {
            let mut client = TestClient::connect(gateway.public).await;
            client.send(&format!("{head}connection: close\r\n\r\n")).await;
            assert_eq!(client.answer().await.status, expected, "{head}");
        }
    }
}
