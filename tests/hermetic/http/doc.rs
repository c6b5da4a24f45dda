//! The page with the API's documentation.

use crate::support::gateway::{TestClient, TestGateway, get};

#[tokio::test]
async fn the_viewer_and_the_document_come_from_here_and_nothing_else_may_be_loaded() {
    let gateway = TestGateway::start(|_| {});
    let page = get(gateway.public, "/?doc", "").await;
    assert_eq!(page.status, 200);
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    let files: Vec<_> = page
        .body
        .split('"')
        .filter(|part| part.starts_with("doc/"))
        .collect();
    assert!(files.len() >= 6, "{files:?}");
    for file in files {
        let answer = get_bytes(&gateway, &format!("/{file}"), "").await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{file}: {answer}");
        assert_policy(&answer);
        assert_eq!(get(gateway.admin, &format!("/{file}"), "").await.status, 404);
    }
    assert_policy(&page.head);
    for other in [
        "/doc/index.html",
        "/doc/",
        "/doc/swagger-initializer.js",
        "/doc/../page.css",
    ] {
        assert_eq!(get(gateway.public, other, "").await.status, 404, "{other}");
    }
}

fn assert_policy(head: &str) {
    let policy = "content-security-policy: default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
        img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n";
    assert!(head.contains(policy), "{head}");
    assert!(head.contains("x-content-type-options: nosniff\r\n"), "{head}");
}

#[tokio::test]
async fn the_viewer_is_sent_as_it_is_in_its_archive_to_those_who_can_unpack_it() {
    let gateway = TestGateway::start(|_| {});
    let target = "/doc/swagger-ui-bundle.js";
    let packed = get_bytes(&gateway, target, "accept-encoding: gzip\r\n").await;
    assert!(packed.contains("content-encoding: gzip\r\n"), "{packed}");
    assert!(
        packed.contains("content-type: text/javascript; charset=utf-8\r\n"),
        "{packed}"
    );
    let tag = packed
        .lines()
        .find_map(|line| line.strip_prefix("etag: "))
        .expect("a tag");
    let again = format!("accept-encoding: gzip\r\nif-none-match: {tag}\r\n");
    let again = get(gateway.public, target, &again).await;
    assert_eq!((again.status, &*again.body), (304, ""));
    let length = |head: &str| {
        let value = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        value.expect("a length").parse::<usize>().expect("a number")
    };
    let plain = get_bytes(&gateway, target, "").await;
    assert!(!plain.contains("content-encoding"), "{plain}");
    assert!(length(&packed) * 2 < length(&plain), "{packed}{plain}");
}

/// The document has the same bytes as ever, and only its own parameter shows the page.
#[tokio::test]
async fn the_document_itself_stays_what_it_was() {
    let gateway = TestGateway::start(|_| {});
    for (target, version) in [
        ("/?spec", "3.0.3"),
        ("/?spec=3.0", "3.0.3"),
        ("/?spec=3.2", "3.2.0"),
    ] {
        let answer = get(gateway.public, target, "accept: text/html\r\n").await;
        assert_eq!(
            answer.header("content-type"),
            Some("application/json; charset=utf-8")
        );
        assert_eq!(answer.json()["openapi"], version, "{target}");
    }
    for target in ["/?docs", "/?document=1", "/?spec&doc"] {
        let answer = get(gateway.public, target, "").await;
        assert_eq!(
            answer.header("content-type"),
            Some("application/json; charset=utf-8"),
            "{target}"
        );
    }
}

/// Returns the head of an answer whose body may not be text.
async fn get_bytes(gateway: &TestGateway, target: &str, headers: &str) -> String {
    let mut client = TestClient::connect(gateway.public).await;
    client
        .send(&format!(
            "GET {target} HTTP/1.1\r\nhost: test\r\n{headers}connection: close\r\n\r\n"
        ))
        .await;
    client.head().await
}
