//! Streams that end to make room for others.

use super::*;

const REPLACED: &str = "riverhead_streams_ended_total{stream=\"recentchange\",reason=\"replaced\"}";
const EVICTED: &str = "riverhead_streams_ended_total{stream=\"recentchange\",reason=\"evicted\"}";
const VANISHED: &str = "riverhead_streams_ended_total{stream=\"recentchange\",reason=\"vanished\"}";

#[cfg(target_os = "linux")]
async fn a_client_whose_network_vanished_is_let_in_again_and_its_old_stream_is_gone() {
    let heartbeat = Duration::from_millis(500);
    let gateway = gateway(streams(1), |settings| settings.heartbeat = heartbeat);
    let (vanished, _) = from([127, 0, 0, 1], &gateway).await;
    // The client is still connected, although it reads nothing.
    tokio::time::sleep(3 * heartbeat).await;
    assert_eq!(from([127, 0, 0, 1], &gateway).await.1, "429");

    vanished.vanish();
    let start = Instant::now();
    let _back = loop {
        let (client, status) = from([127, 0, 0, 1], &gateway).await;
        if status == "200" {
            break client;
        }
        assert!(start.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    // The last unacknowledged bytes were sent at most one heartbeat after the client vanished.
    let after = start.elapsed();
    gateway.until_metric(REPLACED, 1.0).await;
    assert_eq!(gateway.metric(ADMITTED).await, 1.0);
    assert_eq!(
        gateway.metric(VANISHED).await,
        0.0,
        "not by its own deadline: after {after:?}"
    );
    assert_eq!(
        from([127, 0, 0, 1], &gateway).await.1,
        "429",
        "the new stream holds the slot"
    );
}

/// Starts a gateway for eight streams that is full: one client has seven, another one has one.
async fn full(evict_when_full: bool) -> (TestGateway, Vec<TestClient>, TestClient) {
    let limits = LimitSettings {
        streams_total: number(8),
        evict_when_full,
        ..streams(8)
    };
    let gateway = gateway(limits, |_| {});
    let mut greedy = Vec::new();
    for _ in 0..7 {
        let (client, status) = from([127, 0, 0, 1], &gateway).await;
        assert_eq!(status, "200");
        greedy.push(client);
    }
    let (modest, status) = from([127, 0, 0, 2], &gateway).await;
    assert_eq!(status, "200");
    (gateway, greedy, modest)
}

async fn a_full_host_ends_a_stream_of_who_has_most_for_who_has_none_behind_an_event() {
    let (gateway, mut greedy, mut modest) = full(true).await;
    let (_newcomer, status) = from([127, 0, 0, 3], &gateway).await;
    assert_eq!(status, "200");
    let mut newest = greedy.pop().unwrap();
    assert_eq!(newest.rest().await, "5\r\n:ok\n\n\r\n0\r\n\r\n");
    gateway.until_metric(EVICTED, 1.0).await;
    assert_eq!(gateway.metric(ADMITTED).await, 8.0);
    assert_eq!(from([127, 0, 0, 2], &gateway).await.1, "503", "it has one");
    assert_eq!(modest.exactly(10).await, "5\r\n:ok\n\n\r\n");
    assert_eq!(gateway.metric(EVICTED).await, 1.0);
}

async fn unless_it_is_told_to_a_full_host_ends_nothing() {
    let (gateway, _greedy, _modest) = full(false).await;
    assert_eq!(from([127, 0, 0, 3], &gateway).await.1, "503");
    assert_eq!(gateway.metric(ADMITTED).await, 8.0);
    assert_eq!(gateway.metric(EVICTED).await, 0.0);
}

on_both_sinks! {
    #[tokio::test]
    a_full_host_ends_a_stream_of_who_has_most_for_who_has_none_behind_an_event
    unless_it_is_told_to_a_full_host_ends_nothing
}

#[cfg(target_os = "linux")]
on_both_sinks! {
    #[tokio::test]
    a_client_whose_network_vanished_is_let_in_again_and_its_old_stream_is_gone
}
