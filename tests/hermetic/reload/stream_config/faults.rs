//! A service that is slow, gone, wrong or redirecting, and a restart meanwhile.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{
    super::{APPLIED, Riverhead, client::Client, streams::text, streams::until_read},
    Answer, DocumentServer, EDITS, at, document, health, lines, start, status, until_health,
    until_read_again, until_served,
};
use crate::support::brokers::Brokers;

const PAGES: &str = r#"{"streams":{"pages":{"topics":["p"]}}}"#;

/// How long a start may take that does not wait for the service: its two seconds, on a machine that is busy.
const START: Duration = Duration::from_secs(15);

#[test]
fn while_the_service_is_wrong_or_gone_the_last_good_streams_are_served_and_it_is_told() {
    let brokers = Brokers::start(&[("a", 1), ("b", 1), ("p", 1)]);
    let target = DocumentServer::start(document(&json!({"other": {"topics": ["b"]}})));
    let mut server = DocumentServer::start(Answer::document(PAGES));
    let riverhead = start(&server, &text(&brokers, &at(&server, ""), &[EDITS]));
    until_read(&riverhead, 3.0);
    let client = Client::ask(&riverhead, "pages?since=1", "");
    let redirect = format!(
        "HTTP/1.1 302 Found\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n",
        target.url()
    );
    let large = format!(
        r#"{{"streams":{{"other":{{"topics":["b"],"description":"{}"}}}}}}"#,
        "x".repeat(2 << 20)
    );
    let failing =
        |expected: f64| assert_eq!(riverhead.metric("riverhead_stream_config_failing", ""), expected);
    let mut written = 0;
    for (name, answer, reason) in [
        (
            "rubbish",
            Answer::document("<html>"),
            "no object with streams at `streams`",
        ),
        (
            "empty",
            Answer::document(r#"{"streams":{}}"#),
            "no stream that can be served",
        ),
        ("2 MB", Answer::document(&large), "longer than 1048576 bytes"),
        ("a redirect", Answer::Sends(redirect), "the answer is 302 Found"),
        (
            "an error",
            Answer::Sends("HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n".into()),
            "the answer is 500",
        ),
    ] {
        server.set(answer);
        until_health(&riverhead, "degraded", reason);
        failing(1.0);
        // What fails once does not end what is served, nor does what fails again.
        until_read_again(&server, 1);
        brokers.write("p", 0, written..written + 2);
        written += 2;
        client.until_numbers(0..written);
        assert_eq!(status(&riverhead, "pages"), 200, "{name}");
        assert_eq!(status(&riverhead, "other"), 400, "{name}");
        server.set(Answer::document(PAGES));
        until_health(&riverhead, "ok", "1 stream of https://localhost:");
        failing(0.0);
    }
    assert_eq!(target.requests(), 0, "a redirect was followed");
    server.go();
    until_health(&riverhead, "degraded", "refused");
    server.come();
    until_health(&riverhead, "ok", "1 stream of");
    brokers.write("p", 0, written..written + 2);
    client.until_numbers(0..written + 2);
    assert!(!client.is_over());
    // Six times.
    assert_eq!(lines(&riverhead, "[stream_config] cannot be read;"), 6);
    assert_eq!(lines(&riverhead, "[stream_config] can be read again"), 6);
    assert!(riverhead.metric("riverhead_stream_config_failures_total", "") >= 6.0);
}

#[test]
fn a_slow_service_keeps_neither_a_reload_nor_the_streams_waiting() {
    let brokers = Brokers::start(&[("a", 1), ("b", 1), ("p", 1)]);
    let server = DocumentServer::start(Answer::document(PAGES));
    let config = text(&brokers, &at(&server, ""), &[EDITS]);
    let riverhead = start(&server, &config);
    until_read(&riverhead, 3.0);
    server.set(Answer::Waits);
    let begun = Instant::now();
    riverhead.reload(&config, APPLIED);
    assert!(begun.elapsed() < START, "{:?}", begun.elapsed());
    until_health(&riverhead, "degraded", "no answer within");
    assert_eq!(status(&riverhead, "pages"), 200);
    server.set(Answer::document(PAGES));
    riverhead.reload(&config, APPLIED);
    until_health(&riverhead, "ok", "1 stream of");
}

#[test]
fn a_start_without_the_service_serves_its_own_streams_and_takes_the_others_when_they_come() {
    let brokers = Brokers::start(&[("a", 1), ("b", 1), ("p", 1)]);
    for is_mute in [false, true] {
        let mut server = DocumentServer::start(Answer::Waits);
        if !is_mute {
            server.go();
        }
        let begun = Instant::now();
        let riverhead = start(&server, &text(&brokers, &at(&server, ""), &[EDITS]));
        assert!(begun.elapsed() < START, "{:?}", begun.elapsed());
        until_read(&riverhead, 2.0);
        assert_eq!(status(&riverhead, "edits"), 200);
        assert_eq!(status(&riverhead, "pages"), 400);
        until_health(&riverhead, "degraded", "none of its streams is served");
        server.set(Answer::document(PAGES));
        if !is_mute {
            server.come();
        }
        until_served(&riverhead, 1.0);
        until_health(&riverhead, "ok", "1 stream of");
        assert_eq!(status(&riverhead, "pages"), 200);
    }
}

#[test]
fn a_start_with_nothing_but_a_service_that_is_gone_serves_nothing_until_it_is_back() {
    let brokers = Brokers::start(&[("p", 1)]);
    let mut server = DocumentServer::start(Answer::document(PAGES));
    server.go();
    let riverhead = start(&server, &text(&brokers, &at(&server, ""), &[]));
    until_health(&riverhead, "degraded", "none of its streams is served");
    assert_eq!(status(&riverhead, "pages"), 400);
    server.come();
    until_served(&riverhead, 1.0);
    until_read(&riverhead, 1.0);
    let client = Client::ask(&riverhead, "pages?since=1", "");
    brokers.write("p", 0, 0..3);
    client.until_numbers(0..3);
}

#[test]
fn a_restart_while_the_service_is_gone_serves_what_was_read_before_it() {
    let brokers = Brokers::start(&[("a", 1), ("b", 1), ("p", 1), ("q", 1)]);
    let directory = tempfile::tempdir().unwrap();
    let state = format!("[state]\ndirectory = {:?}\n", directory.path());
    let mut server = DocumentServer::start(document(&json!({
        "pages": {"topics": ["p"], "drop": "n = 2"},
        "users": {"topics": ["q"]},
    })));
    let config = |more: &str| text(&brokers, &format!("{state}{}", at(&server, more)), &[EDITS]);
    let (whole, narrow) = (config(""), config("allowed = ['pages']"));
    let elsewhere = whole.replace("/streams'", "/elsewhere'");
    let riverhead = start(&server, &whole);
    until_read(&riverhead, 4.0);
    brokers.write("p", 0, 0..2);
    let client = Client::ask(&riverhead, "pages?since=1", "");
    client.until_numbers(0..2);
    let id = client.last_id();
    drop(riverhead);
    server.go();
    brokers.write("p", 0, 2..5);

    let restarted = start(&server, &whole);
    let again = Client::resume(&restarted, "pages", &id);
    assert_eq!(again.status(), 200);
    // Under the rules that hold.
    again.until_numbers(3..5);
    until_health(
        &restarted,
        "degraded",
        "what was read before the start is served, 2 streams",
    );
    drop(restarted);
    // Of what is kept, only what is allowed, and only of the same address.
    let restarted = start(&server, &narrow);
    assert_eq!(status(&restarted, "pages"), 200);
    assert_eq!(status(&restarted, "users"), 400);
    drop(restarted);
    let restarted = start(&server, &elsewhere);
    assert_eq!(status(&restarted, "pages"), 400);
    assert_eq!(health(&restarted)["streams"], 0);
    drop(restarted);
    // A document that says otherwise goes before what is kept.
    server.set(document(&json!({"users": {"topics": ["q"]}})));
    server.come();
    let restarted: Riverhead = start(&server, &whole);
    assert_eq!(status(&restarted, "pages"), 400);
    assert_eq!(status(&restarted, "users"), 200);
}

#[test]
fn a_successor_serves_the_streams_of_a_service_that_is_gone() {
    let brokers = Brokers::start(&[("a", 1), ("b", 1), ("p", 1)]);
    let directory = tempfile::tempdir().unwrap();
    let state = format!("[state]\ndirectory = {:?}\n", directory.path());
    let mut server = DocumentServer::start(document(&json!({"pages": {"topics": ["p"]}})));
    let more = format!("{state}{}", at(&server, ""));
    let riverhead = start(&server, &text(&brokers, &more, &[EDITS]));
    until_read(&riverhead, 3.0);
    brokers.write("p", 0, 0..3);
    let client = Client::ask(&riverhead, "pages?since=1", "");
    client.until_numbers(0..3);
    server.go();

    let _successor = riverhead.hand_over();
    client.until_over();
    brokers.write("p", 0, 3..5);
    let again = Client::resume(&riverhead, "pages", &client.last_id());
    again.until_numbers(3..5);
    assert_eq!(health(&riverhead)["state"], "degraded");
}
