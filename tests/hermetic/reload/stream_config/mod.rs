//! Streams that a document names: at an https address or in a file.

mod check;
mod faults;
mod server;

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use riverhead_brokers::eventually;
use serde_json::{Value, json};

use self::server::{Answer, DocumentServer};
use super::{
    APPLIED, Riverhead, SOON,
    client::{BROWSER, Client},
    streams::{text, until_read},
};
use crate::support::brokers::Brokers;

const EDITS: &str = "name = 'edits'\ntopics = ['a', 'b']";

/// Returns the section for a document at an address, with these keys besides.
fn at(server: &DocumentServer, more: &str) -> String {
    format!(
        "[stream_config]\nurl = '{}'\nrefresh = '1s'\n{more}\n",
        server.url()
    )
}

/// Returns the section for a document in a file.
fn in_file(path: &Path) -> String {
    format!("[stream_config]\nfile = {path:?}\nrefresh = '1s'\n")
}

/// Returns a document with these streams.
fn document(streams: &Value) -> Answer {
    Answer::document(&json!({"streams": streams}).to_string())
}

fn start(server: &DocumentServer, text: &str) -> Riverhead {
    let (name, value) = server.trust();
    Riverhead::start_with(text, &[(name, &value)])
}

/// Waits until so many streams of the document are served.
fn until_served(riverhead: &Riverhead, streams: f64) {
    eventually(SOON, "streams of the document", || {
        let served = riverhead.metric("riverhead_stream_config_streams", "");
        (served == streams).then_some(()).ok_or(served)
    });
}

/// Returns what health says of the document.
fn health(riverhead: &Riverhead) -> Value {
    let health: Value = serde_json::from_str(&riverhead.health()).unwrap();
    health["stream_config"].clone()
}

/// Waits until health has this state for the document, for a reason with this text.
fn until_health(riverhead: &Riverhead, state: &str, reason: &str) {
    eventually(SOON, &format!("{state}: {reason}"), || {
        let told = health(riverhead);
        let is_told = told["state"] == state && told["reason"].as_str().unwrap().contains(reason);
        is_told.then_some(()).ok_or(told.to_string())
    });
}

fn status(riverhead: &Riverhead, stream: &str) -> u16 {
    Client::ask(riverhead, stream, "").status()
}

/// Returns how often a text is in the log.
fn lines(riverhead: &Riverhead, text: &str) -> usize {
    riverhead.log.lock().unwrap().matches(text).count()
}

/// Waits until the document was read so many times more.
fn until_read_again(server: &DocumentServer, times: u32) {
    let before = server.requests();
    eventually(SOON, "more readings", || server.requests() >= before + times);
}

#[test]
fn streams_of_a_service_come_change_and_go_under_clients_of_others() {
    let brokers = Brokers::start(&[("a", 1), ("b", 1), ("p", 1), ("q", 1)]);
    let pages = json!({"topics": ["p"], "schema_title": "pages", "topic_prefixes": ["x."]});
    let server = DocumentServer::start(document(&json!({"pages": pages})));
    let riverhead = start(&server, &text(&brokers, &at(&server, ""), &[EDITS]));
    until_read(&riverhead, 3.0);
    let others = [
        Client::ask(&riverhead, "edits?since=1", ""),
        Client::ask(&riverhead, "edits?since=1", BROWSER),
    ];
    let reader = Client::ask(&riverhead, "pages?since=1", BROWSER);
    brokers.write("p", 0, 0..3);
    reader.until_numbers(0..3);

    // Another one comes. The topic of `pages` stays, and its key changes.
    server.set(document(&json!({
        "pages": {"topics": ["p"], "annotate": true},
        "users": {"topics": ["q"], "stream_aliases": ["people"]},
    })));
    until_served(&riverhead, 2.0);
    until_read(&riverhead, 4.0);
    brokers.write("p", 0, 3..5);
    reader.until_has("\"meta\":{");
    assert!(!reader.is_over());
    assert_eq!(status(&riverhead, "people"), 200);

    // One goes, and the other one gets another topic.
    server.set(document(&json!({"users": {"topics": ["q", "p"]}})));
    let body = reader.until_over();
    let end = "event: end\ndata: {\"reason\":\"removed\",\"events\":5}\n\n";
    assert!(body.ends_with(end), "{body}");
    assert_eq!(status(&riverhead, "pages"), 400);
    until_served(&riverhead, 1.0);
    brokers.write("a", 0, 0..5);
    others.iter().for_each(|client| client.until_numbers(0..5));
    assert!(others.iter().all(|client| !client.is_over()));
    let read = riverhead.metric("riverhead_kafka_records_total", "\"a\"");
    assert_eq!(read, 5.0, "each is read once");
    assert_eq!(health(&riverhead)["state"], "ok");
    assert!(lines(&riverhead, "the streams were changed") >= 2);
    assert_eq!(
        lines(&riverhead, APPLIED),
        0,
        "the configuration was not read again"
    );
}

