use std::io::Write;

use tokio_rustls::rustls::{ClientConnection, crypto::aws_lc_rs::cipher_suite, version::TLS12};

use super::{
    super::{
        fuzzing::send_event,
        records::{KeyMaterial, SealingKey, sealed_record},
        test_pair::{Pair, TLS13_SUITES, read, written},
    },
    *,
};

const REQUEST: &[u8] = b"GET /v2/stream/edits HTTP/1.1\r\n\r\n";
const BUDGET: usize = 64 * 1024;
const FAR: u32 = 1 << 23;

/// Returns the sealed request of the client.
fn request(pair: &mut Pair) -> Vec<u8> {
    pair.client.writer().write_all(REQUEST).unwrap();
    written(&mut pair.client)
}

/// Returns a sealed KeyUpdate of the client, which asks for one.
fn key_update(pair: &mut Pair) -> Vec<u8> {
    pair.client.refresh_traffic_keys().unwrap();
    written(&mut pair.client)
}

/// Seals an event. Returns what the client gets.
fn send(records: &mut TlsRecords, event: &[u8]) -> Vec<u8> {
    send_event(records, event).unwrap()
}

/// Answers the request, and lets the stream leave. Returns its records, if it can go on.
fn answer_and_leave(mut pair: Pair, budget: &mut usize) -> (Option<TlsRecords>, ClientConnection) {
    pair.session.seal(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
    assert_eq!(pair.deliver().unwrap(), b"HTTP/1.1 200 OK\r\n\r\n");
    (pair.session.into_records(FAR, budget), pair.client)
}

#[test]
fn a_stream_goes_on_where_rustls_stopped_with_every_cipher() {
    for suite in TLS13_SUITES {
        let mut pair = Pair::new(suite);
        let request = request(&mut pair);
        pair.arrive(&request).unwrap();
        assert_eq!(pair.session.plaintext(), REQUEST);
        pair.session.consume(REQUEST.len());
        let mut budget = BUDGET;
        let (records, mut client) = answer_and_leave(pair, &mut budget);
        let mut records = records.unwrap();
        for event in [&b"one"[..], b"two", &[b'x'; 10_000]] {
            let sent = send(&mut records, event);
            assert_eq!(read(&mut client, &sent).unwrap(), event, "{suite:?}");
        }
        client.send_close_notify();
        assert!(records.receive(&written(&mut client), &mut budget).is_err());
        assert_eq!(budget, BUDGET, "nothing else has come");
    }
}

#[test]
fn a_key_update_behind_the_request_is_answered_however_it_comes() {
    let suite = TLS13_SUITES[0];
    for way in ["opened with the request", "not opened", "half of it not come yet"] {
        let mut pair = Pair::new(suite);
        let request = request(&mut pair);
        let update = key_update(&mut pair);
        let mut rest = Vec::new();
        match way {
            "opened with the request" => pair.arrive(&[request, update].concat()).unwrap(),
            "not opened" => {
                pair.arrive(&request).unwrap();
                pair.arrive_unopened(&update);
            }
            _ => {
                pair.arrive(&[&request[..], &update[..7]].concat()).unwrap();
                rest = update[7..].to_vec();
            }
        }
        pair.session.consume(REQUEST.len());
        let mut budget = BUDGET;
        let (records, mut client) = answer_and_leave(pair, &mut budget);
        let mut records = records.unwrap_or_else(|| panic!("{way}"));
        records.receive(&rest, &mut budget).unwrap();
        let sent = send(&mut records, b"event");
        // If the answer did not stand before it, the client could not open it, and if it had come twice, what follows.
        assert_eq!(read(&mut client, &sent).unwrap(), b"event", "{way}");
        let sent = send(&mut records, b"next");
        assert_eq!(read(&mut client, &sent).unwrap(), b"next", "{way}");
        client.refresh_traffic_keys().unwrap();
        let update = written(&mut client);
        records.receive(&update, &mut budget).unwrap();
        let sent = send(&mut records, b"last");
        assert_eq!(read(&mut client, &sent).unwrap(), b"last", "{way}");
    }
}

#[test]
fn what_a_client_sends_behind_its_request_reduces_what_it_may_send() {
    let mut pair = Pair::new(TLS13_SUITES[0]);
    let bytes = request(&mut pair);
    pair.arrive(&bytes).unwrap();
    let second = request(&mut pair);
    pair.arrive_unopened(&second);
    let mut budget = BUDGET;
    let (records, _) = answer_and_leave(pair, &mut budget);
    assert!(records.is_some());
    assert_eq!(budget, BUDGET - REQUEST.len() - second.len());

    let mut pair = Pair::new(TLS13_SUITES[0]);
    pair.arrive(&bytes).unwrap_err();
    let (mut pair, mut budget) = (Pair::new(TLS13_SUITES[0]), REQUEST.len() - 1);
    let bytes = request(&mut pair);
    pair.arrive(&bytes).unwrap();
    assert!(
        answer_and_leave(pair, &mut budget).0.is_none(),
        "it is more than that"
    );
}

#[test]
fn a_stream_does_not_leave_in_the_middle() {
    let leaves = |pair: Pair| pair.session.into_records(FAR, &mut BUDGET.clone()).is_some();
    let sealed = || {
        let mut pair = Pair::new(TLS13_SUITES[0]);
        pair.session.seal(b"head").unwrap();
        pair
    };
    assert!(!leaves(sealed()), "not all is written");

    let mut pair = sealed();
    pair.deliver().unwrap();
    let update = key_update(&mut pair);
    pair.arrive(&update).unwrap();
    assert!(!leaves(pair), "rustls keeps an answer");

    let mut pair = sealed();
    pair.deliver().unwrap();
    pair.client.send_close_notify();
    let alert = written(&mut pair.client);
    pair.arrive_unopened(&alert);
    assert!(!leaves(pair), "the client has left");

    let mut pair = Pair::new(TLS13_SUITES[0]);
    pair.client.send_close_notify();
    let alert = written(&mut pair.client);
    pair.arrive(&alert).unwrap();
    pair.session.seal(b"head").unwrap();
    pair.deliver().unwrap();
    assert!(!leaves(pair), "the client had left before");

    let mut pair = sealed();
    pair.deliver().unwrap();
    pair.arrive_unopened(b"\x17\x03\x03\x00\x11 what is no record");
    assert!(!leaves(pair), "a record that is none");

    let mut pair = sealed();
    pair.deliver().unwrap();
    assert!(leaves(pair));
}

#[test]
fn a_stream_does_not_leave_with_half_a_handshake_message() {
    let mut pair = Pair::new(TLS13_SUITES[0]);
    let (sequence, secrets) = pair.client.dangerous_extract_secrets().unwrap().tx;
    let mut key = SealingKey::new(KeyMaterial::of(&secrets).unwrap(), sequence).unwrap();
    let half = sealed_record(&mut key, 22, b"\x18\0\0", 0).unwrap();
    pair.session.room().unwrap().extend_from_slice(&half);
    pair.session.process().unwrap();
    for _ in 0..2 {
        // Sealing lets rustls look at what it holds.
        pair.session.seal(b"head").unwrap();
        let length = pair.session.outgoing().len();
        pair.session.advance(length);
    }
    assert!(pair.session.into_records(FAR, &mut BUDGET.clone()).is_none());
}

#[test]
fn an_older_version_stays() {
    let suite = cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256;
    let mut pair = Pair::connect(suite, &TLS12);
    assert!(!pair.session.can_leave());
    pair.session.seal(b"text").unwrap();
    assert_eq!(pair.deliver().unwrap(), b"text");
}

#[test]
fn a_broken_record_fails_with_an_alert_and_buffers_are_freed() {
    let mut pair = Pair::new(TLS13_SUITES[0]);
    assert_eq!(
        (
            pair.session.incoming.capacity(),
            pair.session.outgoing.capacity(),
            pair.session.plaintext.capacity()
        ),
        (0, 0, 0)
    );
    pair.session.room().unwrap();
    pair.session.free_room();
    assert_eq!(pair.session.incoming.capacity(), 0);
    pair.arrive(b"\x17\x03\x03\x00\x11 what is no record")
        .unwrap_err();
    assert!(pair.session.failure().is_some());
    assert!(pair.deliver().is_err(), "an alert");
    assert!(pair.session.seal(b"text").is_err() && pair.session.outgoing().is_empty());
}
