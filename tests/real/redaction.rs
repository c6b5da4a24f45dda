//! Rules for records, over real brokers: what they remove is sent to nobody and is nowhere in memory, and clients resume exactly
//! over what is dropped.

use std::time::Duration;

use riverhead_brokers::{RawRecord, eventually, shared};
use riverhead_loadtest::gateway::GatewayPlan;
use serde_json::{Value, json};

use crate::{
    following::{FROM_THE_START, follow, id, next, plan, start},
    traces::{OVERWRITE_FREED, copies_in_memory},
};

const TOPIC: &str = "redacted";

/// What must be nowhere. It is in no configuration and in no request.
const SECRET: &str = "s3cret";

const RECORDS: u64 = 300;

const SOON: Duration = Duration::from_secs(60);

/// How long the buffers of Kafka's clients may hold what was fetched: the readers of history stop when they are idle.
const BUFFERS: Duration = Duration::from_secs(90);

/// Returns the same plan, with rules for its stream.
fn with_rules(plan: GatewayPlan) -> GatewayPlan {
    let streams = format!(
        "[{{ name = \"stream\", topics = [\"{TOPIC}\"], annotate = true, drop = 'internal = true', canary = 'canary = true', \
         redact = [{{ remove = [\"user\", \"@key\"] }}, {{ when = 'kind = 1', blank = [\"comment\"] }}] }}]"
    );
    plan.set("RIVERHEAD__STREAMS", &streams)
        .set(OVERWRITE_FREED.0, OVERWRITE_FREED.1)
}

/// Returns the value of a record, and what is left of it; `None` if nobody gets it.
fn value(number: u64) -> (String, Option<Value>) {
    let secret = format!("{SECRET}-{number}");
    match number % 5 {
        0 => (
            json!({"number": number, "text": secret, "internal": true}).to_string(),
            None,
        ),
        1 => (format!(r#"{{"number":{number},"text":"{secret}"#), None),
        2 => (json!({"number": number, "canary": true}).to_string(), None),
        3 => (
            json!({"number": number, "user": {"name": secret}, "kind": 1, "comment": secret}).to_string(),
            Some(json!({"number": number, "kind": 1, "comment": ""})),
        ),
        _ => (
            json!({"number": number, "user": secret, "kind": 2}).to_string(),
            Some(json!({"number": number, "kind": 2})),
        ),
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real brokers: ./tests/run"]
async fn what_is_redacted_is_sent_to_nobody_and_who_resumes_misses_nothing_else() {
    let brokers = shared();
    brokers.create_topic(TOPIC, 1);
    let plan = with_rules(plan(&brokers, &[TOPIC]));
    let gateway = start(&plan);
    gateway.wait_for_partitions(1, SOON);
    let mut live = [follow(&gateway, "", None).await, follow(&gateway, "", None).await];
    let mut producer = brokers.producer(TOPIC).start();
    let mut expected = Vec::new();
    for number in 0..RECORDS {
        let (value, left) = value(number);
        let offset = producer.send_raw(&RawRecord {
            key: Some(format!("{SECRET}-key").as_bytes()),
            value: Some(value.as_bytes()),
            ..RawRecord::default()
        });
        if let Some(mut left) = left {
            left["meta"] = json!({"topic": TOPIC, "partition": 0, "offset": offset});
            expected.push(left);
        }
    }
    // The last ones have nothing to hide, in buffers of the Kafka clients neither.
    for number in RECORDS..RECORDS + 3 {
        let value = json!({"number": number}).to_string();
        let offset = producer.send_raw(&RawRecord {
            value: Some(value.as_bytes()),
            ..RawRecord::default()
        });
        let meta = json!({"topic": TOPIC, "partition": 0, "offset": offset});
        expected.push(json!({"number": number, "meta": meta}));
    }
    producer.flush();

    // The same from history, in a process that has nothing of it in memory.
    let late = start(&plan);
    let [first, second] = &mut live;
    let mut replayed = follow(&late, FROM_THE_START, None).await;
    for client in [first, second, &mut replayed] {
        for left in &expected {
            let message = next(client).await;
            assert!(!message.data.contains(SECRET), "{}", message.data);
            assert_eq!(serde_json::from_str::<Value>(&message.data).expect("JSON"), *left);
        }
    }
    // Cut behind every seventh event, each time in the middle of records that nobody gets.
    let mut place = None;
    for part in expected.chunks(7) {
        let query = if place.is_none() { FROM_THE_START } else { "" };
        let mut client = follow(&late, query, place.as_deref()).await;
        for left in part {
            let message = next(&mut client).await;
            assert_eq!(serde_json::from_str::<Value>(&message.data).expect("JSON"), *left);
            place = Some(id(&message).to_owned());
        }
    }
    for gateway in [&gateway, &late] {
        assert!(!gateway.log().contains(SECRET), "{}", gateway.log());
        assert!(
            copies_in_memory(gateway.pid(), b"\"kind\":") > 0,
            "the search finds what is there"
        );
        eventually(BUFFERS, "no trace in memory", || {
            match copies_in_memory(gateway.pid(), SECRET.as_bytes()) {
                0 => Ok(()),
                traces => Err(traces),
            }
        });
    }
    let dropped = gateway.metric("riverhead_kafka_dropped_records_total");
    assert_eq!(dropped.ok(), Some((RECORDS / 5) as f64));
}
