//! Checkpoints: where a client without an event stands.

use std::time::Duration;

use riverhead::sse::SseReader;
use tokio::time::timeout;

use super::{PATH, Reading, fixture, sorted, write};
use crate::support::{
    gateway::{DEADLINE, TestClient, TestGateway, get},
    model::TOPIC,
    on_both_sinks,
};

/// The headers of a browser's `EventSource`.
const BROWSER: &str = "accept: text/event-stream\r\nsec-fetch-dest: empty\r\nsec-fetch-mode: cors\r\ncache-control: no-cache\r\n";

async fn a_client_cut_before_its_first_event_goes_on_where_its_checkpoint_says() {
    let fixture = fixture();
    let gateway = TestGateway::of(&fixture, |_| {});
    for form in ["", "&id=compact"] {
        let target = format!("{PATH}?checkpoint=1s{form}");
        // The first client is alone. The second one finds a lane, or opens it.
        let mut readings = [
            Reading::start(&gateway, &target, "").await,
            Reading::start(&gateway, &target, "").await,
        ];
        let mut ids = Vec::new();
        for reading in &mut readings {
            let message = reading.next().await.expect("a checkpoint");
            assert_eq!(
                (&*message.event, &*message.data),
                ("checkpoint", r#"{"skipped":0}"#)
            );
            ids.push(message.id.expect("an id"));
        }
        let first = fixture.model.lock().n + 1;
        write(&fixture, 5);
        for id in ids {
            let (numbers, _) = Reading::start(&gateway, PATH, &id).await.take(10).await;
            assert_eq!(sorted(numbers), (first..first + 10).collect::<Vec<_>>());
        }
        for reading in &mut readings {
            reading.take(10).await;
        }
    }
}

async fn a_client_cut_by_a_restart_before_its_first_event_goes_on_where_it_was() {
    let fixture = fixture();
    let gateway = TestGateway::of(&fixture, |_| {});
    let mut client = TestClient::ask(gateway.public, PATH, BROWSER).await;
    client.head().await;
    assert_eq!(client.chunk().await, ":ok\n\n");
    gateway.until_metric("riverhead_streams_held", 0.0).await;
    timeout(DEADLINE, gateway.signal.drain(Duration::ZERO))
        .await
        .unwrap();
    let mut reader = SseReader::new(1024);
    reader.push(client.chunk().await.as_bytes()).unwrap();
    let message = reader.next_message().expect("a checkpoint");
    assert_eq!(message.event, "checkpoint");
    assert_eq!(client.chunk().await, "");
    write(&fixture, 5);
    let successor = TestGateway::of(&fixture, |_| {});
    let id = message.id.expect("an id");
    let (numbers, _) = Reading::start(&successor, PATH, &id).await.take(10).await;
    assert_eq!(sorted(numbers), (41..=50).collect::<Vec<_>>());
}

async fn nobody_else_is_told_where_it_stands() {
    let fixture = fixture();
    let gateway = TestGateway::of(&fixture, |settings| {
        settings.heartbeat = Duration::from_millis(400)
    });
    let without = |header: &str| {
        let lines = BROWSER.split_inclusive("\r\n");
        lines.filter(|line| !line.starts_with(header)).collect::<String>()
    };
    let start = fixture.model.lock().clock;
    for (target, headers) in [
        (PATH.to_owned(), String::new()),
        (PATH.to_owned(), without("accept")),
        (PATH.to_owned(), without("sec-fetch-dest")),
        // A client that has a position requests it again.
        (format!("{PATH}?checkpoint=1s&since={}", start + 1), String::new()),
        (
            format!("{PATH}?checkpoint=1s"),
            format!("last-event-id: [\"{TOPIC}\"]\r\n"),
        ),
    ] {
        let mut client = TestClient::ask(gateway.public, &target, &headers).await;
        client.head().await;
        assert_eq!(client.chunk().await, ":ok\n\n");
        let heartbeats = [client.chunk().await, client.chunk().await, client.chunk().await];
        assert_eq!(heartbeats, [":\n"; 3], "{target} {headers}");
    }
}

async fn a_checkpoint_that_cannot_be_is_refused() {
    let fixture = fixture();
    let gateway = TestGateway::of(&fixture, |_| {});
    for value in ["", "0s", "2h", "10", "soon", "1s&checkpoint=1s"] {
        let answer = get(gateway.public, &format!("{PATH}?checkpoint={value}"), "").await;
        assert_eq!(answer.status, 400, "{value}: {answer:?}");
        assert!(answer.body.contains("'checkpoint'"), "{answer:?}");
    }
    let json = "accept: application/json\r\n";
    let answer = get(gateway.public, &format!("{PATH}?checkpoint=10s"), json).await;
    assert_eq!(answer.status, 400, "{answer:?}");
}

on_both_sinks! {
    #[tokio::test]
    a_client_cut_before_its_first_event_goes_on_where_its_checkpoint_says
    a_client_cut_by_a_restart_before_its_first_event_goes_on_where_it_was
    nobody_else_is_told_where_it_stands
    a_checkpoint_that_cannot_be_is_refused
}
