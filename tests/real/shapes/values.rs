//! Values of all kinds: compressed, unusual, large, raw, and none.

use std::{collections::BTreeSet, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use riverhead_brokers::{Cluster, Ledger, NewTopic, Producer, RawRecord, eventually, scaled, shared};
use riverhead_loadtest::{
    client::Ask,
    gateway::Gateway,
    numbers::{Faults, Truth},
    reading::Reading,
};
use tokio::time::Instant;

use crate::following::{FROM_THE_START, follow, follow_stream, id, next, number_of, plan, start};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real brokers: ./tests/run"]
async fn batches_of_every_codec_are_read() {
    let brokers = shared();
    let codecs = ["none", "gzip", "snappy", "lz4", "zstd"];
    let topics = codecs.map(|codec| format!("shapes-{codec}"));
    topics.iter().for_each(|topic| brokers.create_topic(topic, 1));
    let plan = plan(&brokers, &topics.each_ref().map(String::as_str));
    let live = start(&plan);
    let mut follower = Reading::new(live.http, Ask::new("/v2/stream/stream?since=1"));
    let ledgers: Vec<Ledger> = topics
        .iter()
        .zip(codecs)
        .map(|(topic, codec)| {
            let mut producer = brokers.producer(topic).compression(codec).start();
            producer.send(1_500);
            producer.finish()
        })
        .collect();
    let truth = Truth::of(&ledgers);
    let late = start(&plan);
    let mut replayer = Reading::new(late.http, Ask::new("/v2/stream/stream?since=1"));
    for reading in [&mut follower, &mut replayer] {
        let deadline = Instant::now() + scaled(SOON);
        reading.read(truth.len(), Some(700), deadline).await;
        assert_eq!(truth.judge(&reading.got), Faults::default());
        assert!(reading.got.gaps.is_empty(), "{:?}", reading.got.gaps);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real brokers: ./tests/run"]
async fn a_record_that_cannot_be_sent_is_skipped_alone_and_told_to_who_is_on_call() {
    let brokers = shared();
    create_large(&brokers, ODD);
    let plan = plan(&brokers, &[ODD]);
    let gateway = start(&plan);
    // What exists before is history, whose bad records are not counted again.
    gateway.wait_for_partitions(1, SOON);
    let mut live = follow(&gateway, FROM_THE_START, None).await;
    let mut producer = large(&brokers, ODD);
    let mut bad = Vec::new();
    for (value, reason) in odd() {
        producer.send(1);
        producer.flush();
        let offset = producer.send_raw(&RawRecord {
            value: value.as_deref(),
            ..RawRecord::default()
        });
        bad.extend(reason.map(|reason| (offset, reason)));
    }
    let big = format!(r#"{{"big":"{}"}}"#, "x".repeat(5 << 20));
    producer.send_raw(&raw(big.as_bytes()));
    producer.send(1);
    let numbers = producer.finish().numbers_of(0);

    // The same from history, in a process that has nothing of it in memory.
    let late = start(&plan);
    let mut replayed = follow(&late, FROM_THE_START, None).await;
    for client in [&mut live, &mut replayed] {
        for number in &numbers[..numbers.len() - 1] {
            assert_eq!(number_of(&next(client).await), *number);
        }
        assert!(next(client).await.data == big, "5 MB, as they were written");
        let last = next(client).await;
        assert_eq!(Some(&number_of(&last)), numbers.last(), "behind the large one");
    }
    told(&gateway, ODD, &bad);
}

/// Returns values, each with its reason in the counter. A null is skipped, but is not bad.
fn odd() -> Vec<(Option<Vec<u8>>, Option<&'static str>)> {
    let bad = |value: &[u8], reason| (Some(value.to_vec()), Some(reason));
    let deep = format!("{}{}", "[".repeat(2_000), "]".repeat(2_000));
    let large = format!(r#"{{"large":"{}"}}"#, "x".repeat(9 << 20));
    vec![
        bad(b"not json", "not_json"),
        bad(b"", "not_json"),
        bad(b"17", "not_json"),
        bad(b"null", "not_json"),
        bad(br#"{"n":1}{"n":2}"#, "not_json"),
        bad(b"{\"n\":\"\xff\xfe\"}", "not_utf8"),
        bad(deep.as_bytes(), "too_deep"),
        (None, None),
        bad(large.as_bytes(), "too_large"),
    ]
}

/// Asserts that each is counted under its reason, and that the log names the first one.
pub(crate) fn told(gateway: &Gateway, topic: &str, bad: &[(i64, &str)]) {
    let metrics = eventually(SOON, "all bad records counted", || {
        let count = gateway.metric(BAD_RECORDS).map_err(|error| error.to_string())?;
        let metrics = gateway.admin("/metrics").map_err(|error| error.to_string())?;
        let all = (count - bad.len() as f64).abs() < 0.5;
        all.then_some(metrics)
            .ok_or_else(|| format!("{count} of {}", bad.len()))
    });
    let reasons: BTreeSet<_> = bad.iter().map(|(_, reason)| *reason).collect();
    for reason in reasons {
        let count = bad.iter().filter(|(_, own)| *own == reason).count();
        let series = metrics.lines().find(|line| {
            line.starts_with(BAD_RECORDS)
                && line.contains(topic)
                && line.contains(&format!("reason=\"{reason}\""))
        });
        let series = series.unwrap_or_else(|| panic!("no {reason} in\n{metrics}"));
        assert!(series.ends_with(&format!(" {count}")), "{series}");
    }
    let (offset, log) = (bad[0].0, gateway.log());
    let line = log.lines().find(|line| line.contains("a record is skipped"));
    let line = line.unwrap_or_else(|| panic!("not a word of it in\n{log}"));
    for part in [
        format!("{topic}-0"),
        format!("offset={offset} "),
        "WARN".to_owned(),
    ] {
        assert!(line.contains(&part), "no {part:?} in {line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs real brokers: ./tests/run"]
async fn raw_and_base64_streams_carry_bytes_and_deletions_are_events() {
    let brokers = shared();
    for topic in [RAW, BASE64] {
        brokers.create_topic(topic, 1);
    }
    let streams = format!(
        r#"[{{ name = "raw", topics = ["{RAW}"], payload = "raw", tombstones = "delete" }},
            {{ name = "base64", topics = ["{BASE64}"], payload = "base64" }}]"#
    );
    let gateway = start(&plan(&brokers, &[]).set("RIVERHEAD__STREAMS", &streams.replace('\n', " ")));
    let mut text = follow_stream(&gateway, "raw?since=1", None).await;
    let mut bytes = follow_stream(&gateway, "base64?since=1", None).await;
    let values: [&[u8]; 4] = [
        b"a\r\nb\rc\n\nd",
        b"\xff\xfe",
        b"",
        "data: \u{2028}: x".as_bytes(),
    ];
    for topic in [RAW, BASE64] {
        let mut producer = brokers.producer(topic).start();
        for value in values {
            producer.send_raw(&raw(value));
        }
        producer.send_raw(&RawRecord {
            key: Some(b"gone"),
            ..RawRecord::default()
        });
        producer.send_raw(&raw(b"the end"));
    }
    for value in values {
        assert_eq!(next(&mut bytes).await.data, STANDARD.encode(value));
    }
    assert_eq!(
        next(&mut bytes).await.data,
        STANDARD.encode("the end"),
        "no deletion"
    );
    assert_eq!(next(&mut text).await.data, "a\nb\nc\n\nd");
    assert_eq!(next(&mut text).await.data, "");
    assert_eq!(next(&mut text).await.data, "data: \u{2028}: x");
    let delete = next(&mut text).await;
    assert_eq!(
        (delete.event.as_str(), delete.data.as_str()),
        ("delete", r#"{"key":"gone"}"#)
    );
    assert_eq!(next(&mut text).await.data, "the end");
    let mut resumed = follow_stream(&gateway, "raw", Some(id(&delete))).await;
    assert_eq!(
        next(&mut resumed).await.data,
        "the end",
        "a deletion has its place"
    );
}

fn raw(value: &[u8]) -> RawRecord<'_> {
    RawRecord {
        value: Some(value),
        ..RawRecord::default()
    }
}

fn create_large(brokers: &Cluster, topic: &str) {
    brokers.create(&NewTopic::with_replicas(topic, &[&[1]]).config("max.message.bytes", "12000000"));
}

fn large(brokers: &Cluster, topic: &str) -> Producer {
    let producer = brokers.producer(topic).property("message.max.bytes", "12000000");
    producer.start()
}

const ODD: &str = "shapes-odd";
const RAW: &str = "shapes-raw";
const BASE64: &str = "shapes-base64";
const BAD_RECORDS: &str = "riverhead_kafka_bad_records_total";
const SOON: Duration = Duration::from_secs(60);
