//! Streams on connections that have others.

use std::time::Duration;

use http::StatusCode;
use http_body_util::BodyExt;
use hyper::client::conn::http2;
use hyper_util::rt::TokioExecutor;
use riverhead::sse::SseReader;
use tokio::time::timeout;

use super::{
    ADMITTED, Connection, STREAM, full, more, text,
    transport::{H2Gateway, on_both_transports},
};
use crate::support::{gateway::DEADLINE, model::number};

async fn a_stream_begins_as_it_does_on_http_1() {
    let gateway = H2Gateway::start(|settings| settings.heartbeat = Duration::from_millis(50));
    let mut connection = Connection::to(&gateway).await;
    let mut answer = connection.stream().await;
    for (name, value) in [
        ("content-type", "text/event-stream; charset=utf-8"),
        ("cache-control", "no-cache, no-transform"),
        ("x-accel-buffering", "no"),
        ("access-control-allow-origin", "*"),
    ] {
        assert_eq!(answer.headers()[name], value);
    }
    assert_eq!(more(&mut answer).await.unwrap(), ":ok\n\n");
    for _ in 0..3 {
        assert_eq!(more(&mut answer).await.unwrap(), ":\n");
    }
}

async fn events_arrive_whole_through_the_same_delivery() {
    let gateway = full(2_000);
    let mut connection = Connection::to(&gateway).await;
    let all = r#"[{"topic":"edits","partition":0,"offset":-2},{"topic":"edits","partition":1,"offset":-2}]"#;
    let mut answer = connection
        .ask("GET", "/v2/stream/edits", &[("last-event-id", all)])
        .await;
    let (mut reader, mut numbers) = (SseReader::new(1 << 20), Vec::new());
    while numbers.len() < 4_000 {
        reader.push(&more(&mut answer).await.unwrap()).unwrap();
        while let Some(message) = reader.next_message() {
            numbers.push(number(&message.data));
        }
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=4_000).collect::<Vec<_>>());
}

async fn a_head_has_no_body_and_begins_no_stream() {
    let gateway = H2Gateway::start(|_| {});
    let mut connection = Connection::to(&gateway).await;
    let answer = connection.ask("HEAD", STREAM, &[]).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(!answer.headers().contains_key("content-length"));
    assert_eq!(text(answer).await, "");
    let answer = connection.ask("OPTIONS", STREAM, &[]).await;
    assert_eq!(answer.headers()["allow"], "GET,HEAD");
    assert_eq!(gateway.metric(ADMITTED).await, 0.0);
}

async fn a_stream_whose_client_does_not_read_is_reset_and_its_neighbour_goes_on() {
    let gateway = full(20_000);
    let mut builder = http2::Builder::new(TokioExecutor::new());
    let builder = builder
        .initial_stream_window_size(64 * 1024)
        .initial_connection_window_size(4 * 1024 * 1024);
    let mut connection = Connection::with(&gateway, builder).await;
    let all = r#"[{"topic":"edits","partition":0,"offset":-2},{"topic":"edits","partition":1,"offset":-2}]"#;
    let unread = connection
        .ask("GET", "/v2/stream/edits", &[("last-event-id", all)])
        .await;
    let mut read = connection.ask("GET", "/v2/stream/edits", &[]).await;
    let stalled = "riverhead_streams_ended_total{stream=\"edits\",reason=\"stalled\"}";
    let reading = async {
        while gateway.metric(stalled).await == 0.0 {
            assert!(more(&mut read).await.is_some());
        }
    };
    timeout(DEADLINE, reading).await.unwrap();
    assert_eq!(more(&mut read).await.unwrap(), ":\n");
    let end = timeout(DEADLINE, unread.into_body().collect()).await.unwrap();
    assert!(end.is_err(), "a reset, and not an end");
    assert_eq!(gateway.metric(ADMITTED).await, 1.0);
}

async fn a_drain_ends_streams_whole_and_says_goodbye() {
    let gateway = H2Gateway::start(|_| {});
    let mut connection = Connection::to(&gateway).await;
    let mut answer = connection.stream().await;
    assert_eq!(more(&mut answer).await.unwrap(), ":ok\n\n");
    let gateway = gateway.into_inner();
    let drain = tokio::spawn(gateway.signal.drain(Duration::from_millis(200)));
    assert_eq!(text(answer).await, "", "an end, and not a reset");
    timeout(DEADLINE, connection.driver)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    timeout(DEADLINE, drain).await.unwrap().unwrap();
    timeout(DEADLINE, gateway.served).await.unwrap().unwrap().unwrap();
}

on_both_transports! {
    a_stream_begins_as_it_does_on_http_1
    events_arrive_whole_through_the_same_delivery
    a_head_has_no_body_and_begins_no_stream
    a_stream_whose_client_does_not_read_is_reset_and_its_neighbour_goes_on
    a_drain_ends_streams_whole_and_says_goodbye
}
