//! Clients that close, or send without end, while their stream is open.

use std::time::Duration;

use super::{OPEN, ended};
use crate::support::{
    gateway::{TestClient, TestGateway},
    on_both_sinks,
};

async fn a_client_that_closes_during_silence_is_gone_at_once() {
    let gateway = TestGateway::start(|settings| settings.heartbeat = Duration::from_secs(3600));
    let mut client = TestClient::stream(gateway.public, "/v2/stream/recentchange").await;
    client.until(":ok\n\n\r\n").await;
    gateway.until_metric(OPEN, 1.0).await;
    drop(client);
    gateway.until_metric(OPEN, 0.0).await;
    assert_eq!(gateway.metric(&ended("client_closed")).await, 1.0);
}

async fn a_client_that_pipelined_something_and_closed_is_gone_at_once() {
    let gateway = TestGateway::start(|settings| settings.heartbeat = Duration::from_secs(3600));
    let mut client = TestClient::stream(gateway.public, "/v2/stream/recentchange").await;
    client
        .send("GET /livez HTTP/1.1\r\nhost: test\r\n\r\nrubbish")
        .await;
    client.until(":ok\n\n\r\n").await;
    client.send("more rubbish").await;
    gateway.until_metric(OPEN, 1.0).await;
    drop(client);
    gateway.until_metric(OPEN, 0.0).await;
}

async fn a_client_that_sends_without_end_is_not_listened_to_without_end() {
    let gateway = TestGateway::start(|_| {});
    let mut client = TestClient::stream(gateway.public, "/v2/stream/recentchange").await;
    client.until(":ok\n\n\r\n").await;
    client.send(&"x".repeat(200_000)).await;
    gateway.until_metric(&ended("client_closed"), 1.0).await;
}

on_both_sinks! {
    #[tokio::test]
    a_client_that_closes_during_silence_is_gone_at_once
    a_client_that_pipelined_something_and_closed_is_gone_at_once
    a_client_that_sends_without_end_is_not_listened_to_without_end
}
