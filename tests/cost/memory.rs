//! The memory of a stream that was opened with the largest id of partitions that are gone.

use riverhead::position::{IdForm, IdWriter, PartitionPosition};

use crate::support::{
    gateway::{TestClient, TestGateway},
    memory::resident,
    model::{ModelFixture, TOPIC},
};

/// The most bytes that one stream may hold after its first batch: as much as one batch.
const MOST: usize = 64 * 1024;

/// The number of streams that are measured together.
const STREAMS: usize = 250;

#[tokio::test]
async fn a_stream_holds_little_once_it_was_told_of_a_thousand_places_that_are_gone() {
    let _alone = crate::ALONE.lock().await;
    let fixture = ModelFixture::new(6);
    let gateway = TestGateway::of(&fixture, |_| {});
    let entries = (0..1024).map(|partition| (TOPIC.into(), partition, PartitionPosition::Earliest));
    let mut id = Vec::new();
    IdWriter::new(IdForm::Compact, entries).write(&mut id);
    let id = format!("last-event-id: {}\r\n", String::from_utf8(id).unwrap());
    let mut held = Vec::new();
    // Without the first stream, which creates pages that all streams share.
    for _ in 0..20 {
        held.push(told_of_the_gap(&gateway, &id).await);
    }
    let before = resident();
    for _ in 0..STREAMS {
        held.push(told_of_the_gap(&gateway, &id).await);
    }
    let each = resident().saturating_sub(before) / STREAMS;
    assert!(each <= MOST, "{each} bytes a stream");
}

/// Returns a client that has read its first batch.
async fn told_of_the_gap(gateway: &TestGateway, id: &str) -> TestClient {
    let mut client = TestClient::ask(gateway.public, "/v2/stream/edits", id).await;
    client.head().await;
    let mut batch = client.chunk().await;
    while !batch.contains("partition_gone") {
        batch = client.chunk().await;
    }
    assert!(batch.len() <= MOST, "{} bytes", batch.len());
    client
}
