//! The ids that a client may send, and where.

use riverhead::position::{IdForm, IdWriter, LogPosition, LogTag, PartitionPosition};

use crate::support::{
    gateway::{TestClient, TestGateway, get},
    on_both_sinks,
};

async fn an_id_is_taken_as_clients_send_it() {
    let gateway = TestGateway::start(|_| {});
    let one = r#"[{"topic":"eqiad.recentchange","partition":0,"offset":7}]"#;
    let padded = format!("[{}{}", " ".repeat(8_000), &one[1..]);
    for (name, id) in [
        ("Last-Event-ID", one),
        ("last-event-id", one),
        ("Last-Event-Id", r#"["eqiad.recentchange"]"#),
        ("Last-Event-ID", ""),
        ("Last-Event-ID", "   "),
        ("Last-Event-ID", &padded),
    ] {
        let mut client = TestClient::connect(gateway.public).await;
        client
            .send(&format!(
                "GET /v2/stream/recentchange HTTP/1.1\r\nhost: test\r\n{name}: {id}\r\n\r\n"
            ))
            .await;
        assert!(client.head().await.starts_with("HTTP/1.1 200 "), "{name}: {id}");
    }
}

/// A 4xx ends an `EventSource` for good. So what some version gave out, or took, no later one refuses: rows are added, and none goes.
#[tokio::test]
async fn what_a_client_may_have_from_an_earlier_version_is_taken() {
    let gateway = TestGateway::start(|_| {});
    let compact = "~1A5ecaKu2ZJ_AdBoSDXA_H0BWK7mRN1YruZE3";
    let proven = r#"[{"topic":"eqiad.recentchange","partition":0,"offset":43,"timestamp":1790487705415,"log":"q7Zk.1wPx9A.12"}]"#;
    let timed = r#"[{"topic":"eqiad.recentchange","partition":0,"timestamp":1790487705001},{"topic":"codfw.recentchange","partition":0,"offset":-1}]"#;
    for (query, id) in [
        ("", compact),
        ("", proven),
        ("", timed),
        ("?id=compact", proven),
        ("?id=json&encoding=gzip", compact),
        ("?lastEventId=~1A5ecaKu2ZJ_AdBoSDXA_H0BWK7mRN1YruZE3", ""),
        ("?last_event_id=~1A5ecaKu2ZJ_AdBoSDXA_H0BWK7mRN1YruZE3", ""),
        ("?since=1790487705415", ""),
        ("?since=2026-11-28T00:00:00Z", ""),
        ("?since=2026-11-28T00:00:00.000+00:00", compact),
        (
            "?filter=wiki%20%3D%20%22enwiki%22%20and%20not%20bot%20%3D%20true",
            proven,
        ),
        ("?filter=%40header.d%20%3D%202", ""),
        ("?filter=x%20%3D%201%20or%20%40offset%20%3D%201.5", ""),
        ("?filter=%40offset%20%21%3D%201.5", proven),
        ("?filter=%40offset%20in%20%281%2C%20x%29", ""),
        ("?filter=not%20%40key%20%3C%202", ""),
        ("?canary=true", ""),
        ("?utm_source=page&x=1", timed),
    ] {
        let mut client = TestClient::connect(gateway.public).await;
        let request = format!(
            "HEAD /v2/stream/recentchange{query} HTTP/1.1\r\nhost: test\r\nlast-event-id: {id}\r\nconnection: close\r\n\r\n"
        );
        client.send(&request).await;
        let head = client.head().await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{query} {id}: {head}");
    }
}

#[tokio::test]
async fn an_id_is_taken_from_a_query_up_to_the_longest_target() {
    let gateway = TestGateway::start(|_| {});
    let topic: std::sync::Arc<str> = "eqiad.revision".into();
    let id = |partitions: i32| {
        let mut id = Vec::new();
        let place = PartitionPosition::At(LogPosition {
            offset: 1 << 40,
            timestamp: Some(1_790_000_000_000),
            log: Some(LogTag::new("cluster", &[1; 16])),
            epoch: Some(4),
        });
        let entries = (0..partitions).map(|partition| (topic.clone(), partition, place));
        IdWriter::new(IdForm::Compact, entries).write(&mut id);
        String::from_utf8(id).unwrap()
    };
    let target = |id: &str| format!("/v2/stream/revision?lastEventId={id}");
    let target_of = |partitions| target(&id(partitions));
    let longest = (1..2048)
        .rev()
        .find(|partitions| target_of(*partitions).len() <= 16 * 1024);
    let longest = longest.unwrap();
    assert!(longest > 1000, "{longest}");
    let mut client = TestClient::stream(gateway.public, &target_of(longest)).await;
    assert!(client.head().await.starts_with("HTTP/1.1 200 "));
    let beyond = format!("{}&x={}", target_of(longest), "x".repeat(1024));
    assert_eq!(get(gateway.public, &beyond, "").await.status, 414);
}

on_both_sinks! {
    #[tokio::test]
    an_id_is_taken_as_clients_send_it
}
