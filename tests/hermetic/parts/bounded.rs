//! Reads with an end of a part of a stream.

use riverhead::sse::{SseMessage, SseReader};
use serde_json::Value;

use super::{
    cluster::Cluster,
    group::owner,
    requests::{escaped, six},
};
use crate::support::gateway::{TestClient, TestGateway};

/// Reads to the end of the body. Returns the status and the events.
async fn read(gateway: &TestGateway, query: &str, id: Option<&str>) -> (u16, Vec<SseMessage>) {
    let id = id
        .map(|id| format!("last-event-id: {id}\r\n"))
        .unwrap_or_default();
    let mut client = TestClient::ask(gateway.public, &format!("/v2/stream/all?{query}"), &id).await;
    let head = client.head().await;
    let status = head[9..12].parse().unwrap();
    let mut reader = SseReader::new(1 << 20);
    if status == 200 {
        loop {
            let chunk = client.chunk_bytes().await;
            if chunk.is_empty() {
                break;
            }
            reader.push(&chunk).unwrap();
        }
    }
    (status, std::iter::from_fn(|| reader.next_message()).collect())
}

/// Returns the partitions of the events, and the end, which must be the last.
fn split(mut messages: Vec<SseMessage>) -> (Vec<i64>, SseMessage) {
    let end = messages.pop().expect("an end");
    assert_eq!(end.event, "end", "{end:?}");
    let partition = |message: &SseMessage| {
        assert_eq!(message.event, "message");
        serde_json::from_str::<Value>(&message.data).unwrap()["p"]
            .as_i64()
            .unwrap()
    };
    (messages.iter().map(partition).collect(), end)
}

#[tokio::test]
async fn the_shares_of_a_read_with_an_end_are_all_of_it_and_each_end_is_known_again() {
    let (_cluster, gateway) = six();
    for form in ["json", "compact"] {
        let mut all = Vec::new();
        for share in 1..=4 {
            let bounds = format!("partitions={share}/4&until=now&id={form}");
            let (status, messages) = read(&gateway, &format!("since=0&{bounds}"), None).await;
            assert_eq!(status, 200);
            let (partitions, end) = split(messages);
            assert!(partitions.iter().all(|it| owner("a", *it as i32, 4) == share));
            all.extend(partitions);
            let id = end.id.expect("an id");
            assert_eq!(read(&gateway, &bounds, Some(&id)).await, (204, vec![]), "{id}");
            // It goes on behind the end, where nothing is.
            let (status, messages) = read(&gateway, &format!("{bounds}&from={}", escaped(&id)), None).await;
            let (partitions, again) = split(messages);
            assert_eq!((status, partitions), (200, vec![]));
            let bounds = format!("{bounds}&from={}", escaped(&id));
            assert_eq!(read(&gateway, &bounds, again.id.as_deref()).await, (204, vec![]));
            // Of another share it is neither a start nor an end.
            let other = format!("partitions={}/4&limit=1", share % 4 + 1);
            assert_eq!(read(&gateway, &other, Some(&id)).await.0, 409);
            let until = format!("since=0&partitions={}/4&until={}", share % 4 + 1, escaped(&id));
            assert_eq!(read(&gateway, &until, None).await.0, 409);
        }
        all.sort_unstable();
        assert_eq!(all, [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5], "{form}");
    }
}

#[tokio::test]
async fn the_end_of_the_only_share_is_known_again() {
    let (_cluster, gateway) = six();
    for form in ["json", "compact"] {
        let bounds = format!("partitions=1/1&until=now&id={form}");
        let (_, messages) = read(&gateway, &format!("since=0&{bounds}"), None).await;
        let (partitions, end) = split(messages);
        assert_eq!(partitions.len(), 12);
        assert_eq!(read(&gateway, &bounds, end.id.as_deref()).await, (204, vec![]));
    }
}

#[tokio::test]
async fn a_share_that_goes_on_from_the_id_of_all_ends_once() {
    let (cluster, gateway) = six();
    let (_, messages) = read(&gateway, "since=0&until=now", None).await;
    let from = escaped(&split(messages).1.id.expect("an id"));
    (0..6).for_each(|partition| cluster.write(0, partition, 1));
    let mut all = Vec::new();
    for share in 1..=3 {
        let bounds = format!("partitions={share}/3&until=now&from={from}");
        let (_, messages) = read(&gateway, &bounds, None).await;
        let (partitions, end) = split(messages);
        all.extend(partitions);
        assert_eq!(
            read(&gateway, &bounds, end.id.as_deref()).await,
            (204, vec![]),
            "{end:?}"
        );
    }
    all.sort_unstable();
    assert_eq!(all, [0, 1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn a_share_without_a_partition_ends_at_once() {
    let cluster = Cluster::new([1, 0, 0]);
    cluster.write(0, 0, 2);
    let gateway = TestGateway::over(Cluster::catalog(), cluster.source.clone(), |_| {});
    let share = owner("a", 0, 3) % 3 + 1;
    for bound in ["until=now", "until=1000"] {
        let (status, messages) = read(&gateway, &format!("since=0&partitions={share}/3&{bound}"), None).await;
        let (partitions, end) = split(messages);
        assert_eq!((status, partitions), (200, vec![]));
        assert!(end.data.contains("\"events\":0"), "{end:?}");
    }
}

#[tokio::test]
async fn joined_ends_of_shares_are_where_a_new_reader_begins() {
    let (cluster, gateway) = six();
    let mut ends = Vec::new();
    for share in ["1/2", "2/2"] {
        let (_, messages) = read(&gateway, &format!("since=0&partitions={share}&until=now"), None).await;
        ends.push(split(messages).1.id.expect("an id"));
    }
    cluster.write(0, 3, 1);
    let joined = format!(
        "[{},{}]",
        &ends[0][1..ends[0].len() - 1],
        &ends[1][1..ends[1].len() - 1]
    );
    let (status, messages) = read(&gateway, "limit=1", Some(&joined)).await;
    assert_eq!((status, split(messages).0), (200, vec![3]));
}

#[tokio::test]
async fn a_read_with_an_end_sends_only_the_fields_that_were_asked_for() {
    let (_cluster, gateway) = six();
    for coding in ["", "&id=compact"] {
        let (status, messages) = read(&gateway, &format!("since=0&limit=3&fields=p{coding}"), None).await;
        assert_eq!((status, messages.len()), (200, 4));
        for message in &messages[..3] {
            let value: Value = serde_json::from_str(&message.data).unwrap();
            assert_eq!(value.as_object().unwrap().keys().collect::<Vec<_>>(), ["p"]);
        }
        assert!(messages[3].data.contains("\"events\":3"), "{:?}", messages[3]);
    }
}
