//! The pages of both listeners.

use std::time::{Duration, Instant};

use riverhead::health;
use serde_json::Value;

use crate::support::gateway::{TestGateway, get};

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
        let tickets = &spec["paths"]["/v2/tickets"]["post"];
        let asked = &tickets["requestBody"]["content"]["application/json"]["schema"]["$ref"];
        assert_eq!(asked, "#/components/schemas/TicketRequest");
        assert!(tickets["responses"]["201"].is_object() && tickets["responses"]["415"].is_object());
    }
    let spec = get(gateway.public, "/?spec=3.2", "").await.json();
    let content = &spec["paths"]["/v2/stream/revision"]["get"]["responses"]["200"]["content"];
    let items = |media: &str| content[media]["itemSchema"]["anyOf"].as_array().unwrap().len();
    assert_eq!((items("text/event-stream"), items("application/json")), (4, 3));
}
