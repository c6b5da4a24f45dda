//! What counts against the limits of a client.

use http::StatusCode;
use riverhead::limits::settings::LimitSettings;

use super::{
    ADMITTED, Connection, STREAM, WAITING, gateway, limits, number,
    transport::{H2Gateway, on_both_transports},
};

async fn what_is_too_large_counts_as_a_request_of_its_client_too() {
    let limits = LimitSettings {
        requests_per_minute: number(1),
        request_burst: number(2),
        ..LimitSettings::default()
    };
    let long = format!("{STREAM}?x={}", "x".repeat(20_000));
    let (large, larger) = ("x".repeat(40_000), "x".repeat(120_000));
    let many: Vec<_> = (0..2000).map(|_| ("a", "b")).collect();
    let too_large = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
    for (target, headers, status) in [
        (STREAM, &[("x", &*large)][..], too_large),
        (STREAM, &[("x", &*larger)], too_large),
        (STREAM, &many, too_large),
        (&*long, &[], StatusCode::URI_TOO_LONG),
    ] {
        let gateway = gateway(limits.clone(), |_| {});
        let mut connection = Connection::to(&gateway).await;
        for expected in [status, status, StatusCode::TOO_MANY_REQUESTS] {
            let answer = connection.ask("GET", target, headers).await;
            assert_eq!(answer.status(), expected);
        }
    }
}

async fn streams_on_one_connection_count_one_by_one() {
    let gateway = gateway(limits(3), |_| {});
    let mut connection = Connection::to(&gateway).await;
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(connection.stream().await);
    }
    let refused = connection.ask("GET", STREAM, &[]).await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(refused.headers().contains_key("retry-after"));
    assert_eq!(gateway.metric(ADMITTED).await, 3.0);
    // A stream that is cancelled alone frees its slot, and the others continue.
    drop(held.pop());
    gateway.until_metric(ADMITTED, 2.0).await;
    held.push(connection.stream().await);
    drop((held, connection));
    gateway.until_metric(ADMITTED, 0.0).await;
}

async fn requests_on_one_connection_count_one_by_one() {
    let limits = LimitSettings {
        requests_per_minute: number(1),
        request_burst: number(5),
        ..LimitSettings::default()
    };
    let gateway = gateway(limits, |_| {});
    let mut connection = Connection::to(&gateway).await;
    for _ in 0..5 {
        assert_eq!(connection.ask("GET", "/", &[]).await.status(), StatusCode::OK);
    }
    let refused = connection.ask("GET", "/", &[]).await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
}

async fn behind_a_trusted_proxy_each_request_has_its_own_client() {
    let gateway = gateway(limits(1), |settings| {
        settings.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
    });
    let mut connection = Connection::to(&gateway).await;
    let mut held = Vec::new();
    for (client, status) in [
        ("198.51.100.1", 200),
        ("198.51.100.2", 200),
        ("198.51.100.1", 429),
    ] {
        let answer = connection
            .ask("GET", STREAM, &[("x-forwarded-for", client)])
            .await;
        assert_eq!(answer.status(), status, "{client}");
        held.push(answer);
    }
}

async fn a_connection_counts_as_one_without_a_stream_while_it_has_none() {
    let gateway = H2Gateway::start(|_| {});
    let mut connection = Connection::to(&gateway).await;
    gateway.until_metric(WAITING, 1.0).await;
    let (first, second) = (connection.stream().await, connection.stream().await);
    gateway.until_metric(WAITING, 0.0).await;
    drop(first);
    gateway.until_metric(ADMITTED, 1.0).await;
    assert_eq!(gateway.metric(WAITING).await, 0.0);
    drop(second);
    gateway.until_metric(WAITING, 1.0).await;
    drop(connection);
    gateway.until_metric(WAITING, 0.0).await;
}

on_both_transports! {
    what_is_too_large_counts_as_a_request_of_its_client_too
    streams_on_one_connection_count_one_by_one
    requests_on_one_connection_count_one_by_one
    behind_a_trusted_proxy_each_request_has_its_own_client
    a_connection_counts_as_one_without_a_stream_while_it_has_none
}
