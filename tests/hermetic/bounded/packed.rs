//! Compression of a bounded read: history is packed, and not only stored.

use std::{fmt::Write, io::Read};

use flate2::read::GzDecoder;
use riverhead::{
    event::{Headers, Record},
    partition::PageBuilder,
    sse::{SseMessage, SseReader},
};

use crate::support::{
    gateway::{TestClient, TestGateway},
    model::ModelFixture,
};

/// Adds records that look like those of a wiki, directly to the log's ring.
fn write(fixture: &ModelFixture, records: i64) {
    let log = fixture.source.directory.get("edits", 0).unwrap();
    let from = log.next();
    let mut page = PageBuilder::new(from, log.encoding());
    for offset in from..from + records {
        let mut value = format!(
            r#"{{"title":"Page {offset}","user":"Editor {}","comment":""#,
            offset * 7919 % 1000
        );
        for word in 0..60 {
            write!(value, "word{} ", (offset * 31 + word * 17) % 500).unwrap();
        }
        value += "\"}";
        let record = Record {
            offset,
            timestamp: offset,
            epoch: 0,
            key: None,
            headers: Headers::default(),
            value: Some(value.as_bytes()),
            canary: false,
        };
        page.push(&record).unwrap();
    }
    log.append(page.finish(from + records));
    let mut brokers = fixture.model.lock();
    brokers.partitions[0].end = from + records;
}

/// Reads to the end. Returns the messages, and the bytes before and after compression.
async fn read(gateway: &TestGateway, query: &str) -> (Vec<SseMessage>, usize, usize) {
    let target = format!("/v2/stream/edits?encoding=gzip&{query}");
    let start = "last-event-id: [{\"topic\":\"edits\",\"partition\":0,\"offset\":-2}]\r\n";
    let mut client = TestClient::ask(gateway.public, &target, start).await;
    let head = client.head().await;
    assert!(head.contains("\r\ncontent-encoding: gzip\r\n"), "{head}");
    let mut wire = Vec::new();
    loop {
        let chunk = client.chunk_bytes().await;
        if chunk.is_empty() {
            break;
        }
        wire.extend(chunk);
    }
    let mut plain = Vec::new();
    // The decoder checks the checksum at the end too.
    GzDecoder::new(&*wire).read_to_end(&mut plain).unwrap();
    let mut reader = SseReader::new(1 << 20);
    reader.push(&plain).unwrap();
    let messages = std::iter::from_fn(|| reader.next_message()).collect();
    (messages, plain.len(), wire.len())
}

#[tokio::test]
async fn history_is_packed_for_each_who_reads_to_an_end() {
    let fixture = ModelFixture::new(1);
    for _ in 0..20 {
        write(&fixture, 100);
    }
    let gateway = TestGateway::of(&fixture, |_| {});
    let reads = (0..6).map(|_| read(&gateway, "limit=1500"));
    for (messages, plain, wire) in futures_util::future::join_all(reads).await {
        assert_eq!(messages.len(), 1_501);
        assert_eq!(messages[1_500].event, "end");
        let ids: Vec<_> = messages.iter().map(|it| it.id.as_deref().unwrap()).collect();
        assert!((0..1_500).all(|n| ids[n].contains(&format!(r#""offset":{},"#, n + 1))));
        assert!(wire * 3 < plain, "{plain} bytes became {wire}");
    }
    let (messages, ..) = read(&gateway, "until=now").await;
    assert_eq!(messages.len(), 2_001);
    // The packers at rest are all that is left.
    drop(messages);
    assert!(
        gateway.lanes.bytes() <= 384 * 1024 * 8,
        "{}",
        gateway.lanes.bytes()
    );
}
