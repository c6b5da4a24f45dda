//! Where a request ends and to whom it is sent: host, length and transfer coding.

use crate::support::gateway::{TestClient, TestGateway};

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