#[test]
fn streams_of_the_configuration_win_and_only_what_is_allowed_is_served() {
    let brokers = Brokers::start(&[("a", 1), ("b", 1), ("p", 1), ("x", 1)]);
    let server = DocumentServer::start(document(&json!({
        "edits": {"topics": ["x"]},
        "wiki.pages": {"topics": ["p"], "aliases": ["edits", "pages"]},
        "other": {"topics": ["x"]},
    })));
    let more = "allowed = ['wiki.*', 'edits']";
    let config = |more: &str| text(&brokers, &at(&server, more), &[EDITS]);
    let riverhead = start(&server, &config(more));
    until_read(&riverhead, 3.0);
    brokers.write("a", 0, 0..2);
    Client::ask(&riverhead, "edits?since=1", "").until_numbers(0..2);
    assert_eq!(status(&riverhead, "pages"), 200);
    assert_eq!(status(&riverhead, "other"), 400);
    // A reload applies the section, and reads the document with it.
    riverhead.reload(
        &config("allowed = ['other']\ndefaults = { max_clients = 1 }"),
        APPLIED,
    );
    assert_eq!(status(&riverhead, "pages"), 400);
    let first = Client::ask(&riverhead, "other", "");
    assert_eq!(first.status(), 200);
    assert_eq!(status(&riverhead, "other"), 503, "max_clients of the defaults");
    // Without the section its streams are gone.
    riverhead.reload(&text(&brokers, "", &[EDITS]), APPLIED);
    assert_eq!(status(&riverhead, "other"), 400);
    assert!(health(&riverhead).is_null());
    let before = server.requests();
    riverhead.reload(&config(more), APPLIED);
    assert_eq!(
        server.requests(),
        before + 1,
        "with it the document is read at once"
    );
    assert_eq!(status(&riverhead, "pages"), 200);
}

