//! Drains of the gateway.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use super::OPEN;
use crate::support::{
    gateway::{DEADLINE, TestClient, TestGateway, get},
    on_both_sinks,
};

async fn within<T>(deadline: Duration, what: impl Future<Output = T>) -> T {
    let start = Instant::now();
    let result = what.await;
    assert!(start.elapsed() < deadline, "took {:?}", start.elapsed());
    result
}

async fn a_drain_keeps_accepting_until_its_end_and_closes_streams_oldest_first() {
    let gateway = TestGateway::start(|_| {});
    let mut clients = Vec::new();
    for open in 1..=4 {
        let mut client = TestClient::stream(gateway.public, "/v2/stream/recentchange").await;
        client.until(":ok\n\n\r\n").await;
        gateway.until_metric(OPEN, f64::from(open)).await;
        clients.push(client);
    }
    let (public, start) = (gateway.public, Instant::now());
    let drain = tokio::spawn(gateway.signal.drain(Duration::from_millis(2000)));

    let mut ends = Vec::new();
    for client in &mut clients {
        assert_eq!(
            client.chunk().await,
            "",
            "the last chunk, and nothing torn before it"
        );
        assert_eq!(client.rest().await, "");
        ends.push(start.elapsed());
        if ends.len() < 4 {
            let probes = (get(public, "/livez", "").await, get(public, "/readyz", "").await);
            assert_eq!((probes.0.status, probes.1.status), (200, 503));
            assert_eq!(probes.1.body, "draining\n");
        }
    }
    for (end, due) in ends.iter().zip([500, 1000, 1500, 2000]) {
        assert!(*end >= Duration::from_millis(due), "{ends:?}");
    }
    assert!(ends[0] < Duration::from_millis(1500), "spread: {ends:?}");
    drop(clients);
    within(DEADLINE, gateway.served).await.unwrap().unwrap();
    within(DEADLINE, drain).await.unwrap();
    assert!(
        tokio::net::TcpStream::connect(public).await.is_err(),
        "the port is closed behind it"
    );
}

async fn a_drain_waits_for_nobody_who_does_not_listen() {
    let gateway = TestGateway::start(|_| {});
    let mut silent = TestClient::connect(gateway.public).await;
    silent.send("GET /livez HTTP/1.1\r\nhost:").await;
    let idle = TestClient::connect(gateway.public).await;
    gateway.until_metric("riverhead_http_connections", 3.0).await;
    let drain = tokio::spawn(gateway.signal.drain(Duration::from_millis(100)));
    within(DEADLINE, gateway.served).await.unwrap().unwrap();
    within(DEADLINE, drain).await.unwrap();
    drop((silent, idle));
}

on_both_sinks! {
    #[tokio::test]
    a_drain_keeps_accepting_until_its_end_and_closes_streams_oldest_first
    a_drain_waits_for_nobody_who_does_not_listen
}
