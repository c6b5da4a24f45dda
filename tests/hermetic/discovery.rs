//! What `/v2/streams` tells, and that it asks Kafka for nothing itself.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use futures_util::future::BoxFuture;
use riverhead::{
    catalog::{Catalog, Stream},
    client::ClientKey,
    encoding::Payload,
    partition::{Bounds, History, HistoryError, LogDirectory, Page, PartitionLog, TopicPartition},
    position::{LogTag, Offset, Timestamp},
    subscription::LogSource,
};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::support::{
    gateway::{DEADLINE, TestClient, TestGateway, TestResponse, get},
    model::{ModelFixture, TOPIC},
};

/// Asks with HTTP/1.0, which has no chunks.
async fn ask(gateway: &TestGateway, method: &str, target: &str) -> TestResponse {
    let mut client = TestClient::connect(gateway.public).await;
    client
        .send(&format!("{method} {target} HTTP/1.0\r\nhost: test\r\n\r\n"))
        .await;
    client.answer().await
}

/// Asks for all streams until the answer is as wanted.
async fn until(gateway: &TestGateway, is_it: impl Fn(&Value) -> bool) -> Value {
    let start = Instant::now();
    loop {
        let list = ask(gateway, "GET", "/v2/streams").await.json();
        if is_it(&list) {
            return list;
        }
        assert!(start.elapsed() < DEADLINE, "{list:#}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// Returns a stream of the topic of a model, and one of a topic that nobody has.
fn catalog() -> Catalog {
    let mut edits = Stream::new("Edits", [TOPIC]);
    edits.aliases = vec!["mediawiki.edits".into()];
    edits.description = "Edits of \"every\" wiki".into();
    edits.filter_fields = vec!["wiki".into()];
    edits.schema = Some("schemas/edits.json".into());
    let mut raw = Stream::new("raw", ["nowhere"]);
    raw.encoding.payload = Payload::Raw;
    Catalog::new(vec![edits, raw]).unwrap()
}

#[tokio::test]
async fn a_list_says_where_every_partition_begins_and_ends() {
    let fixture = ModelFixture::new(2);
    fixture.write(0, 5);
    fixture.write(1, 2);
    fixture.expire(0, 40);
    let gateway = TestGateway::over(catalog(), fixture.source.clone(), |_| {});
    let list = ask(&gateway, "GET", "/v2/streams").await;
    assert_eq!(list.status, 200);
    assert_eq!(
        list.header("content-type"),
        Some("application/json; charset=utf-8")
    );
    assert_eq!(list.header("cache-control"), Some("public, max-age=2"));
    assert_eq!(list.header("access-control-allow-origin"), Some("*"));
    let times: Vec<_> = {
        let brokers = fixture.model.lock();
        let times = |it: usize| {
            let records = &brokers.partitions[it].records;
            [records[0].time, records[records.len() - 1].time]
        };
        [times(0), times(1)].concat()
    };
    let nothing_yet = json!({"minute": null, "hour": null});
    let edits = json!({
        "name": "Edits",
        "uri": "/v2/stream/Edits",
        "description": "Edits of \"every\" wiki",
        "aliases": ["mediawiki.edits"],
        "topics": [{"name": TOPIC, "partitions": [
            {
                "partition": 0,
                "earliest": {"offset": 2, "timestamp": times[0]},
                "latest": {"offset": 5, "timestamp": times[1]},
            },
            {
                "partition": 1,
                "earliest": {"offset": 0, "timestamp": times[2]},
                "latest": {"offset": 2, "timestamp": times[3]},
            },
        ]}],
        "payload": "json",
        "schema": "schemas/edits.json",
        "access": "public",
        "filter_fields": ["wiki"],
        "rate": nothing_yet,
    });
    let raw = json!({
        "name": "raw",
        "uri": "/v2/stream/raw",
        "description": "",
        "aliases": [],
        "topics": [{"name": "nowhere", "partitions": []}],
        "payload": "raw",
        "schema": null,
        "access": "public",
        "filter_fields": [],
        "rate": nothing_yet,
    });
    assert_eq!(list.json(), json!({"streams": [edits, raw]}));
    for target in [
        "/v2/streams/Edits",
        "/V2/Streams/Edits/",
        "/v2/streams/mediawiki.edits",
        "/v2/streams/%45dits?x=1",
    ] {
        assert_eq!(ask(&gateway, "GET", target).await.json(), edits, "{target}");
    }
    assert_eq!(ask(&gateway, "GET", "/v2/streams/raw").await.json(), raw);
}

#[tokio::test]
async fn an_unknown_stream_is_a_404_and_methods_are_as_everywhere() {
    let gateway = TestGateway::over(catalog(), ModelFixture::new(1).source, |_| {});
    for name in ["edits", "nope", "Edits,raw", "Edits,Edits", "Edits,", "", "%2C"] {
        let target = format!("/v2/streams/{name}");
        let answer = ask(&gateway, "GET", &target).await;
        match name {
            // The list itself.
            "" => assert_eq!(answer.status, 200),
            _ => {
                assert_eq!(
                    (answer.status, &answer.json()["type"]),
                    (404, &"not_found".into())
                );
                assert_eq!(answer.json()["title"], "Stream Not Found", "{name}");
                assert_eq!(answer.json()["uri"], target);
            }
        }
    }
    assert_eq!(ask(&gateway, "GET", "/v2/streams/%ZZ").await.status, 400);
    assert_eq!(ask(&gateway, "GET", "/v2/streams/Edits/raw").await.status, 404);
    for target in ["/v2/streams", "/v2/streams/Edits"] {
        let head = ask(&gateway, "HEAD", target).await;
        assert_eq!((head.status, &*head.body), (200, ""), "{target}");
        assert_eq!(head.header("cache-control"), Some("public, max-age=2"));
        let options = ask(&gateway, "OPTIONS", target).await;
        assert_eq!((options.status, options.header("allow")), (200, Some("GET,HEAD")));
        assert_eq!(ask(&gateway, "POST", target).await.status, 405, "{target}");
    }
    let mut client = TestClient::connect(gateway.public).await;
    client
        .send("HEAD /v2/streams/nope HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n")
        .await;
    let all = client.rest().await;
    assert!(
        all.starts_with("HTTP/1.1 404 ") && all.ends_with("\r\n\r\n"),
        "{all}"
    );
}

#[tokio::test]
async fn over_http_1_1_a_list_comes_in_chunks_and_the_connection_goes_on() {
    let gateway = TestGateway::over(catalog(), ModelFixture::new(1).source, |_| {});
    let mut client = TestClient::connect(gateway.public).await;
    for target in ["/v2/streams", "/v2/streams/raw", "/v2/streams"] {
        client
            .send(&format!("GET {target} HTTP/1.1\r\nhost: test\r\n\r\n"))
            .await;
        let head = client.head().await;
        assert!(head.contains("\r\ntransfer-encoding: chunked\r\n"), "{head}");
        let mut text = String::new();
        loop {
            let chunk = client.chunk().await;
            if chunk.is_empty() {
                break;
            }
            text += &chunk;
        }
        let document: Value = serde_json::from_str(&text).unwrap();
        let is_list = document["streams"].as_array().map(Vec::len) == Some(2);
        assert!(is_list || document["name"] == "raw", "{text}");
    }
}

#[tokio::test]
async fn a_gateway_without_a_stream_that_the_asker_may_read_has_an_empty_list() {
    let gateway = TestGateway::over(Catalog::default(), ModelFixture::new(1).source, |_| {});
    let list = ask(&gateway, "GET", "/v2/streams").await;
    assert_eq!(list.body, r#"{"streams":[]}"#);
}

#[tokio::test]
async fn an_answer_stands_for_seconds_and_then_shows_what_came() {
    let fixture = ModelFixture::new(1);
    fixture.write(0, 3);
    let gateway = TestGateway::of(&fixture, |_| {});
    let latest = |list: &Value| list["streams"][0]["topics"][0]["partitions"][0]["latest"]["offset"].clone();
    let begin = Instant::now();
    let before = ask(&gateway, "GET", "/v2/streams").await.body;
    fixture.write(0, 1);
    let after = ask(&gateway, "GET", "/v2/streams").await.body;
    if begin.elapsed() < Duration::from_secs(2) {
        assert_eq!(before, after);
    }
    until(&gateway, |list| latest(list) == 4).await;
    let one = ask(&gateway, "GET", "/v2/streams/edits").await.json();
    assert_eq!(one["topics"][0]["partitions"][0]["latest"]["offset"], 4);
}

#[tokio::test]
async fn times_that_no_memory_has_are_asked_for_and_come_later() {
    let fixture = ModelFixture::new(2);
    for partition in 0..2 {
        fixture.model.lock().produce(partition, 30);
        // The tail begins at the end, as after a start.
        fixture.tail_lags(partition);
    }
    let gateway = TestGateway::of(&fixture, |_| {});
    let all_known = |list: &Value| {
        let partitions = list["streams"][0]["topics"][0]["partitions"].as_array().unwrap();
        let known = |edge: &Value| edge["timestamp"].is_i64();
        partitions
            .iter()
            .all(|it| known(&it["earliest"]) && known(&it["latest"]))
    };
    let list = until(&gateway, all_known).await;
    let brokers = fixture.model.lock();
    for (number, partition) in brokers.partitions.iter().enumerate() {
        let shown = &list["streams"][0]["topics"][0]["partitions"][number];
        assert_eq!(shown["earliest"]["timestamp"], partition.records[0].time);
        assert_eq!(shown["latest"]["timestamp"], partition.records[29].time);
        assert_eq!(shown["latest"]["offset"], partition.end);
    }
}

/// A history that counts what it is asked and answers that nothing can be read.
#[derive(Default)]
struct CountingHistory(AtomicUsize);

impl History for CountingHistory {
    fn page(
        &self,
        _: &Arc<PartitionLog>,
        _: Offset,
        _: ClientKey,
    ) -> BoxFuture<'static, Result<Arc<Page>, HistoryError>> {
        self.0.fetch_add(1, SeqCst);
        Box::pin(std::future::ready(Err(HistoryError::Unavailable)))
    }

    fn bounds(&self, _: &Arc<PartitionLog>) -> BoxFuture<'static, Result<Bounds, HistoryError>> {
        self.0.fetch_add(1, SeqCst);
        Box::pin(std::future::ready(Err(HistoryError::Unavailable)))
    }

    fn first_at(
        &self,
        _: &Arc<PartitionLog>,
        _: Timestamp,
        _: ClientKey,
    ) -> BoxFuture<'static, Result<Option<Offset>, HistoryError>> {
        self.0.fetch_add(1, SeqCst);
        Box::pin(std::future::ready(Err(HistoryError::Unavailable)))
    }
}

#[tokio::test]
async fn many_who_ask_while_no_broker_answers_are_no_load_for_the_brokers() {
    let directory = LogDirectory::new();
    for partition in 0..100 {
        let name = TopicPartition {
            topic: "topic".into(),
            partition,
        };
        let tag = LogTag::new("cluster", &[1; 16]);
        directory.put(PartitionLog::new(name, tag, Default::default(), 1000));
    }
    let history = Arc::new(CountingHistory::default());
    let source = LogSource {
        directory,
        history: Arc::clone(&history) as _,
    };
    let streams = Catalog::new(vec![Stream::new("stream", ["topic"])]).unwrap();
    let gateway = TestGateway::over(streams, source, |_| {});
    let begin = Instant::now();
    for _ in 0..200 {
        assert_eq!(get(gateway.public, "/v2/streams", "").await.status, 200);
    }
    let most = 2 + 2 * begin.elapsed().as_secs() as usize;
    let asked = history.0.load(SeqCst);
    assert!(asked <= most, "{asked} questions in {:?}", begin.elapsed());
}