#[test]
fn patterns_and_streams_without_topics_are_told_once_and_a_broken_stream_leaves_the_others_alone() {
    let brokers = Brokers::start(&[("a", 1), ("b", 1), ("p", 1)]);
    let streams = |more: Value| {
        let mut streams = json!({
            "/^wiki\\.job\\..+/": {"stream": "/^wiki\\.job\\..+/"},
            "no.topics": {"schema_title": "x"},
            "pages": {"topics": ["p"]},
        });
        streams
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        document(&streams)
    };
    let server = DocumentServer::start(streams(json!({})));
    let riverhead = start(&server, &text(&brokers, &at(&server, ""), &[EDITS]));
    until_read(&riverhead, 3.0);
    assert_eq!(
        health(&riverhead)["state"],
        "ok",
        "they are not meant to be served"
    );
    until_read_again(&server, 3);
    assert_eq!(lines(&riverhead, "their names are patterns"), 1);
    assert_eq!(lines(&riverhead, "they have no topics"), 1);

    let client = Client::ask(&riverhead, "pages?since=1", "");
    server.set(streams(json!({
        "misspelt": {"topics": ["b"], "redcat": [{"remove": ["user"]}]},
        "bad name": {"topics": ["b"]},
        "contradicts": {"topics": ["p"], "drop": "n = 1"},
        "pages": {"topics": ["p"], "drop": "n ="},
    })));
    until_health(&riverhead, "degraded", "stream `");
    let faulty = |expected: f64| {
        eventually(SOON, "faulty streams", || {
            let faulty = riverhead.metric("riverhead_stream_config_faulty_streams", "");
            (faulty == expected).then_some(()).ok_or(faulty)
        });
    };
    faulty(4.0);
    for line in [
        "stream `misspelt` is left out: unknown key `redcat`: did you mean `redact`?",
        "stream `bad name` is left out: `bad name` is not a valid name",
        "stream `pages` is served as it was before: `drop`: expected a filter",
    ] {
        assert_eq!(lines(&riverhead, line), 1, "{line}");
    }
    until_read_again(&server, 2);
    assert_eq!(lines(&riverhead, "unknown key `redcat`"), 1, "told once");
    brokers.write("p", 0, 0..3);
    client.until_numbers(0..3);
    assert!(!client.is_over());
    assert_eq!(status(&riverhead, "misspelt"), 400);
    server.set(streams(json!({"users": {"topics": ["b"]}})));
    until_served(&riverhead, 2.0);
    faulty(0.0);
    until_health(&riverhead, "ok", "2 streams of https://localhost:");
}

#[test]
fn a_document_in_a_file_is_read_from_time_to_time_and_at_a_reload() {
    let brokers = Brokers::start(&[("p", 1), ("q", 1)]);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("streams.yaml");
    let write = |text: &str| {
        let next = directory.path().join("next");
        fs::write(&next, text).unwrap();
        fs::rename(next, &file).unwrap();
    };
    write("streams:\n  pages:\n    topics: [p]\n");
    // Without any stream of its own.
    let config = text(&brokers, &in_file(&file), &[]);
    let riverhead = Riverhead::start(&config);
    until_read(&riverhead, 1.0);
    let client = Client::ask(&riverhead, "pages?since=1", "");
    brokers.write("p", 0, 0..3);
    client.until_numbers(0..3);
    write("streams:\n  pages: {topics: [p]}\n  users: {topics: [q]}\n");
    until_served(&riverhead, 2.0);
    let config_with_hour = config.replace("'1s'", "'1h'");
    riverhead.reload(&config_with_hour, APPLIED);
    write("streams:\n  pages: {topics: [p]}\n");
    riverhead.reload(&config_with_hour, APPLIED);
    assert_eq!(riverhead.metric("riverhead_stream_config_streams", ""), 1.0);
    fs::remove_file(&file).unwrap();
    riverhead.reload(&config_with_hour, APPLIED);
    until_health(&riverhead, "degraded", "No such file");
    brokers.write("p", 0, 3..5);
    client.until_numbers(0..5);
    assert!(!client.is_over());
}

#[test]
fn a_change_of_rules_by_the_service_holds_for_what_is_in_memory_too() {
    let brokers = Brokers::start(&[("p", 1)]);
    let server = DocumentServer::start(document(&json!({"pages": {"topics": ["p"]}})));
    let riverhead = start(&server, &text(&brokers, &at(&server, ""), &[]));
    until_read(&riverhead, 1.0);
    brokers.write("p", 0, 0..5);
    Client::ask(&riverhead, "pages?since=1", "").until_numbers(0..5);
    server.set(document(
        &json!({"pages": {"topics": ["p"], "redact": [{"remove": ["n"]}]}}),
    ));
    let start = Instant::now();
    eventually(SOON, "redacted events", || {
        let client = Client::ask(&riverhead, "pages?since=1&limit=5", "");
        let body = client.until_over();
        (!body.contains("{\"n\":")).then_some(()).ok_or(body)
    });
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
}
