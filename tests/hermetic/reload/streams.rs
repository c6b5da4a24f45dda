//! Streams that come, change and go by reload, under clients of these and of other streams.

use std::path::Path;

use riverhead_brokers::eventually;

use super::{
    APPLIED, Riverhead, SOON,
    client::{BROWSER, Client, LINES},
};
use crate::support::brokers::Brokers;

/// Returns a configuration with these streams, each as a table.
pub(super) fn text(brokers: &Brokers, more: &str, streams: &[&str]) -> String {
    let streams: Vec<_> = streams
        .iter()
        .map(|stream| format!("[[streams]]\n{stream}\n"))
        .collect();
    format!(
        "{more}\n[limits]\nstreams_per_client = 1000\nrequest_burst = 100000\nrequests_per_minute = 1000000\n\
         [[clusters]]\nname = 'main'\nbootstrap = {:?}\n{}",
        brokers.addresses(),
        streams.concat()
    )
}

/// Waits until this many partitions are read.
pub(super) fn until_read(riverhead: &Riverhead, partitions: f64) {
    eventually(SOON, "partitions that are read", || {
        let read = riverhead.metric("riverhead_partitions", "");
        (read == partitions).then_some(()).ok_or(read)
    });
}

fn state(directory: &Path) -> String {
    format!("[state]\ndirectory = {directory:?}\n")
}

const EDITS: &str = "name = 'edits'\ntopics = ['a', 'b']";
const PAGES: &str = "name = 'pages'\ntopics = ['p']";

#[test]
fn a_stream_that_is_removed_says_so_only_to_those_who_may_meet_an_end() {
    let brokers = Brokers::start(&[("a", 1), ("b", 1), ("p", 1)]);
    let riverhead = Riverhead::start(&text(&brokers, "", &[EDITS, PAGES]));
    until_read(&riverhead, 3.0);
    brokers.write("a", 0, 0..5);
    let ask = |target, headers| Client::ask(&riverhead, target, headers);
    let told = [
        ask("edits?since=1", BROWSER),
        ask("edits?since=1&limit=100", ""),
        ask("edits?since=1&until=2100-01-01", ""),
        ask("pages,edits?since=1&limit=100", ""),
    ];
    let lines = ask("edits?since=1&limit=100", LINES);
    let plain = [
        ask("edits?since=1", ""),
        ask("pages,edits?since=1", ""),
        ask("edits?since=1", LINES),
    ];
    let others = [ask("pages?since=1", ""), ask("pages?since=1", BROWSER)];
    let all = || told.iter().chain([&lines]).chain(&plain);
    all().for_each(|client| client.until_numbers(0..5));

    riverhead.reload(&text(&brokers, "", &[PAGES]), APPLIED);
    for client in &told {
        let body = client.until_over();
        let end = "event: end\ndata: {\"reason\":\"removed\",\"events\":5}\n\n";
        assert!(body.ends_with(end), "{body}");
    }
    let body = lines.until_over();
    assert!(
        body.ends_with("{\"end\":{\"reason\":\"removed\",\"events\":5}}\n"),
        "{body}"
    );
    for client in &plain {
        let body = client.until_over();
        assert!(
            !body.contains("end") && body.ends_with('\n'),
            "on an event boundary: {body}"
        );
    }
    all().for_each(|client| client.until_numbers(0..5));
    assert_eq!(ask("edits", "").status(), 400);
    assert_eq!(ask("pages,edits", "").status(), 400);
    brokers.write("p", 0, 0..3);
    others.iter().for_each(|client| client.until_numbers(0..3));
    assert!(others.iter().all(|client| !client.is_over()));
    eventually(SOON, "nothing is left of the stream", || {
        let text = riverhead.metrics();
        let left: Vec<_> = text
            .lines()
            .filter(|line| line.contains("\"edits\"") || line.contains("topic=\"a\""))
            .map(str::to_owned)
            .collect();
        left.is_empty().then_some(()).ok_or(left.join("\n"))
    });
}

#[test]
fn a_stream_that_was_removed_goes_on_behind_its_last_event_when_it_is_back() {
    let brokers = Brokers::start(&[("a", 1), ("b", 1), ("p", 1)]);
    let directory = tempfile::tempdir().unwrap();
    let state = state(directory.path());
    let riverhead = Riverhead::start(&text(&brokers, &state, &[EDITS, PAGES]));
    until_read(&riverhead, 3.0);
    brokers.write("a", 0, 0..5);
    let client = Client::ask(&riverhead, "edits?since=1&limit=100", "");
    client.until_numbers(0..5);
    riverhead.reload(&text(&brokers, &state, &[PAGES]), APPLIED);
    client.until_over();
    let id = client.last_id();
    brokers.write("a", 0, 5..10);
    riverhead.reload(&text(&brokers, &state, &[PAGES, EDITS]), APPLIED);
    // Not 204: the end was not that of the read.
    let again = Client::resume(&riverhead, "edits?limit=100", &id);
    again.until_numbers(5..10);
    until_read(&riverhead, 3.0);
    brokers.write("a", 0, 10..12);
    again.until_numbers(5..12);
    assert!(!again.body().contains("event: gap"), "{}", again.body());
    drop(riverhead);
    let restarted = Riverhead::start(&text(&brokers, &state, &[EDITS]));
    Client::resume(&restarted, "edits", &id).until_numbers(5..12);
}

