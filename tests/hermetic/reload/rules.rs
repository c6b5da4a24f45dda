//! Rules for records that change by reload: what they remove is served no more, and nothing else is lost or repeated.

use std::time::{Duration, Instant};

use riverhead_brokers::scaled;

use super::{
    APPLIED, Riverhead,
    client::{Client, LINES},
    streams::{text, until_read},
};
use crate::support::brokers::Brokers;

/// What a rule removes.
const SECRET: &str = "s3cret";

const OPEN: &str = "name = 'edits'\ntopics = ['a']";
const REDACTED: &str = "name = 'edits'\ntopics = ['a']\nredact = [{ remove = ['user'] }]";
const OTHER: &str = "name = 'other'\ntopics = ['o']";

fn write(brokers: &Brokers, topic: &str, numbers: std::ops::Range<i64>) {
    let value = |n: i64| (1_000_000 + n, format!("{{\"n\":{n},\"user\":\"{SECRET}\"}}"));
    brokers.write_values(topic, 0, numbers.map(value));
}

/// Returns what a client gets that begins at the start, up to number `last`.
fn from_start(riverhead: &Riverhead, query: &str, last: i64) -> Client {
    let client = Client::ask(riverhead, &format!("edits?since=1{query}"), "");
    client.until_has(&format!("{{\"n\":{last}"));
    client
}

#[test]
fn what_a_changed_rule_removes_is_in_no_ring_page_or_batch_any_more() {
    let brokers = Brokers::start(&[("a", 1), ("o", 1)]);
    // Written before the gateway reads: these are pages of history.
    write(&brokers, "a", 0..50);
    let riverhead = Riverhead::start(&text(&brokers, "", &[OPEN, OTHER]));
    until_read(&riverhead, 2.0);
    // Two of each, so that there are lanes, and batches that clients share.
    let ask = |target: &str, headers| Client::ask(&riverhead, target, headers);
    let live: Vec<_> = [
        ("edits?since=1", ""),
        ("edits?since=1", ""),
        ("edits?since=1", LINES),
        ("edits?since=1&filter=n%3E%3D0", ""),
        ("edits?since=1&filter=n%3E%3D0", ""),
        ("edits?since=1&limit=100000", ""),
    ]
    .map(|(target, headers)| ask(target, headers))
    .into();
    let other = ask("other?since=1", "");
    write(&brokers, "a", 50..100);
    write(&brokers, "o", 0..10);
    live.iter().for_each(|client| client.until_numbers(0..100));
    other.until_numbers(0..10);
    assert!(
        from_start(&riverhead, "", 99).body().contains(SECRET),
        "the test would find it"
    );
    let had: Vec<_> = live.iter().map(|client| client.body().len()).collect();

    let begin = Instant::now();
    riverhead.reload(&text(&brokers, "", &[REDACTED, OTHER]), APPLIED);
    let late = [
        from_start(&riverhead, "", 99),
        from_start(&riverhead, "&filter=n%3E%3D0", 99),
    ];
    for client in &late {
        assert!(!client.body().contains(SECRET), "{}", client.body());
        client.until_numbers(0..100);
    }
    // The promise is a second; the short form tolerates more, because other work runs beside it.
    assert!(
        begin.elapsed() < scaled(Duration::from_secs(30)),
        "{:?}",
        begin.elapsed()
    );

    // Those that are open go on behind their last event.
    write(&brokers, "a", 100..120);
    write(&brokers, "o", 10..20);
    for (client, had) in live.iter().zip(had) {
        client.until_numbers(0..120);
        let body = client.body();
        assert!(!client.is_over() && !body.contains("event: gap"), "{body}");
        assert!(!body[had..].contains(SECRET), "{}", &body[had..]);
    }
    other.until_numbers(0..20);
    assert!(
        other.body().matches(SECRET).count() == 20,
        "other streams stay as they are"
    );
    assert_eq!(
        riverhead.metric("riverhead_kafka_records_total", "\"o\""),
        20.0,
        "and are not read anew"
    );

    // Back again, and annotated.
    riverhead.reload(&text(&brokers, "", &[OPEN, OTHER]), APPLIED);
    assert_eq!(
        from_start(&riverhead, "", 119).body().matches(SECRET).count(),
        120
    );
    let annotate = format!("{REDACTED}\ntombstones = 'delete'\nannotate = true");
    riverhead.reload(&text(&brokers, "", &[&annotate, OTHER]), APPLIED);
    let annotated = from_start(&riverhead, "", 119).body();
    assert!(!annotated.contains(SECRET));
    assert!(
        annotated.contains("\"meta\":{\"topic\":\"a\",\"partition\":0,\"offset\":119"),
        "{annotated}"
    );
    live.iter().for_each(|client| client.until_numbers(0..120));
}
