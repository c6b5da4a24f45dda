//! Connections without a request.

use std::time::{Duration, Instant};

use riverhead::limits::settings::LimitSettings;

use super::{ADMITTED, REQUEST, STREAM, gateway, number};
use crate::support::{gateway::TestClient, on_both_sinks};

const WAITING: &str = "riverhead_http_connections_without_stream";

/// Returns limits of this many connections without a stream, in total and per client.
fn idle_limits(total: u32, per_client: u32) -> LimitSettings {
    LimitSettings {
        connections_without_stream: number(total),
        connections_without_stream_per_client: number(per_client),
        ..LimitSettings::default()
    }
}

async fn silent_connections_of_one_address_push_each_other_out_and_nobody_else() {
    let gateway = gateway(idle_limits(20, 4), |_| {});
    let mut neighbour = TestClient::from([127, 0, 0, 2], gateway.public).await;
    // One byte, which shows that the connection is accepted.
    neighbour.send("G").await;
    gateway.until_metric(WAITING, 1.0).await;
    let mut crowd = Vec::new();
    for _ in 0..60 {
        let mut client = TestClient::connect(gateway.public).await;
        client.send("G").await;
        crowd.push(client);
    }
    let sent_away = "riverhead_http_connections_sent_away_total{reason=\"client\"}";
    gateway.until_metric(sent_away, 56.0).await;
    assert_eq!(gateway.metric(WAITING).await, 5.0);
    // The oldest are closed, with a reset. The newest and the neighbor get answers.
    crowd[0].error().await;
    let newest = crowd.last_mut().unwrap();
    newest.send("ET /livez HTTP/1.1\r\nhost: test\r\n\r\n").await;
    assert_eq!(newest.answer().await.status, 200);
    neighbour.send(&REQUEST[1..]).await;
    assert!(neighbour.head().await.starts_with("HTTP/1.1 200 "));
    gateway.until_metric(ADMITTED, 1.0).await;
}

async fn streams_do_not_count_as_connections_without_one() {
    let gateway = gateway(idle_limits(2, 2), |_| {});
    let mut streams = Vec::new();
    for open in 1..=6 {
        let mut client = TestClient::stream(gateway.public, STREAM).await;
        assert!(client.head().await.starts_with("HTTP/1.1 200 "));
        gateway.until_metric(ADMITTED, f64::from(open)).await;
        gateway.until_metric(WAITING, 0.0).await;
        streams.push(client);
    }
    let _silent = [
        TestClient::connect(gateway.public).await,
        TestClient::connect(gateway.public).await,
    ];
    gateway.until_metric(ADMITTED, 6.0).await;
}

/// A proxy that keeps idle connections to the gateway, with and without required PROXY headers.
async fn idle_connections_of_a_trusted_proxy_count_too() {
    for proxy_protocol in [false, true] {
        let gateway = gateway(idle_limits(8, 2), |settings| {
            settings.proxy_protocol = proxy_protocol;
            settings.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
        });
        let mut idle = Vec::new();
        for _ in 0..20 {
            let mut client = TestClient::connect(gateway.public).await;
            // The first byte of either, which shows that the connection is accepted.
            client.send(if proxy_protocol { "\r" } else { "G" }).await;
            idle.push(client);
        }
        let sent_away = "riverhead_http_connections_sent_away_total{reason=\"host\"}";
        gateway.until_metric(sent_away, 12.0).await;
        gateway.until_metric(WAITING, 8.0).await;
        idle[0].error().await;
        drop(idle);
        gateway.until_metric(WAITING, 0.0).await;
    }
}

/// A small slowloris: hundreds of connections from several addresses send a byte now and then, and a client
/// connects last.
async fn a_crowd_that_trickles_keeps_nobody_out() {
    let gateway = gateway(idle_limits(64, 32), |_| {});
    let mut crowd = Vec::new();
    for index in 0..300_u16 {
        // Some are closed to make room, perhaps before they have noticed that they were accepted.
        if let Ok(mut client) = TestClient::try_from([127, 0, 1, (index % 8) as u8], gateway.public).await {
            _ = client
                .try_send("GET /v2/stream/recentchange HTTP/1.1\r\nx: ")
                .await;
            crowd.push(client);
        }
    }
    let start = Instant::now();
    let mut honest = TestClient::from([127, 0, 0, 2], gateway.public).await;
    honest.send(REQUEST).await;
    assert!(honest.head().await.starts_with("HTTP/1.1 200 "));
    assert_eq!(honest.chunk().await, ":ok\n\n");
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    assert!(gateway.metric(WAITING).await <= 64.0);
    drop(crowd);
    gateway.until_metric(WAITING, 0.0).await;
}

on_both_sinks! {
    #[tokio::test]
    silent_connections_of_one_address_push_each_other_out_and_nobody_else
    streams_do_not_count_as_connections_without_one
    idle_connections_of_a_trusted_proxy_count_too
}

on_both_sinks! {
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    a_crowd_that_trickles_keeps_nobody_out
}