#[test]
fn no_id_of_a_topic_that_has_left_a_stream_is_refused_after_a_reload_and_after_a_restart() {
    let brokers = Brokers::start(&[("a", 1), ("b", 1), ("c", 1)]);
    let directory = tempfile::tempdir().unwrap();
    let state = state(directory.path());
    let riverhead = Riverhead::start(&text(&brokers, &state, &[EDITS]));
    until_read(&riverhead, 2.0);
    brokers.write("a", 0, 0..5);
    brokers.write("b", 0, 5..10);
    let client = Client::ask(&riverhead, "edits?since=1", "");
    client.until_numbers(0..10);
    let id = client.last_id();
    // `b` goes, and `c` comes.
    let after = "name = 'edits'\ntopics = ['a', 'c']";
    riverhead.reload(&text(&brokers, &state, &[after]), APPLIED);
    let body = client.until_over();
    assert!(!body.contains("event: end"), "it is not over: {body}");
    brokers.write("a", 0, 10..15);
    let again = Client::resume(&riverhead, "edits", &id);
    again.until_numbers(10..15);
    until_read(&riverhead, 2.0);
    brokers.write("c", 0, 15..20);
    again.until_numbers(10..20);
    let foreign = r#"[{"topic":"other","partition":0,"offset":1}]"#;
    assert_eq!(Client::resume(&riverhead, "edits", foreign).status(), 404);
    drop(riverhead);
    let restarted = Riverhead::start(&text(&brokers, &state, &[after]));
    let late = Client::resume(&restarted, "edits", &id);
    assert_eq!(late.status(), 200);
    late.until_has("\"n\":14}");
    // A restart with yet another configuration counts as a reload.
    drop(restarted);
    let only_c = "name = 'changes'\naliases = ['edits']\ntopics = ['c']";
    let restarted = Riverhead::start(&text(&brokers, &state, &[only_c]));
    assert_eq!(Client::resume(&restarted, "edits", &id).status(), 200);
    assert_eq!(
        Client::resume(&restarted, "edits", &again.last_id()).status(),
        200
    );
}

#[test]
fn what_does_not_change_what_a_stream_gives_ends_nobody() {
    let brokers = Brokers::start(&[("a", 1), ("b", 1)]);
    let riverhead = Riverhead::start(&text(&brokers, "", &[EDITS]));
    until_read(&riverhead, 2.0);
    let client = Client::ask(&riverhead, "edits?since=1", "");
    for (number, stream) in (0..).zip([
        "name = 'edits'\ntopics = ['b', 'a']\ndescription = 'other'\nmax_clients = 7",
        "name = 'changes'\naliases = ['edits']\ntopics = ['a', 'b']\nfilter_fields = ['wiki']",
        "name = 'changes'\naliases = ['edits']\ntopics = ['a', 'b']\nexpect_event_within = '1h'",
    ]) {
        riverhead.reload(&text(&brokers, "", &[stream]), APPLIED);
        brokers.write("a", 0, number..number + 1);
        client.until_numbers(0..number + 1);
    }
    assert!(!client.is_over());
    assert_eq!(
        riverhead.metric("riverhead_kafka_log_replacements_total", ""),
        0.0
    );
    let listing = Client::ask(&riverhead, "changes", "");
    assert_eq!(listing.status(), 200);
}

#[test]
fn a_bad_configuration_of_streams_changes_nothing_and_says_every_fault() {
    let brokers = Brokers::start(&[("a", 1), ("b", 1), ("p", 1)]);
    let riverhead = Riverhead::start(&text(&brokers, "", &[EDITS]));
    until_read(&riverhead, 2.0);
    let client = Client::ask(&riverhead, "edits?since=1", "");
    let bad = [
        "name = 'pages'\ntopics = ['a']\npayload = 'raw'",
        "name = 'others'\ntopics = []",
        "name = 'edits'\ntopics = ['a', 'b']\ndrop = 'x ='",
    ];
    riverhead.reload(&text(&brokers, "", &bad), "nothing changes");
    let log = || riverhead.log.lock().unwrap().clone();
    eventually(SOON, "all faults", || {
        let log = log();
        let told = log.contains("others") && log.contains("x =");
        told.then_some(()).ok_or(log)
    });
    assert_eq!(Client::ask(&riverhead, "pages", "").status(), 400);
    brokers.write("a", 0, 0..3);
    client.until_numbers(0..3);
    assert_eq!(riverhead.metric("riverhead_reload_failures_total", ""), 1.0);
}

#[test]
fn who_may_not_read_a_stream_any_more_is_told_so_and_others_stay() {
    let brokers = Brokers::start(&[("a", 1), ("b", 1), ("p", 1)]);
    let directory = tempfile::tempdir().unwrap();
    let keys = directory.path().join("keys.toml");
    std::fs::write(&keys, "").unwrap();
    let auth = format!("[auth]\nkeys_file = {keys:?}\n");
    let riverhead = Riverhead::start(&text(&brokers, &auth, &[EDITS, PAGES]));
    until_read(&riverhead, 3.0);
    let told = Client::ask(&riverhead, "edits", BROWSER);
    let plain = Client::ask(&riverhead, "edits", "");
    let other = Client::ask(&riverhead, "pages?since=1", BROWSER);
    let closed = "name = 'edits'\ntopics = ['a', 'b']\naccess = ['staff']";
    riverhead.reload(&text(&brokers, &auth, &[closed, PAGES]), APPLIED);
    let body = told.until_over();
    let end = "event: end\ndata: {\"reason\":\"access\",\"events\":0}\n\n";
    assert!(body.ends_with(end), "{body}");
    assert!(!plain.until_over().contains("end"));
    assert_eq!(Client::ask(&riverhead, "edits", "").status(), 401);
    brokers.write("p", 0, 0..2);
    other.until_numbers(0..2);
    assert!(!other.is_over());
}
