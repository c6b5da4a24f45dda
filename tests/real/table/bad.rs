//! Malformed ids: they are refused before Kafka is asked anything.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use serde_json::Value;

use super::fixture::{SOON, STREAM, TableFixture};

/// Returns the status and the body of the response to a request with this `Last-Event-ID`, byte for byte.
fn ask(fixture: &TableFixture, id: &[u8]) -> (u16, String) {
    let mut socket = TcpStream::connect(fixture.gateway.http).expect("a connection");
    socket.set_read_timeout(Some(SOON)).expect("a timeout");
    let start = format!("GET {STREAM} HTTP/1.1\r\nHost: rivers\r\nConnection: close\r\nLast-Event-ID: ");
    let request = [start.as_bytes(), id, b"\r\n\r\n"].concat();
    socket.write_all(&request).expect("all written");
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).expect("an answer, and its end");
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.expect("a status"), body.to_owned())
}

/// Asserts that the id is refused with this status and a problem of this type, without a request to Kafka.
fn assert_refused(fixture: &TableFixture, id: &[u8], status: u16, r#type: &str) {
    let (got, body) = ask(fixture, id);
    let told = String::from_utf8_lossy(&id[..id.len().min(60)]);
    assert_eq!(got, status, "{told}: {body}");
    let problem: Value =
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("{told}: {error}: {body}"));
    assert_eq!(
        (&problem["status"], &problem["type"]),
        (&status.into(), &r#type.into()),
        "{told}"
    );
}

/// Asserts that no stream began, no history was requested, and nothing panicked.
fn assert_untouched(fixture: &TableFixture) {
    for metric in [
        "riverhead_streams_started_total",
        "riverhead_history_pages_total",
        "riverhead_history_page_hits_total",
        "riverhead_history_page_joins_total",
        "riverhead_http_panics_total",
    ] {
        assert_eq!(fixture.gateway.metric(metric).expect("metrics"), 0.0, "{metric}");
    }
    let text = fixture.gateway.admin("/metrics").expect("metrics");
    assert!(text.contains("\nriverhead_http_panics_total 0"), "{text}");
    assert!(
        !fixture.gateway.log().contains("panick"),
        "{}",
        fixture.gateway.log()
    );
}

/// Returns a fixture whose gateway has history that could be requested.
fn fixture(topic: &str) -> TableFixture {
    let mut fixture = TableFixture::new(topic, 1);
    fixture.write(0, 100);
    fixture.restart(1);
    fixture
}

#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn an_id_that_is_too_long_is_refused_and_a_head_that_is_too_large() {
    let fixture = fixture("long");
    let entry = |length: usize| {
        let id = fixture.id(serde_json::json!({"offset": 7, "more": "x".repeat(length)}));
        id.to_string().into_bytes()
    };
    assert_refused(&fixture, &entry(20_000), 400, "invalid_last_event_id");
    assert_refused(&fixture, &entry(40_000), 431, "headers_too_large");
    let (status, _) = ask(&fixture, &entry(100_000));
    assert_eq!(status, 431);
    assert_untouched(&fixture);
}

#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn rubbish_is_refused_and_reaches_nobody() {
    let fixture = fixture("rubbish");
    let words: [&[u8]; 12] = [
        b"7",
        b"null",
        b"{}",
        b"[{}]",
        b"[{\"topic\":\"rubbish\"}]",
        b"[{\"topic\":\"rubbish\",\"partition\":0,\"offset\":-3}]",
        b"[{\"topic\":\"rubbish\",\"partition\":0,\"offset\":99999999999999999999}]",
        b"[{\"topic\":\"rubbish\",\"partition\":0,\"offset\":1,\"log\":\"\xff\xfe.....\"}]",
        b"~",
        b"~1",
        b"~1AAAA",
        b"~9AAAAAAAAAAAAAAAA",
    ];
    for id in words {
        assert_refused(&fixture, id, 400, "invalid_last_event_id");
    }
    let mut dice = fastrand::Rng::with_seed(7);
    for _ in 0..100 {
        // The first byte is not a blank, which would be removed.
        let bytes = (0..dice.usize(0..300)).map(|_| header_byte(&mut dice));
        let id: Vec<u8> = std::iter::once(b'#').chain(bytes).collect();
        assert_refused(&fixture, &id, 400, "invalid_last_event_id");
        let digits = (0..dice.usize(0..300)).map(|_| dice.choice(*BASE64URL).expect("some"));
        let id: Vec<u8> = b"~1".iter().copied().chain(digits).collect();
        assert_refused(&fixture, &id, 400, "invalid_last_event_id");
    }
    assert_untouched(&fixture);
}

#[test]
#[ignore = "needs real brokers: ./tests/run"]
fn bytes_that_no_header_may_hold_are_refused() {
    let fixture = fixture("control");
    for byte in (0..b' ').chain([0x7f]).filter(|byte| !b"\t\n\r".contains(byte)) {
        let (status, body) = ask(&fixture, &[b'[', byte, b']']);
        assert_eq!(status, 400, "{byte}: {body}");
    }
    assert_untouched(&fixture);
}

/// Returns a byte that is allowed in a header (RFC 9110, section 5.5).
fn header_byte(dice: &mut fastrand::Rng) -> u8 {
    match dice.u8(..) {
        0..b' ' | 0x7f => b'\t',
        byte => byte,
    }
}

const BASE64URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
