//! The test cases of KafkaSSE, the library that EventStreams reads Kafka with, against a gateway with `annotate`: by the members of
//! `meta` clients tell where an event comes from.
//!
//! Not here: its cases of functions that are passed to it as code, other than a filter, and of a server whose topics are none.

use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use riverhead_brokers::{Producer, RawRecord, SharedCluster, shared};
use riverhead_loadtest::{
    client::{Ask, Client},
    gateway::Gateway,
};
use serde_json::{Value, json};

use crate::following::{follow_stream, next, plan, start};

/// A topic with one record, one with two, one whose first record is no JSON, and one that a test writes to. Each is a stream.
const TOPICS: [&str; 4] = ["reference-one", "reference-two", "reference-bad", "reference-new"];

const VALUES: [&[&str]; 4] = [
    &[r#"{"id":1}"#],
    &[r#"{"id":1}"#, r#"{"id":2}"#],
    &["no JSON!", r#"{"id":3}"#],
    &[r#"{"id":1}"#, r#"{"id":2}"#],
];

const SOON: Duration = Duration::from_secs(60);

/// An event by its `meta`: topic and offset.
type Place = (&'static str, i64);

fn write(producer: &mut Producer, value: &str) {
    producer.send_raw(&RawRecord {
        key: Some(b"key"),
        value: Some(value.as_bytes()),
        ..RawRecord::default()
    });
}

fn set_up() -> (SharedCluster, Gateway) {
    let brokers = shared();
    for (topic, values) in TOPICS.into_iter().zip(VALUES) {
        brokers.create_topic(topic, 1);
        let mut producer = brokers.producer(topic).start();
        values.iter().for_each(|value| write(&mut producer, value));
    }
    let streams =
        TOPICS.map(|topic| format!("{{ name = \"{topic}\", topics = [\"{topic}\"], annotate = true }}"));
    let plan = plan(&brokers, &TOPICS).set("RIVERHEAD__STREAMS", &format!("[{}]", streams.join(",")));
    let gateway = start(&plan);
    gateway.wait_for_partitions(TOPICS.len(), SOON);
    (brokers, gateway)
}

/// Returns the place of an event, whose key and partition must be right.
fn place(data: &str) -> Place {
    let meta = serde_json::from_str::<Value>(data).expect("JSON")["meta"].take();
    assert_eq!((&meta["partition"], &meta["key"]), (&json!(0), &json!("key")));
    let topic = TOPICS.into_iter().find(|topic| meta["topic"] == *topic);
    (
        topic.expect("a topic"),
        meta["offset"].as_i64().expect("an offset"),
    )
}

/// Returns the places of the next events of a client, as many as these are.
async fn places(client: &mut Client, count: usize) -> BTreeSet<Place> {
    let mut places = BTreeSet::new();
    while places.len() < count {
        let message = next(client).await;
        assert_eq!(message.event, "message", "{message:?}");
        assert!(places.insert(place(&message.data)), "{message:?} came twice");
    }
    places
}

/// Asserts that who asks with this id is given exactly these events first.
async fn consumes(gateway: &Gateway, target: &str, id: &Value, expected: &[Place]) {
    let mut client = follow_stream(gateway, target, Some(&id.to_string())).await;
    let places = places(&mut client, expected.len()).await;
    assert_eq!(places, expected.iter().copied().collect(), "{target}");
}

fn at(topic: &str, offset: i64) -> Value {
    json!({"topic": topic, "partition": 0, "offset": offset})
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real brokers: ./tests/run"]
async fn the_cases_of_the_reference_library_hold_with_annotate() {
    let (brokers, gateway) = set_up();
    let [one, two, bad, new] = TOPICS;
    let client = follow_stream(&gateway, one, None).await;
    let head = client.head.to_ascii_lowercase();
    assert!(head.contains("transfer-encoding: chunked"), "{head}");

    consumes(&gateway, one, &json!([at(one, 0)]), &[(one, 0)]).await;
    consumes(&gateway, two, &json!([at(two, 0)]), &[(two, 0), (two, 1)]).await;
    let both = format!("{one},{two}");
    let all = [(one, 0), (two, 0), (two, 1)];
    consumes(&gateway, &both, &json!([at(one, 0), at(two, 0)]), &all).await;
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time") - Duration::from_secs(600);
    let then = |topic| json!({"topic": topic, "partition": 0, "timestamp": since.as_millis() as u64});
    consumes(&gateway, &both, &json!([then(one), then(two)]), &all).await;
    consumes(&gateway, bad, &json!([at(bad, 0)]), &[(bad, 1)]).await;
    // Its filter is a function of the server.
    let filtered = format!("{two}?filter=id%20%3D%202");
    consumes(&gateway, &filtered, &json!([at(two, 0)]), &[(two, 1)]).await;

    // An offset behind the end: what is new.
    let mut late = follow_stream(&gateway, new, Some(&json!([at(new, 99_999_999_999)]).to_string())).await;
    assert_eq!(next(&mut late).await.event, "gap");
    write(&mut brokers.producer(new).start(), r#"{"a":"new"}"#);
    assert_eq!(places(&mut late, 1).await, [(new, 2)].into());
}

/// For a stream that is not there EventStreams answers 400, and the library by itself 404.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real brokers: ./tests/run"]
async fn what_the_reference_library_refuses_is_refused() {
    let (_brokers, gateway) = set_up();
    let [one, two, ..] = TOPICS;
    for (stream, id, status) in [
        ("reference-none", None, 400),
        (one, Some(r#""""{nope"#.to_owned()), 400),
        (one, Some(json!([{"partition": 0, "offset": 0}]).to_string()), 400),
        (one, Some(json!([at("reference-none", 0)]).to_string()), 404),
        (one, Some(json!([at(two, 0)]).to_string()), 404),
    ] {
        let ask = Ask::new(format!("/v2/stream/{stream}")).resume(id.clone());
        let client = Client::connect(gateway.http, &ask).await.expect("a response");
        assert_eq!(client.status, status, "{stream} {id:?}");
    }
}
