//! The page for operators and what it is drawn from: who gets it, with which headers, and that it changes nothing.

use std::time::{Duration, Instant};

use riverhead::health;
use serde_json::Value;

use crate::support::gateway::{TOKEN, TestClient, TestGateway, get};

/// The documents of the page.
const DOCUMENTS: [&str; 3] = ["/admin/overview", "/admin/config", "/admin/principals"];

/// Those that need the token.
const GUARDED: [&str; 2] = ["/admin/config", "/admin/principals"];

fn bearer(token: &str) -> String {
    format!("authorization: Bearer {token}\r\n")
}

#[tokio::test]
async fn the_root_of_the_admin_listener_is_a_page_that_loads_only_its_own_files() {
    let gateway = TestGateway::start(|_| {});
    let page = get(gateway.admin, "/", "accept: text/html\r\n").await;
    assert_eq!(page.status, 200);
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    let mut files = Vec::new();
    for part in page.body.split(['"', '\'']) {
        assert!(
            !part.contains("//"),
            "the page asks somebody else, or says where: {part}"
        );
        if part.starts_with("operator/") {
            files.push(part.to_owned());
        }
    }
    assert!(files.len() >= 3, "{files:?}");
    files.push("operator/runbook.md".to_owned());
    for file in files {
        let answer = get(gateway.admin, &format!("/{file}"), "").await;
        assert_eq!(answer.status, 200, "{file}");
        assert_headers(&answer.head);
        assert_eq!(get(gateway.public, &format!("/{file}"), "").await.status, 404);
    }
    assert_headers(&page.head);
    for other in [
        "/operator/index.html",
        "/operator/",
        "/operator/../main.js",
        "/operator/x.js",
    ] {
        assert_eq!(get(gateway.admin, other, "").await.status, 404, "{other}");
    }
}

/// Asserts that no page of others can use this answer, and that it can load nothing of others.
fn assert_headers(head: &str) {
    let lines = head.to_ascii_lowercase();
    for line in [
        "x-content-type-options: nosniff\r\n",
        "referrer-policy: no-referrer\r\n",
        "cross-origin-opener-policy: same-origin\r\n",
        "cross-origin-resource-policy: same-origin\r\n",
        "cache-control: no-cache\r\n",
        "content-security-policy: default-src 'none'; script-src 'self'; style-src 'self'; ",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "etag: \"",
    ] {
        assert!(lines.contains(line), "{line} is missing in\n{head}");
    }
    assert!(!lines.contains("unsafe"), "{head}");
    assert!(!lines.contains("access-control"), "{head}");
}

#[tokio::test]
async fn a_page_of_another_origin_gets_neither_the_page_nor_its_documents() {
    let gateway = TestGateway::start(|_| {});
    for target in ["/", "/operator/main.js"].into_iter().chain(DOCUMENTS) {
        for headers in [
            "origin: https://evil.example\r\n",
            "sec-fetch-site: cross-site\r\n",
        ] {
            let headers = format!("{headers}{}", bearer(TOKEN));
            let answer = get(gateway.admin, target, &headers).await;
            assert_eq!(answer.status, 403, "{target} {headers}");
        }
        let mut client = TestClient::connect(gateway.admin).await;
        client
            .send(&format!(
                "GET {target} HTTP/1.1\r\nhost: rebound.example\r\nconnection: close\r\n\r\n"
            ))
            .await;
        assert_eq!(client.answer().await.status, 403, "{target}");
    }
}

#[tokio::test]
async fn the_configuration_and_the_principals_need_the_token_and_a_lack_of_it_is_no_guess() {
    let gateway = TestGateway::start(|_| {});
    gateway
        .config_report
        .set(r#"{"settings":[{"key":"http.listen"}]}"#);
    for target in GUARDED {
        // More often than wrong tokens may come.
        for _ in 0..15 {
            let answer = get(gateway.admin, target, "").await;
            assert_eq!(answer.status, 401, "{target}");
            assert!(
                answer
                    .header("www-authenticate")
                    .is_some_and(|it| it.starts_with("Bearer"))
            );
            assert!(!answer.body.contains("http.listen"));
        }
        let answer = get(gateway.admin, target, &bearer(TOKEN)).await;
        assert_eq!(answer.status, 200, "{target}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(get(gateway.public, target, &bearer(TOKEN)).await.status, 404);
    }
    assert_eq!(
        gateway
            .metric("riverhead_admin_refusals_total{reason=\"token\"}")
            .await,
        0.0
    );
    let wrong = get(
        gateway.admin,
        "/admin/config",
        &bearer("the-token-of-another-gateway"),
    )
    .await;
    assert_eq!(wrong.status, 401);
    assert_eq!(
        gateway
            .metric("riverhead_admin_refusals_total{reason=\"token\"}")
            .await,
        1.0
    );
    let config = get(gateway.admin, "/admin/config", &bearer(TOKEN)).await.json();
    assert_eq!(config["settings"][0]["key"], "http.listen");
    let principals = get(gateway.admin, "/admin/principals", &bearer(TOKEN)).await;
    assert_eq!(principals.json(), Value::Null, "there is no [auth]");
}

#[tokio::test]
async fn the_overview_says_what_health_says_and_is_answered_also_when_all_fails() {
    let gateway = TestGateway::start(|_| {});
    let long_ago = Instant::now() - Duration::from_secs(60);
    gateway
        .health
        .cluster(&"main".into(), vec!["b1:9092".to_owned()], long_ago);
    gateway.health.set_streams(vec![health::ExpectedStream {
        name: "recentchange".into(),
        topics: vec!["eqiad.recentchange".into()],
        expect_event_within: None,
    }]);
    assert_eq!(get(gateway.admin, "/healthz", "").await.status, 503);
    let answer = get(gateway.admin, "/admin/overview", "").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let overview = answer.json();
    assert_eq!(overview["health"]["state"], "failing");
    assert_eq!(overview["health"]["streams"][0]["name"], "recentchange");
    assert_eq!(overview["token_required"], true);
    assert_eq!(overview["authentication"], false);
    assert_eq!(overview["streams"][0]["topics"][0], "codfw.recentchange");
    assert_eq!(overview["limits"]["streams_total"], 1_000_000);
    let pools = overview["memory"]["pools"].as_array().unwrap();
    let names: Vec<_> = pools.iter().map(|pool| &pool["name"]).collect();
    assert_eq!(names, ["tail", "history", "lanes"]);
    assert!(
        pools
            .iter()
            .all(|pool| pool["budget_bytes"].as_u64().unwrap() > 0)
    );
    assert!(overview["memory"]["resident_bytes"].as_u64().unwrap() > 1 << 20);
    let before = overview["config_revision"].as_u64().unwrap();
    gateway.config_report.set("{}");
    let after = get(gateway.admin, "/admin/overview", "").await.json();
    assert_eq!(after["config_revision"], before + 1);
}

#[tokio::test]
async fn nothing_of_the_page_takes_anything_but_a_get() {
    let gateway = TestGateway::start(|_| {});
    for target in ["/", "/operator/main.js"].into_iter().chain(DOCUMENTS) {
        for method in ["POST", "PUT", "DELETE", "PATCH"] {
            let mut client = TestClient::connect(gateway.admin).await;
            client
                .send(&format!(
                    "{method} {target} HTTP/1.1\r\nhost: test\r\n{}content-length: 0\r\nconnection: close\r\n\r\n",
                    bearer(TOKEN)
                ))
                .await;
            assert_eq!(client.answer().await.status, 405, "{method} {target}");
        }
    }
}
