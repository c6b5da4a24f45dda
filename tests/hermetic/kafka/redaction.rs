//! Rules for records: what they remove is in no page, of the tail and of history.

use std::sync::Arc;

use riverhead::{
    catalog::{Condition, RecordRules, RedactRule},
    encoding::Payload,
    event::{Event, EventKind},
    kafka::{RejectLabels, TopicLabels},
    partition::{LogRead, Page},
    redaction::Redaction,
};

use super::{KafkaFixture, Transforms, page, until};
use crate::support::brokers::Brokers;

/// What must be nowhere.
const SECRET: &str = "s3cret";

/// Records with the secret in their values, keys and headers, and what is served of each value.
const RECORDS: &[(&str, Option<&str>, Option<&str>)] = &[
    (
        "s3cret-key",
        Some(r#"{"n":0,"user":"s3cret"}"#),
        Some(r#"{"n":0}"#),
    ),
    ("open", Some(r#"{"n":1,"internal":true,"text":"s3cret"}"#), None),
    ("open", Some(r#"{"n":2,"user":"s3cret"#), None),
    (
        "open",
        Some(r#"{"n":3,"performer":[{"n\u0061me":"s3cret","id":1}]}"#),
        Some(r#"{"n":3,"performer":[{"id":1}]}"#),
    ),
    ("s3cret-key", None, None),
    (
        "open",
        Some(r#"{"n":5,"user":{"a":["s3cret"]},"comment":"s3cret","user":"s3cret"}"#),
        Some(r#"{"n":5,"comment":""}"#),
    ),
    ("open", Some(r#"{"n":6}"#), Some(r#"{"n":6}"#)),
    ("open", Some(r#"{"n":7,"internal":true}"#), None),
];

fn rules() -> RecordRules {
    let text = "internal = true";
    RecordRules {
        redact: vec![RedactRule {
            when: None,
            remove: ["user", "performer.name", "@key", "@header.ip"]
                .map(Into::into)
                .into(),
            blank: vec!["comment".into()],
        }],
        drop: Some(Condition::new(text, text)),
        ..RecordRules::default()
    }
}

fn fixture() -> KafkaFixture {
    let redaction = Redaction::compile(&rules(), Payload::Json).expect("rules");
    let transforms = Transforms::from([("a".into(), Arc::new(redaction) as _)]);
    let fixture = KafkaFixture::transformed(Brokers::start(&[("a", 1), ("b", 1)]), &["a", "b"], transforms);
    for topic in ["a", "b"] {
        // From here on its end is read.
        fixture.log(topic, 0);
        for (key, value, _) in RECORDS {
            let headers = [("ip", Some("s3cret")), ("type", Some("edit"))];
            fixture.brokers.write_record(topic, key, &headers, *value);
        }
    }
    fixture
}

/// Returns everything that a page holds of its events.
fn bytes_of(page: &Page) -> Vec<u8> {
    let mut bytes = Vec::new();
    for event in page.events() {
        bytes.extend_from_slice(page.key(event).unwrap_or_default());
        page.headers(event).for_each(|(name, value)| {
            bytes.extend_from_slice(name);
            bytes.extend_from_slice(value.unwrap_or_default());
        });
        bytes.extend_from_slice(page.lines(event));
    }
    bytes
}

/// Returns how often the secret is in what a page holds.
fn secrets_in(page: &Page) -> usize {
    memchr::memmem::find_iter(&bytes_of(page), SECRET).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_removed_is_in_no_page_of_the_tail_or_of_history() {
    let fixture = fixture();
    let end = RECORDS.len() as i64;
    let [log, open] = ["a", "b"].map(|topic| fixture.log(topic, 0));
    until(|| log.end().offset == end && open.end().offset == end);
    let (mut tail, mut history) = (Vec::new(), Vec::new());
    while let LogRead::Page(page) = log.read(next(&tail)) {
        tail.push(page);
    }
    while next(&history) < end {
        history.push(page(&fixture, &log, next(&history)).await.expect("a page"));
    }
    let unruled = page(&fixture, &open, 0).await.expect("a page");
    assert!(secrets_in(&unruled) > 0, "the test would find it");
    for pages in [tail, history] {
        assert_eq!(next(&pages), end, "positions move past what is dropped");
        let mut seen = 0;
        for page in &pages {
            assert_eq!(secrets_in(page), 0);
            for event in page.events() {
                assert_eq!(event.offset, seen, "every record is there");
                check(page, event);
                seen += 1;
            }
        }
        assert_eq!(seen, end);
    }
}

/// Returns the offset behind these pages.
fn next(pages: &[Arc<Page>]) -> i64 {
    pages.last().map_or(0, |page| page.next())
}

/// Asserts that an event is what is to be served of its record.
fn check(page: &Page, event: &Event) {
    let (_, _, expected) = RECORDS[event.offset as usize];
    let Some(expected) = expected else {
        assert_eq!(event.kind, EventKind::Skipped, "{}", event.offset);
        let left = (page.key(event), page.headers(event).count(), page.lines(event));
        assert_eq!(left, (None, 0, &b""[..]));
        return;
    };
    assert_eq!(event.kind, EventKind::Message, "{}", event.offset);
    assert_eq!(page.lines(event), format!("data: {expected}\n").as_bytes());
    assert_eq!(page.key(event), None);
    let headers: Vec<_> = page.headers(event).collect();
    assert_eq!(headers, [(&b"type"[..], Some(&b"edit"[..]))]);
}

#[test]
fn what_is_dropped_redacted_and_bad_is_counted_once_however_often_it_is_read() {
    let fixture = fixture();
    let log = fixture.log("a", 0);
    until(|| log.end().offset == RECORDS.len() as i64);
    let labels = |topic: &str| TopicLabels {
        cluster: "main".into(),
        topic: topic.into(),
    };
    let counters = &fixture.counters;
    assert_eq!(counters.dropped_records.get_or_create(&labels("a")).get(), 2);
    // Each of the others has a key and a header that are removed, the tombstone too.
    assert_eq!(counters.redacted_records.get_or_create(&labels("a")).get(), 5);
    let bad = RejectLabels {
        cluster: "main".into(),
        topic: "a".into(),
        reason: "not_json".into(),
    };
    assert_eq!(counters.bad_records.get_or_create(&bad).get(), 1);
    let report = fixture.health.report(std::time::Instant::now());
    let partitions = &report.clusters[0].partitions;
    let of = |topic: &str| {
        let partition = partitions
            .iter()
            .find(|it| it.topic == topic)
            .expect("a partition");
        (partition.dropped_records, partition.redacted_records)
    };
    assert_eq!(of("a"), (Some(2), Some(5)));
    assert_eq!(of("b"), (None, None), "there are no rules for it");
}
